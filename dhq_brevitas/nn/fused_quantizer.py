# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Brevitas's integer quantizers in a form that trains fast, above all when it is compiled.

Measured with PyTorch 2.12 on a CPU: compilers compute a scale, its logarithm and its power of two
anew for every 16 elements that it divides, and storing the masks of what was clipped, for the
gradient, takes fifty times as long as the clipping. Here scales are computed once a step, and
gradients compute anew what they need.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from brevitas.core.function_wrapper import FloorSte, RoundSte, TensorClamp, TensorClampSte
from brevitas.core.quant import IntQuant, PrescaledRestrictIntQuant, RescalingIntQuant
from brevitas.core.quant.delay import _NoDelay
from brevitas.core.scaling import (
    ConstScaling,
    ParameterFromRuntimeStatsScaling,
    ParameterFromStatsFromParameterScaling,
    ParameterScaling,
)
from brevitas.core.zero_point import ZeroZeroPoint
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dhq_brevitas.nn.activation_kernel import FakeQuantize, Grid, Table, activation, in_kernel
from dhq_brevitas.nn.rotation import Rotation

__all__ = [
    "FusedIntQuant",
    "fused_quantizer",
    "is_of_no_tensor",
    "quantized",
    "realized",
    "recomputed",
]

# Scales that are the same for every tensor, once they are not collected any more.
_OF_NO_TENSOR = (ConstScaling, ParameterFromRuntimeStatsScaling, ParameterScaling)
REALIZED = "dhq_brevitas::realized"

if not hasattr(torch.ops.dhq_brevitas, "realized"):  # this module may be imported anew
    torch.library.define(REALIZED, "(Tensor x) -> Tensor")
    torch.library.impl(REALIZED, "default", torch.clone)
    torch.library.register_fake(REALIZED, torch.empty_like)
    torch.library.register_autograd(REALIZED, lambda ctx, grad: grad)


def realized(x: Tensor) -> Tensor:
    """A copy of ``x`` that compilers compute once: they do not look into this operator."""
    return torch.ops.dhq_brevitas.realized(x) if torch.compiler.is_compiling() else x


def recomputed(function: Callable[..., Any], *args: Tensor) -> Any:
    """``function`` of ``args``; when compiled, its gradient computes anew what it needs of it."""
    if torch.compiler.is_compiling():
        return checkpoint(function, *args, use_reentrant=False, preserve_rng_state=False)
    return function(*args)


def quantized(quantizer: nn.Module, x: Tensor) -> Any:
    """``quantizer(x)``, :func:`recomputed` unless it is one operator, which needs ``x`` alone."""
    is_operator = isinstance(getattr(quantizer, "int_quant", None), FusedIntQuant) and in_kernel(x)
    return quantizer(x) if is_operator else recomputed(quantizer, x)


def fused_quantizer(tensor_quant: nn.Module) -> nn.Module:
    """A ``tensor_quant`` of Brevitas, on its own parameters and with its own hooks.

    It returns the same value, scale, zero point and bit width. What is neither a RescalingIntQuant
    nor a PrescaledRestrictIntQuant is returned as it is, and of these only the parts that are
    constant or known are replaced. A scale that no gradient reaches is taken to be constant.
    """
    if not isinstance(tensor_quant, RescalingIntQuant | PrescaledRestrictIntQuant):
        return tensor_quant
    quantizer: Any = copy.copy(tensor_quant)
    quantizer._modules = dict(tensor_quant._modules)
    has_scale = isinstance(tensor_quant, RescalingIntQuant)
    bit_width = tensor_quant.msb_clamp_bit_width_impl
    scaling: Any = None
    known = [bit_width]
    if has_scale:
        scaling = tensor_quant.scaling_impl
        quantizer.scaling_impl = _Realized(scaling)
        known.append(tensor_quant.int_scaling_impl)
    if any(True for module in known for _ in module.parameters()):
        return quantizer
    quantizer.msb_clamp_bit_width_impl = _Fixed(bit_width())
    fuses = FusedIntQuant.is_of(tensor_quant.int_quant)
    if has_scale:
        threshold = tensor_quant.int_scaling_impl(bit_width())
        quantizer.int_scaling_impl = _Fixed(threshold)
        fuses = fuses and isinstance(tensor_quant.zero_point_impl, ZeroZeroPoint)
        if _is_constant(scaling):
            quantizer.scaling_impl = _Constant(scaling, threshold)
        elif fuses:  # the operator realizes a scale where it has to
            quantizer.scaling_impl = scaling
    if fuses:
        quantizer.int_quant = FusedIntQuant(tensor_quant.int_quant, bit_width())
    return quantizer


def is_of_no_tensor(scaling: nn.Module) -> bool:
    """Whether a scale of a fused quantizer is the same for every tensor that is not a weight."""
    return isinstance(scaling, (*_OF_NO_TENSOR, _Constant))


def _is_constant(scaling: Any) -> bool:
    if any(parameter.requires_grad for parameter in scaling.parameters()):
        return False
    of_weights = isinstance(scaling, ParameterFromStatsFromParameterScaling) and scaling.init_done
    return of_weights or isinstance(scaling, _OF_NO_TENSOR)


class _Realized(nn.Module):
    """What a module returns, computed once."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Tensor) -> Tensor:
        return realized(self.module(*args))


class _Constant(nn.Module):
    """A scale that is the same in every step."""

    def __init__(self, scaling: nn.Module, threshold: Tensor) -> None:
        super().__init__()
        self.module = scaling
        self.value = scaling(threshold, threshold).detach()

    def forward(self, *args: Tensor) -> Tensor:
        return self.value


class _Fixed(nn.Module):
    """The value of a module that returns a constant, as a number that compilers see."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.number, self.dtype, self.device = value.item(), value.dtype, value.device

    def forward(self, *args: Tensor) -> Tensor:
        return torch.full((), self.number, dtype=self.dtype, device=self.device)


class FusedIntQuant(nn.Module):
    """An IntQuant without zero point, of a fixed bit width.

    It may have a rotation, before or ``after`` it, and the ``values`` of a function before all,
    which ``table`` has, too.

    Runs as one operator where there is one (:mod:`dhq_brevitas.nn.activation_kernel`).
    """

    def __init__(self, int_quant: IntQuant, bit_width: Tensor) -> None:
        super().__init__()
        self.view = int_quant.input_view_impl
        self.grid = Grid(
            float(int_quant.min_int(bit_width)),
            float(int_quant.max_int(bit_width)),
            floors=type(int_quant.float_to_int_impl) is FloorSte,
            passes=type(int_quant.tensor_clamp_impl) is TensorClampSte,
        )
        self.rotation, self.after = Rotation(), False
        self.table: Table | None = None
        self.values: Callable[[Tensor], Tensor] | None = None

    @staticmethod
    def is_of(module: Any) -> bool:
        """Whether ``module`` computes the same."""
        return (
            type(module) is IntQuant
            and type(module.float_to_int_impl) in (FloorSte, RoundSte)
            and type(module.tensor_clamp_impl) in (TensorClamp, TensorClampSte)
            and type(module.delay_wrapper.delay_impl) is _NoDelay
        )

    def forward(self, scale: Tensor, zero_point: Tensor, bit_width: Tensor, x: Tensor) -> Tensor:
        x, rotation = self.view(x), self.rotation
        alone = self.table is None and rotation.order == 1
        if in_kernel(x) and (_shares_out(scale, x) if alone else scale.numel() == 1):
            return activation(
                x,
                table=self.table,
                rotation=rotation,
                after=self.after,
                scale=scale,
                grid=self.grid,
            )
        scale = realized(scale)
        x = x if self.values is None else self.values(x)
        x = x if self.after else rotation.rotate_input(x)
        y = FakeQuantize.apply(x, scale, self.grid)
        return rotation.rotate_input(y) if self.after else y


def _shares_out(scale: Tensor, x: Tensor) -> bool:
    """Whether ``x`` has one scale, or one for each row."""
    if scale.numel() == 1:
        return scale.ndim <= x.ndim
    return scale.ndim == x.ndim and scale.numel() == scale.shape[0] == x.shape[0]
