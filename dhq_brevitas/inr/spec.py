# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The description of an INR, from which :mod:`dhq_brevitas.inr.network` builds it."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from dhq_brevitas.inr.families import Activation, get_family
from dhq_brevitas.util.errors import ArgumentError, check_integer

__all__ = ["MAX_LAYERS", "InrSpec"]

MAX_LAYERS = 32
#: Of a layer: its weights then take a GiB.
MAX_WIDTH = 1 << 14


@dataclass(frozen=True)
class InrSpec:
    """Shape of an INR.

    Attributes:
        hidden: width of every hidden layer, at most 16384.
        layers: number of hidden layers, 1 to 32; a linear layer follows them, and an encoding may
            precede them.
        in_features: coordinates, out_features: samples (3 for RGB, 1 for grey).
        family: name of an INR family, see :func:`dhq_brevitas.inr.families.get_family`.
        parameters: the family's numbers, such as ω; those not given have their defaults.
        first_hidden: width of the first hidden layer, behind an encoding; None: ``hidden``.

    >>> InrSpec(hidden=16, layers=1, family="gaussian", parameters={"scale": 10.0}).sizes
    [(2, 16), (16, 3)]
    """

    hidden: int = 128
    layers: int = 3
    in_features: int = 2
    out_features: int = 3
    family: str = "siren"
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    first_hidden: int | None = None

    def __post_init__(self) -> None:
        given = () if self.first_hidden is None else ("first_hidden",)
        for name in ("hidden", "in_features", "out_features", *given):
            check_integer(name, getattr(self, name), 1)
            if getattr(self, name) > MAX_WIDTH:
                problem = f"is out of range: use at most {MAX_WIDTH}"
                raise ArgumentError(name, getattr(self, name), problem)
        check_integer("layers", self.layers, 0)
        if not 1 <= self.layers <= MAX_LAYERS:
            raise ArgumentError("layers", self.layers, f"is out of range: use 1 to {MAX_LAYERS}")
        checked = get_family(self.family).checked(self.parameters)
        object.__setattr__(self, "parameters", checked)
        self.encoding  # noqa: B018  raises ValueError for numbers the family cannot use

    @property
    def encoding(self) -> tuple[Tensor, Tensor] | None:
        """Weight and bias of a first linear layer that is an encoding, which is not trained."""
        family = get_family(self.family)
        return family.encoding and family.encoding(self.in_features, self.parameters)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(in_features, out_features) of every linear layer."""
        first = self.hidden if self.first_hidden is None else self.first_hidden
        others = [self.hidden] * (self.layers - 1)
        widths = [self.in_features, first, *others, self.out_features]
        if self.encoding is not None:
            widths.insert(1, len(self.encoding[1]))
        return list(itertools.pairwise(widths))

    @property
    def activations(self) -> list[Activation]:
        """The activation behind every linear layer but the last."""
        family = get_family(self.family)
        return [family.activation(self.parameters, i) for i in range(len(self.sizes) - 1)]
