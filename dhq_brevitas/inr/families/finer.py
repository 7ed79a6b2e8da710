# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""FINER: f(z) = sin(ω (|z| + 1) z), a sine whose frequency grows with the input.

Liu, Zhu, Zhang, Fu, Deng, Ma, Guo, Cao, "FINER: Flexible spectral-bias tuning in Implicit NEural
Representation by Variable-periodic Activation Functions", CVPR 2024, arXiv:2312.02434. As in the
authors' code, no gradient passes through the factor |z| + 1, and 5e-4 is the learning rate.
Initialized as SIREN; the first bias is uniform in ±k, k = ``first_bias`` (None: 1/√n), larger for
signals of higher frequency.

It is not periodic. Its range is the largest |z| of the trained network; at that end the frequency
is highest, 2|z| + 1 times ω, so it wants more address bits than a sine of the same ω.
"""

from functools import partial

import torch
from torch import Generator, Tensor, nn

from dhq_brevitas.inr.families.base import (
    Activation,
    Family,
    Parameters,
    omega_of,
    siren_initialize,
)

__all__ = ["FAMILY", "variable_sine"]


def variable_sine(omega: float, z: Tensor) -> Tensor:
    """sin(ω (|z| + 1) z); the derivative is taken with |z| + 1 held constant."""
    return torch.sin(omega * (z.detach().abs() + 1) * z)


def activation(parameters: Parameters, index: int) -> Activation:
    """sin(ω (|z| + 1) z)."""
    return Activation(partial(variable_sine, omega_of(parameters, index)))


def initialize(
    linear: nn.Linear, index: int, last: int, parameters: Parameters, rng: Generator
) -> None:
    """As SIREN, with a first bias in ±first_bias."""
    siren_initialize(linear, index, last, parameters, rng)
    bound = parameters["first_bias"]
    if index == 0 and bound is not None:
        with torch.no_grad():
            linear.bias.uniform_(-bound, bound, generator=rng)


FAMILY = Family(
    name="finer",
    paper="Liu et al. 2024, arXiv:2312.02434",
    activation=activation,
    initialize=initialize,
    learning_rate=5e-4,
    parameters={"omega": 30.0, "omega_first": None, "first_bias": None},
)
