# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Quantizers to pass as ``weight_quant=``, ``input_quant=`` and ``act_quant=`` of Brevitas layers.

Each DHQ quantizer is the stock Brevitas quantizer of the same name with one thing changed: the
proxy rotates the tensor first (see :mod:`dhq_brevitas.nn.proxies`), so scale statistics, learned
scales and rounding all act on the rotated tensor. Keyword overrides of Brevitas
(``weight_bit_width=4``, …) work unchanged; ``weight_hadamard_order``, ``weight_hadamard_signs``,
``weight_hadamard_side`` and ``input_hadamard_after`` are ours.

Names: ``Float`` has a float scale, ``FixedPoint`` a power-of-two scale 2^e, ``Dyadic`` a scale
m·2^e with a short integer m; ``MSE`` starts from the scale of least squared error and learns it,
otherwise weights use the running maximum and activations start from a percentile and learn the
scale. Rounding is half to even unless stated.

    >>> from brevitas.nn import QuantLinear
    >>> layer = QuantLinear(
    ...     256, 256, weight_quant=Int8DHQWeightPerChannelFloat,
    ...     input_quant=Int8DHQActPerTensorFloat, weight_bit_width=4)
"""

from functools import cache
from typing import Any

from brevitas.inject import ExtendedInjector, value
from brevitas.inject.enum import FloatToIntImplType, ScalingImplType
from brevitas.quant.base import IntQuant, PerTensorPoTScaling8bit
from brevitas.quant.fixed_point import (
    Int8ActPerTensorFixedPoint,
    Int8ActPerTensorFixedPointMSE,
    Int8WeightPerChannelFixedPoint,
    Int8WeightPerChannelFixedPointMSE,
    Int8WeightPerTensorFixedPoint,
    Int8WeightPerTensorFixedPointMSE,
)
from brevitas.quant.none import NoneActQuant
from brevitas.quant.scaled_int import (
    Int8ActPerTensorFloat,
    Int8ActPerTensorFloatMSE,
    Int8WeightPerChannelFloat,
    Int8WeightPerChannelFloatMSE,
    Int8WeightPerTensorFloat,
    Int8WeightPerTensorFloatMSE,
)
from brevitas.quant.solver.act import ActQuantSolver
from brevitas.quant.solver.weight import WeightQuantSolver

from dhq_brevitas.nn import inference as _inference  # noqa: F401  registers its handlers
from dhq_brevitas.nn.proxies import HadamardActQuantProxy, HadamardWeightQuantProxy
from dhq_brevitas.nn.scales import (
    DyadicScale,
    Int8ActPerTensorDyadic,
    Int8WeightPerChannelDyadic,
    Int8WeightPerTensorDyadic,
)

__all__ = [
    "DHQActOfIntegers",
    "DyadicScale",
    "HadamardAct",
    "HadamardWeight",
    "Int8ActPerTensorDyadic",
    "Int8DHQActPerTensorDyadic",
    "Int8DHQActPerTensorFixedPoint",
    "Int8DHQActPerTensorFixedPointMSE",
    "Int8DHQActPerTensorFloat",
    "Int8DHQActPerTensorFloatMSE",
    "Int8DHQWeightPerChannelDyadic",
    "Int8DHQWeightPerChannelFixedPoint",
    "Int8DHQWeightPerChannelFixedPointMSE",
    "Int8DHQWeightPerChannelFloat",
    "Int8DHQWeightPerChannelFloatMSE",
    "Int8DHQWeightPerTensorDyadic",
    "Int8DHQWeightPerTensorFixedPoint",
    "Int8DHQWeightPerTensorFixedPointMSE",
    "Int8DHQWeightPerTensorFloat",
    "Int8DHQWeightPerTensorFloatMSE",
    "Int8UnitActPerTensorFixedPoint",
    "Int8WeightPerChannelDyadic",
    "Int8WeightPerTensorDyadic",
    "IntegerCodes",
    "PhaseQuant",
    "RangeQuant",
    "rotated",
]


class HadamardWeight(ExtendedInjector):
    """Mixin that turns any integer Brevitas weight quantizer into a DHQ one; put it first."""

    proxy_class = HadamardWeightQuantProxy
    hadamard_order = None
    hadamard_signs = None
    hadamard_side = "input"


class HadamardAct(ExtendedInjector):
    """Mixin that turns any integer Brevitas activation quantizer into a DHQ one; put it first."""

    proxy_class = HadamardActQuantProxy
    hadamard_after = False


@cache
def rotated(quantizer: Any) -> Any:
    """The DHQ quantizer made of any integer weight or activation quantizer of Brevitas."""
    mixin = HadamardWeight if issubclass(quantizer, WeightQuantSolver) else HadamardAct
    return type(f"DHQ{quantizer.__name__}", (mixin, quantizer), {})


class DHQActOfIntegers(HadamardAct, NoneActQuant):
    """Rotates the integers that a layer is given, exactly, and quantizes nothing.

    For a layer behind an activation with ``return_quant_tensor=True``, whose codes it takes as they
    are; see ``hadamard_after`` of :class:`dhq_brevitas.nn.proxies.HadamardActQuantProxy`.
    """

    hadamard_after = True


class Int8DHQWeightPerTensorFloat(HadamardWeight, Int8WeightPerTensorFloat):
    """Rotated 8-bit narrow weights, one float scale max|W R| / 127."""


class Int8DHQWeightPerTensorFloatMSE(HadamardWeight, Int8WeightPerTensorFloatMSE):
    """Rotated 8-bit narrow weights, one learned float scale that starts at the least MSE."""


class Int8DHQWeightPerChannelFloat(HadamardWeight, Int8WeightPerChannelFloat):
    """Rotated 8-bit narrow weights, a float scale max|W R| / 127 for each output channel."""


class Int8DHQWeightPerChannelFloatMSE(HadamardWeight, Int8WeightPerChannelFloatMSE):
    """Rotated 8-bit narrow weights, a learned float scale a channel, starting at the least MSE."""


class Int8DHQWeightPerTensorFixedPoint(HadamardWeight, Int8WeightPerTensorFixedPoint):
    """Rotated 8-bit narrow weights, one scale 2^(⌈log2 max|W R|⌉ - 7)."""


class Int8DHQWeightPerTensorFixedPointMSE(HadamardWeight, Int8WeightPerTensorFixedPointMSE):
    """Rotated 8-bit narrow weights, one learned power-of-two scale that starts at the least MSE."""


class Int8DHQWeightPerChannelFixedPoint(HadamardWeight, Int8WeightPerChannelFixedPoint):
    """Rotated 8-bit narrow weights, a scale 2^(⌈log2 max|W R|⌉ - 7) for each output channel."""


class Int8DHQWeightPerChannelFixedPointMSE(HadamardWeight, Int8WeightPerChannelFixedPointMSE):
    """Rotated 8-bit narrow weights, a learned 2^e a channel, starting at the least MSE."""


class Int8DHQActPerTensorFloat(HadamardAct, Int8ActPerTensorFloat):
    """Rotated 8-bit activations, one learned float scale, starting at a percentile."""


class Int8DHQActPerTensorFloatMSE(HadamardAct, Int8ActPerTensorFloatMSE):
    """Rotated 8-bit activations, one learned float scale, starting at the least MSE."""


class Int8DHQActPerTensorFixedPoint(HadamardAct, Int8ActPerTensorFixedPoint):
    """Rotated 8-bit activations, one learned power-of-two scale, starting at a percentile."""


class Int8DHQActPerTensorFixedPointMSE(HadamardAct, Int8ActPerTensorFixedPointMSE):
    """Rotated 8-bit activations, one learned power-of-two scale, starting at the least MSE."""


class Int8DHQWeightPerTensorDyadic(HadamardWeight, Int8WeightPerTensorDyadic):
    """Rotated 8-bit narrow weights, one dyadic scale."""


class Int8DHQWeightPerChannelDyadic(HadamardWeight, Int8WeightPerChannelDyadic):
    """Rotated 8-bit narrow weights, a dyadic scale for each output channel."""


class Int8DHQActPerTensorDyadic(HadamardAct, Int8ActPerTensorDyadic):
    """Rotated 8-bit activations, one learned dyadic scale, starting at a percentile."""


class _ConstantScale(IntQuant, PerTensorPoTScaling8bit, ActQuantSolver):
    """Signed integers with the fixed scale max_val / 2^(bit_width - 1), max_val a power of two."""

    scaling_impl_type = ScalingImplType.CONST


class Int8UnitActPerTensorFixedPoint(_ConstantScale):
    """8-bit activations in [-1, 1): fixed scale 2^-(bit_width - 1), for sine and cosine outputs."""

    min_val = -1.0
    max_val = 1.0


class IntegerCodes(_ConstantScale):
    """Passes integers of ``bit_width`` signed bits unchanged (scale 1), for pixel coordinates."""

    min_val = -1.0

    @value
    def max_val(bit_width):
        return 2.0 ** (bit_width - 1)


class PhaseQuant(_ConstantScale):
    """Phase code ⌊t · 2^phase_bit_width⌋ of t in turns, scale 2^-phase_bit_width.

    24 bits: whole turns are kept, so that the wrap-around is left to the periodic function and
    nothing saturates below 2^(23 - phase_bit_width) turns. Rounding: floor.
    """

    bit_width = 24
    float_to_int_impl_type = FloatToIntImplType.FLOOR
    phase_bit_width = 12
    min_val = -1.0

    @value
    def max_val(bit_width, phase_bit_width):
        return 2.0 ** (bit_width - 1 - phase_bit_width)


class RangeQuant(_ConstantScale):
    """Range code clip(⌊t · 2^(P-1)⌋) of t in [-1, 1), P = phase_bit_width signed bits.

    Scale 2^-(P-1). Rounding: floor; what lies outside the range saturates.
    """

    float_to_int_impl_type = FloatToIntImplType.FLOOR
    phase_bit_width = 12
    min_val = -1.0
    max_val = 1.0

    @value
    def bit_width(phase_bit_width):
        return phase_bit_width
