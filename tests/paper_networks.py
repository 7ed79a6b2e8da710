# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The networks of the papers in plain PyTorch, written from their formulas, to compare ours with.

They share nothing with dhq_brevitas: own layers, own initialization, PyTorch's global generator.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

OMEGA = 30.0


class Plain(nn.Module):
    """2 -> hidden (layers times) -> channels with ``activation`` behind each hidden layer."""

    def __init__(
        self,
        activation: Callable[[Tensor], Tensor],
        hidden: int,
        layers: int,
        channels: int,
        sine_like: bool,
        encode: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        inputs = 2 if encode is None else encode(torch.zeros(1, 2)).shape[1]
        widths = [inputs, *[hidden] * layers, channels]
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        if sine_like:
            with torch.no_grad():
                for index, linear in enumerate(self.linears):
                    n = linear.in_features
                    bound = 1 / n if index == 0 else math.sqrt(6 / n) / OMEGA
                    linear.weight.uniform_(-bound, bound)
        self.activation, self.encode = activation, encode

    def forward(self, x: Tensor) -> Tensor:
        if self.encode is not None:
            x = self.encode(x)
        for linear in self.linears[:-1]:
            x = self.activation(linear(x))
        return self.linears[-1](x)


def sine(z: Tensor) -> Tensor:
    return torch.sin(OMEGA * z)


def finer(z: Tensor) -> Tensor:
    with torch.no_grad():
        factor = torch.abs(z) + 1
    return torch.sin(OMEGA * factor * z)


def gaussian(z: Tensor) -> Tensor:
    return torch.exp(-((20 * z) ** 2))


def real_gabor(z: Tensor) -> Tensor:
    return torch.exp(1j * 20 * z - (10 * z) ** 2).real


def quadratic(z: Tensor) -> Tensor:
    u = torch.remainder(OMEGA * z + 2, 4) - 2
    return torch.where(u < 0, u**2 + 2 * u, -(u**2) + 2 * u)


def hosc(z: Tensor) -> Tensor:
    return torch.tanh(2 * torch.sin(OMEGA * z))


def positional_encoding(x: Tensor) -> Tensor:
    parts = []
    for k in range(8):
        parts += [torch.sin(2**k * math.pi * x), torch.cos(2**k * math.pi * x)]
    return torch.cat(parts, dim=1)


def paper_network(family: str, hidden: int, layers: int, channels: int) -> Plain:
    """The plain network of a family, at its default numbers."""
    activation, sine_like, encode = {
        "siren": (sine, True, None),
        "finer": (finer, True, None),
        "gaussian": (gaussian, False, None),
        "wire": (real_gabor, False, None),
        "relu": (torch.relu, False, positional_encoding),
        "quadinr": (quadratic, True, None),
        "hosc": (hosc, True, None),
    }[family]
    return Plain(activation, hidden, layers, channels, sine_like, encode)
