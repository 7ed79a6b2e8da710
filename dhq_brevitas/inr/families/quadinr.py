# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""QuadINR: a sine made of parabolas, φ(u) = u (2 - |u|) on [-2, 2), repeated with period 4.

Zhou et al., "QuadINR: Hardware-Efficient Implicit Neural Representations Through Quadratic
Activation", 2025, arXiv:2508.14374; f(z) = φ(ω z). φ is odd, has a continuous derivative, and is
1.03 sin(πu/2) plus odd harmonics that fall with the cube of their order. ω, the initialization and
the learning rate are SIREN's, with which it shares the slope at 0 up to a factor of 2.
"""

import torch
from torch import Tensor

from dhq_brevitas.inr.families.base import (
    Activation,
    Family,
    Parameters,
    omega_of,
    siren_initialize,
)

__all__ = ["FAMILY", "parabolas"]

PERIOD = 4.0


def parabolas(u: Tensor) -> Tensor:
    """φ(u)."""
    centerd = u - PERIOD * torch.floor(u / PERIOD + 0.5)
    return centerd * (2 - centerd.abs())


def activation(parameters: Parameters, index: int) -> Activation:
    """φ(ω z)."""
    return Activation(parabolas, gain=omega_of(parameters, index), period=PERIOD)


FAMILY = Family(
    name="quadinr",
    paper="Zhou et al. 2025, arXiv:2508.14374",
    activation=activation,
    initialize=siren_initialize,
    learning_rate=2e-3,
    parameters={"omega": 30.0, "omega_first": None},
)
