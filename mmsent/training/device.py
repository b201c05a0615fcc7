"""Where training runs, and in which precision."""

import torch
from torch import nn


def best_device() -> torch.device:
    """The accelerator if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(device: torch.device) -> torch.autocast:
    """bf16 for matrix products where the hardware has it: elsewhere it would be emulated, and slow."""
    units = torch.cpu.get_capabilities()
    native = device.type == "cuda" or units.get("avx512_bf16", False) or units.get("amx_bf16", False)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bool(native))


def device_of(module: nn.Module) -> torch.device:
    """Where a model's weights are."""
    return next(module.parameters()).device
