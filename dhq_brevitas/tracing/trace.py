# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``trace``: a float module of a user's own as a network of Brevitas layers."""

import torch
from torch import Tensor, nn

from dhq_brevitas.tracing.build import Widths, build
from dhq_brevitas.tracing.calling import Calling, Inputs, tensors_of
from dhq_brevitas.tracing.capture import check_module, unwrapped
from dhq_brevitas.tracing.network import TracedNetwork
from dhq_brevitas.tracing.reading import read

__all__ = ["trace"]


def trace(module: nn.Module, inputs: Inputs, widths: Widths | None = None) -> TracedNetwork:
    """A network of Brevitas layers that computes what ``module`` computes, on the CPU.

    Without its quantizers it does so up to float rounding and table steps. Its scales are not
    calibrated.

    Args:
        module: in any mode, of any floating type, on any device; it stays as it is.
        inputs: samples as the module takes them, which coordinates and ranges are found in: one
            tensor, several, or a dictionary of what are keyword arguments of the module, or else
            the entries of its one argument.

    Raises TypeError or ValueError, naming the module or input, for what cannot be rebuilt.
    """
    module = unwrapped(module)
    check_module(module)
    calling = Calling.of(module, inputs)
    names = calling.names or range(len(tensors_of(inputs)))
    given = [_checked(name, x) for name, x in zip(names, tensors_of(inputs), strict=True)]
    if not given:
        raise ValueError("inputs is empty; give a tensor of samples for each input of the module")
    first = next((p for p in module.parameters() if p.is_floating_point()), None)
    dtype = torch.float32 if first is None else first.dtype
    device = torch.device("cpu") if first is None else first.device
    reading = read(module, [x.to(device, dtype) for x in given], calling)
    for name, way, x in zip(names, reading.given, given, strict=True):
        if not way.lead(x.shape):
            raise ValueError(
                f"{_name(name)} of shape {list(x.shape)} has no axis of samples; give it as "
                "[N, …], or as [1, …] where it is the same for all samples"
            )
    return build(reading, [x.cpu() for x in given], widths or Widths())


def _name(key: int | str) -> str:
    return "inputs" if key == 0 else f"inputs[{key!r}]"


def _checked(key: int | str, x: Tensor) -> Tensor:
    name = _name(key)
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor of samples, not {type(x).__name__}")
    if x.ndim == 0:
        raise ValueError(
            f"{name} is one number, without samples; give it as a tensor with one for each sample, "
            "or make it an attribute of the module"
        )
    if x.numel() == 0:
        raise ValueError(f"{name} of shape {list(x.shape)} holds no samples; give some")
    if x.is_complex():
        raise TypeError(f"{name} is {x.dtype}; give its real and imaginary parts as channels")
    x = x.detach()
    if x.is_floating_point() and not bool(torch.isfinite(x).all()):
        raise ValueError(f"{name} holds NaN or infinity; remove those samples")
    return x
