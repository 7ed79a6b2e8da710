# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""HOSC: f(z) = tanh(β sin(ω z)), between a sine (small β) and a square wave.

Serrano, Szymkowiak, Musialski, "HOSC: A Periodic Activation Function for Preserving Sharp Features
in Implicit Neural Representations", 2024, arXiv:2401.10967. β is a number here, not learned.
Initialization and learning rate as for SIREN.
"""

import math
from functools import partial

import torch
from torch import Tensor

from dhq_brevitas.inr.families.base import (
    Activation,
    Family,
    Parameters,
    omega_of,
    siren_initialize,
)

__all__ = ["FAMILY", "hyperbolic_oscillation"]


def hyperbolic_oscillation(beta: float, angle: Tensor) -> Tensor:
    """tanh(β sin(angle))."""
    return torch.tanh(beta * torch.sin(angle))


def activation(parameters: Parameters, index: int) -> Activation:
    """tanh(β sin(ω z))."""
    fn = partial(hyperbolic_oscillation, parameters["beta"])
    return Activation(fn, gain=omega_of(parameters, index), period=2 * math.pi)


FAMILY = Family(
    name="hosc",
    paper="Serrano et al. 2024, arXiv:2401.10967",
    activation=activation,
    initialize=siren_initialize,
    learning_rate=2e-3,
    parameters={"omega": 30.0, "omega_first": None, "beta": 2.0},
)
