# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""WIRE with the real Gabor wavelet: f(z) = cos(ω z) exp(-(s z)²).

Saragadam, LeJeune, Tan, Balakrishnan, Veeraraghavan, Baraniuk, "WIRE: Wavelet Implicit Neural
Representations", CVPR 2023, arXiv:2301.05187. This is the real part of the paper's wavelet
exp(jωz - |s z|²) at real z. The complex network is not offered: its activation is a function of two
variables, the real and imaginary part, which no table of moderate size holds. Nor is the authors'
other real layer, which takes ω z and s z from two linear layers. Layers start as torch.nn.Linear
does; ω, s and the learning rate are those the authors give for pictures.
"""

from functools import partial

import torch
from torch import Tensor

from dhq_brevitas.inr.families.base import (
    Activation,
    Family,
    Parameters,
    default_initialize,
    omega_of,
)
from dhq_brevitas.inr.families.gaussian import LIMIT, bell

__all__ = ["FAMILY", "gabor"]


def gabor(cycles: float, u: Tensor) -> Tensor:
    """cos(cycles · u) exp(-u²)."""
    return torch.cos(cycles * u) * bell(u)


def activation(parameters: Parameters, index: int) -> Activation:
    """cos(ω z) exp(-(s z)²) in u = s z."""
    scale = parameters["scale"]
    cycles = omega_of(parameters, index) / scale
    return Activation(partial(gabor, cycles), gain=scale, limit=LIMIT)


FAMILY = Family(
    name="wire",
    paper="Saragadam et al. 2023, arXiv:2301.05187",
    activation=activation,
    initialize=default_initialize,
    learning_rate=5e-3,
    parameters={"omega": 20.0, "omega_first": None, "scale": 10.0},
)
