# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Periodic activations for Brevitas: phase quantizer, table at bin centres, output quantizer."""

import math

import torch
from brevitas.nn.quant_layer import ActQuantType, QuantNonLinearActLayer
from brevitas.quant_tensor import QuantTensor
from torch import Tensor, nn

from dhq_brevitas.quantizers import Int8UnitActPerTensorFixedPoint, PhaseQuant

__all__ = ["MAX_PHASE_BITS", "MIN_PHASE_BITS", "QuantCos", "QuantSine"]

MIN_PHASE_BITS = 4
MAX_PHASE_BITS = 16


class _PhaseFunction(nn.Module):
    """f(2π·(frac(t) + 2^-(P+1))): a periodic function at the centre of the phase bin t = p·2^-P.

    Evaluation takes the function in float64 and rounds to float32 once, so that every tool that
    does the same gets the same table; training stays in float32 for speed.
    """

    def __init__(self, phase_bit_width: int) -> None:
        super().__init__()
        self.half_bin = 2.0 ** -(phase_bit_width + 1)

    @staticmethod
    def function(angle: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, turns: Tensor) -> Tensor:
        t = turns if self.training else turns.to(torch.float64)
        # The wrap: exact, since t has fewer than 24 significant bits.
        t = t - torch.floor(t)
        return self.function((t + self.half_bin) * (2 * math.pi)).to(turns.dtype)


class SineOfPhase(_PhaseFunction):
    @staticmethod
    def function(angle: Tensor) -> Tensor:
        return torch.sin(angle)


class CosineOfPhase(_PhaseFunction):
    @staticmethod
    def function(angle: Tensor) -> Tensor:
        return torch.cos(angle)


class _QuantPeriodic(QuantNonLinearActLayer):
    """A periodic activation as hardware computes it.

    For input x and phase width P: t = x / period, p = ⌊t·2^P⌋ (mod 2^P, a bit truncation), and the
    output is Q(f(2π(p + ½)/2^P)) with Q the output quantizer ``act_quant``. Taking f at the bin
    centre keeps the floor free of bias. Gradients pass straight through the floor and the rounding:
    dy/dx = (2π/period)·f'(2π(p + ½)/2^P) where Q does not clip.

    Args:
        phase_bit_width: P, 4 to 16; the table has 2^P entries.
        period: period of f in units of the input: 2π for radians, 1 for turns. A power of two keeps
            power-of-two scales exact; fold ω0/2π into the weights of the layer before.
        act_quant: output quantizer; default 8 bits over [-1, 1) with scale 2^-7 (``bit_width=``
            overrides the bits). None leaves the output unquantized.
        return_quant_tensor: hand on an IntQuantTensor, which a stock layer or a bias quantizer with
            external scale needs.

    Input and output: float32 of the same, arbitrary shape. Raises ValueError for phase_bit_width
    out of range or a period that is not positive.
    """

    phase_function: type[_PhaseFunction]

    def __init__(
        self,
        phase_bit_width: int = 12,
        period: float = 2 * math.pi,
        act_quant: ActQuantType | None = Int8UnitActPerTensorFixedPoint,
        return_quant_tensor: bool = False,
        **kwargs,
    ) -> None:
        if not MIN_PHASE_BITS <= phase_bit_width <= MAX_PHASE_BITS:
            raise ValueError(
                f"phase_bit_width={phase_bit_width} is out of range: use {MIN_PHASE_BITS} to "
                f"{MAX_PHASE_BITS}"
            )
        if not (period > 0 and math.isfinite(period)):
            raise ValueError(f"period={period} must be a positive number (2π for radians)")
        super().__init__(
            act_impl=self.phase_function,
            passthrough_act=False,
            input_quant=PhaseQuant,
            act_quant=act_quant,
            return_quant_tensor=return_quant_tensor,
            phase_bit_width=phase_bit_width,
            input_phase_bit_width=phase_bit_width,
            **kwargs,
        )
        self.phase_bit_width = phase_bit_width
        self.period = period

    def forward(self, input: Tensor | QuantTensor) -> Tensor | QuantTensor:
        x = input.value if isinstance(input, QuantTensor) else input
        return super().forward(x if self.period == 1 else x / self.period)


class QuantSine(_QuantPeriodic):
    phase_function = SineOfPhase
    __doc__ = "Quantized sine: f = sin.\n" + (_QuantPeriodic.__doc__ or "")


class QuantCos(_QuantPeriodic):
    phase_function = CosineOfPhase
    __doc__ = "Quantized cosine: f = cos.\n" + (_QuantPeriodic.__doc__ or "")
