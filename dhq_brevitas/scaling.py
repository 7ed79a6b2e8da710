# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Dyadic scales: as fine as a short mantissa allows, yet exact in float32 and in hardware."""

import torch
from brevitas.core.restrict_val import FloatRestrictValue
from torch import Tensor


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
