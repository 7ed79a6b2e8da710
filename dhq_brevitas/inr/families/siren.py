# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""SIREN: f(z) = sin(ω z).

Sitzmann, Martel, Bergman, Lindell, Wetzstein, "Implicit Neural Representations with Periodic
Activation Functions", NeurIPS 2020, arXiv:2006.09661. Learning rate 2e-3 with a falling schedule,
within the 1e-3 to 2e-3 that the authors of WIRE recommend for SIREN on pictures; the paper's 1e-4
needs ten times the steps.
"""

import math

import torch

from dhq_brevitas.inr.families.base import (
    Activation,
    Family,
    Parameters,
    omega_of,
    siren_initialize,
)

__all__ = ["FAMILY"]


def activation(parameters: Parameters, index: int) -> Activation:
    """sin(ω z)."""
    return Activation(torch.sin, gain=omega_of(parameters, index), period=2 * math.pi)


FAMILY = Family(
    name="siren",
    paper="Sitzmann et al. 2020, arXiv:2006.09661",
    activation=activation,
    initialize=siren_initialize,
    learning_rate=2e-3,
    parameters={"omega": 30.0, "omega_first": None},
)
