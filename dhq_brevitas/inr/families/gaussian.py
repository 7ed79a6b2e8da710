# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Gaussian: f(z) = exp(-(s z)²).

Ramasinghe, Lucey, "Beyond Periodicity: Towards a Unifying Framework for Activations in
Coordinate-MLPs", ECCV 2022, arXiv:2111.15135: exp(-z²/2a²), so s = 1/(√2 a). Layers start as
torch.nn.Linear does. s and the learning rate lie between those that the authors of WIRE (s = 10,
2e-3) and of FINER (s = 30, 5e-3) give for it.
"""

import torch
from torch import Tensor

from dhq_brevitas.inr.families.base import Activation, Family, Parameters, default_initialize

__all__ = ["FAMILY", "LIMIT", "bell"]

# exp(-3.5²) is 5e-6: less than half a step of 12 unsigned bits.
LIMIT = 3.5
# exp(-40) is 4e-18, nothing beside float32's 6e-8; smaller values would soon be denormal numbers,
# with which processors calculate many times more slowly.
LARGEST_EXPONENT = 40.0


def bell(u: Tensor) -> Tensor:
    """exp(-u²), no smaller than exp(-40)."""
    return torch.exp(-(u**2).clamp(max=LARGEST_EXPONENT))


def activation(parameters: Parameters, index: int) -> Activation:
    """exp(-(s z)²)."""
    return Activation(bell, gain=parameters["scale"], limit=LIMIT)


FAMILY = Family(
    name="gaussian",
    paper="Ramasinghe and Lucey 2022, arXiv:2111.15135",
    activation=activation,
    initialize=default_initialize,
    learning_rate=5e-3,
    parameters={"scale": 20.0},
)
