"""Training, evaluation and export of the model; needs the extra `train`."""

from typing import Literal

Stage = Literal["picture", "text", "fusion", "folds"]
