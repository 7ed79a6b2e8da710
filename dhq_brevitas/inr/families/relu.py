# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""ReLU behind a positional encoding.

Mildenhall, Srinivasan, Tancik, Barron, Ramamoorthi, Ng, "NeRF: Representing Scenes as Neural
Radiance Fields for View Synthesis", ECCV 2020, arXiv:2003.08934, equation 4:

    E(x) = (sin(2^k π x), cos(2^k π x)),  k = 0 … L - 1, for each coordinate x.

cos is a sine a quarter turn ahead, so E is a linear layer with powers of two as weights, phases of
0 and 1/2 (in units of π) as bias, and a sine: in hardware a layer of shifts and one table. It is
not trained. The layers behind it start as torch.nn.Linear does. The range of a ReLU is the largest
magnitude the trained network reaches.
"""

import math

import torch
from torch import Tensor

from dhq_brevitas.inr.families.base import Activation, Family, Parameters, default_initialize

__all__ = ["FAMILY"]

MAX_FREQUENCIES = 16


def encoding(in_features: int, parameters: Parameters) -> tuple[Tensor, Tensor]:
    """Weight [2·L·n, n] and bias [2·L·n] of the phases of E, in units of π."""
    frequencies = parameters["frequencies"]
    if frequencies != int(frequencies) or frequencies > MAX_FREQUENCIES:
        raise ValueError(
            f"frequencies={frequencies} must be a whole number, 1 to {MAX_FREQUENCIES}"
        )
    powers = 2.0 ** torch.arange(int(frequencies))
    # One block a coordinate: all its sines, then all its cosines.
    weight = torch.kron(torch.eye(in_features), torch.cat([powers, powers]).unsqueeze(1))
    bias = torch.cat([torch.zeros_like(powers), torch.full_like(powers, 0.5)]).repeat(in_features)
    return weight, bias


def activation(parameters: Parameters, index: int) -> Activation:
    """sin(π z) after the encoding, else max(z, 0)."""
    if index == 0:
        return Activation(torch.sin, gain=math.pi, period=2 * math.pi)
    return Activation(torch.relu)


FAMILY = Family(
    name="relu",
    paper="Mildenhall et al. 2020, arXiv:2003.08934",
    activation=activation,
    initialize=default_initialize,
    learning_rate=1e-3,
    parameters={"frequencies": 8.0},
    encoding=encoding,
)
