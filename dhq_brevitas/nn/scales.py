# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Kinds of quantizer scale: which steps each can hold, how it is set, and who quantizes with it.

A kind is one :class:`Scale` in :data:`SCALES`; nothing else knows kinds by name. The step of a
Brevitas ``tensor_quant`` is threshold / int_threshold, the threshold a function of the scaling
parameter that Brevitas learns.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, ClassVar

import torch
from brevitas.core.restrict_val import FloatRestrictValue, PowerOfTwoRestrictValue
from brevitas.core.scaling import (
    ParameterFromRuntimeStatsScaling,
    ParameterFromStatsFromParameterScaling,
    ParameterScaling,
    PowerOfTwoIntScaling,
)
from brevitas.inject import ExtendedInjector
from brevitas.quant.fixed_point import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerChannelFixedPoint,
    Int8WeightPerTensorFixedPoint,
)
from brevitas.quant.scaled_int import (
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloat,
)
from torch import Tensor, nn

__all__ = [
    "LEARNED",
    "SCALES",
    "DyadicRestrictValue",
    "DyadicScale",
    "Granularity",
    "Int8ActPerTensorDyadic",
    "Int8WeightPerChannelDyadic",
    "Int8WeightPerTensorDyadic",
    "Scale",
    "ScaleKind",
    "learned_scales",
    "odd_mantissa",
    "scale_of",
    "set_scale",
    "step_of",
]

LEARNED = (
    ParameterFromRuntimeStatsScaling,
    ParameterFromStatsFromParameterScaling,
    ParameterScaling,
)
"""Brevitas's scalings whose parameter can be set and learned."""

# Two scales of 8 bits make an accumulator scale of 16, which leaves an exporter with 24-bit
# multipliers a factor of 256 between the scales of channels; a scale changes by at most 1/256.
FLOAT_MANTISSA_BITS = 8


class DyadicRestrictValue(FloatRestrictValue):
    """Rounds a positive scale up to m·2^e, m an integer of ``mantissa_bits`` bits.

    A power-of-two scale wastes up to half of the integer range, a float scale makes float32 sums
    inexact. m·2^e with m in [2^(k-1), 2^k] wastes at most 2^-(k-1) of the range, and integers times
    such scales stay exact in float32 while |integer|·m < 2^24. Rounding is upwards so that a
    maximum stays representable; the gradient passes straight through.

    Input and output: float tensors of one shape. ``mantissa_bits`` (k): 1 to 12; 1 is a power of
    two.
    """

    def __init__(self, mantissa_bits: int = 3) -> None:
        super().__init__()
        if not 1 <= mantissa_bits <= 12:
            raise ValueError(f"mantissa_bits={mantissa_bits} is out of range: use 1 to 12")
        self.mantissa_bits = mantissa_bits

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        exponent = torch.frexp(x.detach())[1]
        unit = torch.ldexp(torch.ones_like(x), exponent - self.mantissa_bits)
        rounded = torch.ceil(x.detach() / unit) * unit
        return x + (rounded - x).detach()


class DyadicScale(ExtendedInjector):
    """Mixin that restricts a float scale to m·2^e with ``mantissa_bits`` bits of m; put it first.

    See :class:`DyadicRestrictValue`. With it every level, from PyTorch to hardware, computes the
    same integers, as with a power-of-two scale, at the cost of a constant multiplier of
    ``mantissa_bits`` bits. PyTorch's float32 sums stay exact while accumulator bits plus the
    mantissa bits of weight and activation are at most 24: 19-bit accumulators with the defaults of
    3 and 2, ample for 8-bit weights and activations of 256 channels.
    """

    restrict_scaling_impl = DyadicRestrictValue
    int_scaling_impl = PowerOfTwoIntScaling
    mantissa_bits = 3


class Int8WeightPerTensorDyadic(DyadicScale, Int8WeightPerTensorFloat):
    """Unrotated 8-bit narrow weights, one dyadic scale."""


class Int8WeightPerChannelDyadic(DyadicScale, Int8WeightPerChannelFloat):
    """Unrotated 8-bit narrow weights, a dyadic scale for each output channel."""


class Int8ActPerTensorDyadic(DyadicScale, Int8ActPerTensorFloat):
    """Unrotated 8-bit activations, one learned dyadic scale, starting at a percentile."""

    mantissa_bits = 2


class Granularity(StrEnum):
    """Weight scales: one a tensor or one an output channel."""

    TENSOR = "tensor"
    CHANNEL = "channel"


class ScaleKind(StrEnum):
    """Names of the kinds: ``po2`` 2^e, ``dyadic`` m·2^e with a short m, ``float`` unrestricted."""

    PO2 = "po2"
    DYADIC = "dyadic"
    FLOAT = "float"


class Scale(ABC):
    """A kind of scale.

    Class attributes: ``quantizers``, the unrotated quantizers that have it, of weights by their
    granularity and of activations by "act"; ``learned``, whether fine-tuning may move it by
    gradient; ``tolerance``, by how much, relatively, a step may come back changed from Brevitas.
    """

    quantizers: ClassVar[dict[str, Any]]
    learned: ClassVar[bool] = True
    tolerance: ClassVar[float] = 0.0

    @classmethod
    @abstractmethod
    def of(cls, scaling: nn.Module) -> "Scale | None":
        """The kind of this Brevitas scaling, or None if it is another."""

    @abstractmethod
    def held(self, step: Tensor) -> Tensor:
        """The next larger step that a scale of this kind can hold; any shape."""

    @abstractmethod
    def parameter(self, threshold: Tensor) -> Tensor:
        """The scaling parameter whose threshold is ``threshold``, which the kind can hold."""

    def settled(self, step: Tensor) -> Tensor:
        """``step`` as it is after training, so that every tool derives the same integers."""
        return step


class PowerOfTwoScale(Scale):
    """2^e."""

    quantizers: ClassVar = {
        Granularity.TENSOR: Int8WeightPerTensorFixedPoint,
        Granularity.CHANNEL: Int8WeightPerChannelFixedPoint,
        "act": Int8ActPerTensorFixedPoint,
    }
    learned = False  # a step of its parameter is a factor of two

    @classmethod
    def of(cls, scaling: nn.Module) -> "Scale | None":
        found = any(isinstance(module, PowerOfTwoRestrictValue) for module in scaling.modules())
        return cls() if found else None

    def held(self, step: Tensor) -> Tensor:
        return torch.exp2(torch.ceil(torch.log2(step)))

    def parameter(self, threshold: Tensor) -> Tensor:
        # The exponent is rounded up from the parameter: that is put away from the edge, so that
        # training does not flip it at once.
        return torch.log2(threshold) - 0.25


class DyadicScaleKind(Scale):
    """m·2^e; see :class:`DyadicRestrictValue`."""

    quantizers: ClassVar = {
        Granularity.TENSOR: Int8WeightPerTensorDyadic,
        Granularity.CHANNEL: Int8WeightPerChannelDyadic,
        "act": Int8ActPerTensorDyadic,
    }

    def __init__(self, restriction: DyadicRestrictValue | None = None) -> None:
        self._restriction = restriction or DyadicRestrictValue()

    @classmethod
    def of(cls, scaling: nn.Module) -> "Scale | None":
        for module in scaling.modules():
            if isinstance(module, DyadicRestrictValue):
                return cls(module)
        return None

    def held(self, step: Tensor) -> Tensor:
        return self._restriction(step)

    def parameter(self, threshold: Tensor) -> Tensor:
        return threshold * (1 - 2.0 ** -(self._restriction.mantissa_bits + 2))


class FloatScale(Scale):
    """Any float32; settled on odd mantissas of 8 bits.

    The product of a weight and an activation scale is then exactly the integer multiplier M/2^s of
    the hardware, rather than a number that each level rounds in its own way; and no integer divided
    by an odd mantissa falls half way between two codes.
    """

    quantizers: ClassVar = {
        Granularity.TENSOR: Int8WeightPerTensorFloat,
        Granularity.CHANNEL: Int8WeightPerChannelFloat,
        "act": Int8ActPerTensorFloat,
    }
    tolerance = 1e-6  # the step comes back through a multiplication and a division

    @classmethod
    def of(cls, scaling: nn.Module) -> "Scale | None":
        return cls()

    def held(self, step: Tensor) -> Tensor:
        return step

    def parameter(self, threshold: Tensor) -> Tensor:
        return threshold

    def settled(self, step: Tensor) -> Tensor:
        return odd_mantissa(step, FLOAT_MANTISSA_BITS)


SCALES: dict[str, type[Scale]] = {
    ScaleKind.PO2: PowerOfTwoScale,
    ScaleKind.DYADIC: DyadicScaleKind,
    ScaleKind.FLOAT: FloatScale,
}
"""Every kind by name. :func:`scale_of` asks them in this order, the unrestricted one last."""


def odd_mantissa(step: Tensor, bits: int) -> Tensor:
    """The next m·2^e from above with m an odd integer of ``bits`` bits."""
    mantissa, exponent = torch.frexp(step)
    rounded = torch.ceil(mantissa * 2**bits)
    return torch.ldexp(rounded + (rounded % 2 == 0), exponent - bits)


def scale_of(quantizer: Any) -> Scale:
    """The kind of scale of a Brevitas ``tensor_quant``."""
    found = (kind.of(quantizer.scaling_impl) for kind in SCALES.values())
    return next(scale for scale in found if scale is not None)


def step_of(quantizer: Any) -> Tensor:
    """The learned step of a ``tensor_quant``, in the shape of its parameter."""
    threshold = quantizer.int_scaling_impl(quantizer.msb_clamp_bit_width_impl())
    return quantizer.scaling_impl(quantizer.scaling_impl.value, threshold)


def learned_scales(module: nn.Module) -> Iterator[Any]:
    """Every ``tensor_quant`` in ``module`` with a learned scale."""
    for quantizer in module.modules():
        if isinstance(getattr(quantizer, "scaling_impl", None), LEARNED):
            yield quantizer


def set_scale(quantizer: Any, step: Tensor) -> None:
    """Makes ``quantizer``, a Brevitas ``tensor_quant`` with a learned scale, use scale ``step``.

    Raises ValueError if its scale cannot be set or cannot hold ``step`` (not a power of two, say).
    """
    scaling = quantizer.scaling_impl
    if not isinstance(scaling, LEARNED):
        raise ValueError(f"{type(scaling).__name__} has no learned scale to set")
    if not bool(torch.isfinite(step).all()):
        raise ValueError(f"the scale {step.flatten()[:3].tolist()} to set is not finite")
    int_threshold = quantizer.int_scaling_impl(quantizer.msb_clamp_bit_width_impl())
    scale = scale_of(quantizer)
    with torch.no_grad():
        scaling.value.copy_(scale.parameter(step * int_threshold).reshape(scaling.value.shape))
    if isinstance(scaling, ParameterFromStatsFromParameterScaling):
        scaling.init_done = True
    if isinstance(scaling, ParameterFromRuntimeStatsScaling):
        scaling.counter = scaling.collect_stats_steps + 1
    with torch.no_grad():
        actual = scaling(step, int_threshold)
    if not torch.allclose(
        actual.reshape(-1), step.reshape(-1), rtol=scale.tolerance, atol=0, equal_nan=False
    ):
        raise ValueError(
            f"this quantizer cannot hold the scale {step.flatten()[:3].tolist()}: it gives "
            f"{actual.flatten()[:3].tolist()} instead"
        )
