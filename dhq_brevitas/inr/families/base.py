# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What an INR family is: its activation, its initialization, its learning rate.

A family describes networks of the form

    z_0 = x,  z_{i+1} = f_i(g_i · (W_i z_i + b_i)),  y = W_L z_L + b_L

with scalar functions f_i and gains g_i. Both networks are built from the description, the float one
(:mod:`dhq_brevitas.inr.network`) and the quantized one (:mod:`dhq_brevitas.inr.quantized`), which
folds g_i into the weights and makes f_i a table.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor, nn

from dhq_brevitas.util.errors import ArgumentError

__all__ = ["Activation", "Family", "default_initialize", "omega_of", "siren_initialize", "uniform"]

Parameters = Mapping[str, Any]

RATE_WIDTH = 128


@dataclass(frozen=True)
class Activation:
    """f(gain · z) between two linear layers.

    Attributes:
        fn: f, of a float tensor, element by element, from PyTorch operations.
        gain: factor of the pre-activation.
        period: of f; or
        limit: half the range of gain · z that the quantized network distinguishes; beyond it f has
            the value of that end. Without period and limit, the limit is the largest magnitude that
            the trained float network reaches.
    """

    fn: Callable[[Tensor], Tensor]
    gain: float = 1.0
    period: float | None = None
    limit: float | None = None

    def __call__(self, z: Tensor) -> Tensor:
        return self.fn(self.gain * z)


@dataclass(frozen=True)
class Family:
    """An INR family.

    Attributes:
        name: what it is asked for by.
        paper: its source.
        activation: (parameters, index of the layer) -> activation after that linear layer.
        initialize: (linear layer, its index, index of the last one, parameters, generator), sets
            weight and bias in place.
        parameters: names of the family's numbers, with their defaults. None stands for a default
            that depends on the network.
        learning_rate: of Adam, good for pictures without tuning, at widths up to RATE_WIDTH; see
            :meth:`rate`.
        encoding: (input features, parameters) -> weight [m, n] and bias [m] of a first linear layer
            that is not trained; its activation is ``activation(parameters, 0)``. None: no such
            layer.
    """

    name: str
    paper: str
    activation: Callable[[Parameters, int], Activation]
    initialize: Callable[[nn.Linear, int, int, Parameters, Generator], None]
    learning_rate: float
    parameters: Parameters = field(default_factory=dict)
    encoding: Callable[[int, Parameters], tuple[Tensor, Tensor]] | None = None

    def rate(self, hidden: int) -> float:
        """Learning rate for networks ``hidden`` wide: beyond RATE_WIDTH inversely as the width.

        So Adam changes what a layer computes by as much at every width (Yang et al., "Tensor
        Programs V", 2022, arXiv:2203.03466). Too large a rate makes large weights, which cost most
        once they are quantized.
        """
        return self.learning_rate * RATE_WIDTH / max(hidden, RATE_WIDTH)

    def checked(self, given: Parameters) -> dict[str, Any]:
        """All parameters, those of ``given`` instead of the defaults.

        ValueError for an unknown one, or one that is not a positive number.
        """
        if not isinstance(given, Mapping):
            raise ArgumentError("parameters", given, "must be a dictionary of names and numbers")
        for name, value in given.items():
            if name not in self.parameters:
                known = ", ".join(self.parameters) or "none"
                raise ValueError(f"{name}={value} is no parameter of {self.name}; it has: {known}")
            if value is None:
                continue
            if not (math.isfinite(value) and value > 0):
                usual = self.parameters[name]
                hint = "" if usual is None else f" ({usual:g} is usual)"
                raise ValueError(f"{name}={value} must be a positive number{hint}")
        return {**self.parameters, **given}


# -- what several families share -------------------------------------------------------------------


def uniform(linear: nn.Linear, weight_bound: float, bias_bound: float, rng: Generator) -> None:
    """Weight and bias uniform in ±bound."""
    with torch.no_grad():
        linear.weight.uniform_(-weight_bound, weight_bound, generator=rng)
        linear.bias.uniform_(-bias_bound, bias_bound, generator=rng)


def siren_initialize(
    linear: nn.Linear, index: int, last: int, parameters: Parameters, rng: Generator
) -> None:
    """W_0 uniform in ±1/n, the others in ±√(6/n)/ω; biases in ±1/√n.

    Sitzmann et al. 2020, section 3.2; the last layer with the ω of the hidden ones, too.
    """
    n = linear.in_features
    bound = 1 / n if index == 0 else math.sqrt(6 / n) / parameters["omega"]
    uniform(linear, bound, 1 / math.sqrt(n), rng)


def default_initialize(
    linear: nn.Linear, index: int, last: int, parameters: Parameters, rng: Generator
) -> None:
    """Weights and biases uniform in ±1/√n: what torch.nn.Linear starts from."""
    bound = 1 / math.sqrt(linear.in_features)
    uniform(linear, bound, bound, rng)


def omega_of(parameters: Parameters, index: int) -> float:
    """ω of layer ``index``: omega_first, if given, for the first."""
    first = parameters.get("omega_first")
    return first if index == 0 and first is not None else parameters["omega"]
