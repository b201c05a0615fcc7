"""Training, evaluation and export of the model; its modules need the extra `train`."""

from typing import Literal

Stage = Literal["picture", "text", "fusion", "folds"]
