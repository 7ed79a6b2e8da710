# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``trace``: a float module of a user's own as a network of Brevitas layers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dhq_brevitas.tracing.build import Widths, build
from dhq_brevitas.tracing.capture import check_module, unwrapped
from dhq_brevitas.tracing.network import TracedNetwork
from dhq_brevitas.tracing.reading import read

__all__ = ["trace"]


def trace(
    module: nn.Module, inputs: Sequence[Tensor], widths: Widths | None = None
) -> TracedNetwork:
    """A network of Brevitas layers that computes what ``module`` computes, on the CPU.

    Without its quantizers it does so up to float rounding and table steps. Its scales are not
    calibrated.

    Args:
        module: in any mode, of any floating type, on any device; it stays as it is.
        inputs: samples as the module takes them, which coordinates and ranges are found in.

    Raises TypeError or ValueError, naming the module or input, for what cannot be rebuilt.
    """
    module = unwrapped(module)
    check_module(module)
    given = [_checked(position, x) for position, x in enumerate(inputs)]
    if not given:
        raise ValueError("inputs is empty; give a tensor of samples for each input of the module")
    first = next((p for p in module.parameters() if p.is_floating_point()), None)
    dtype = torch.float32 if first is None else first.dtype
    device = torch.device("cpu") if first is None else first.device
    reading = read(module, [x.to(device, dtype) for x in given])
    return build(reading, [x.cpu() for x in given], widths or Widths())


def _checked(position: int, x: Tensor) -> Tensor:
    name = "inputs" if position == 0 else f"inputs[{position}]"
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor of samples, not {type(x).__name__}")
    if x.numel() == 0 or x.ndim == 0:
        raise ValueError(f"{name} of shape {list(x.shape)} holds no samples; give some")
    if x.is_complex():
        raise TypeError(f"{name} is {x.dtype}; give its real and imaginary parts as channels")
    x = x.detach()
    if x.is_floating_point() and not bool(torch.isfinite(x).all()):
        raise ValueError(f"{name} holds NaN or infinity; remove those samples")
    return x
