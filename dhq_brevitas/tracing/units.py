# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The units in which results are best held, so that layers take multiplications over.

A linear map takes over any factor of its result, and so does a product one of whose factors is a
linear map; a sum is divided by what the one table that reads it wants if all of its terms can be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dhq_brevitas.tracing.nodes import Linear, Node, Product, Sum, Table
from dhq_brevitas.tracing.ranges import Domain, power_of_two, rounded_up

__all__ = ["Units"]


@dataclass(frozen=True)
class Units:
    """Units of the results of a graph; ``users`` has None for an output.

    Factors and offsets are float64, one number or [width].
    """

    users: Mapping[Node, Sequence[Any]]
    domains: Mapping[Node, Domain]

    def periodic(self, node: Linear) -> bool:
        """Whether whole units of its output do not matter."""
        users = self.users[node]
        return all(isinstance(u, Table) and self.domains[u].period for u in users) and bool(
            self.linear(node)[0][0] != 1 or len(users) == 1
        )

    def linear(self, node: Node) -> tuple[Tensor, Tensor]:
        """Factor and offset that the readers of a linear map want."""
        one, zero = torch.ones(1).double(), torch.zeros(1).double()
        wishes = []
        for user in self.users[node]:
            if isinstance(user, Table):
                domain = self.domains[user]
                unit = domain.unit if domain.period else rounded_up(domain.unit)
                wishes.append((one * unit, one * domain.middle))
            elif isinstance(user, Sum | Product) and len(self.users[node]) == 1:
                wishes.append((self._absorbed(node, user), zero))
            else:
                wishes.append((one, zero))
        first = wishes[0]
        agreed = all(torch.equal(a, b) for w in wishes for a, b in zip(w, first, strict=True))
        return first if agreed else (one, zero)

    def _absorbed(self, node: Node, user: Sum | Product) -> Tensor:
        """The factor that a linear map takes over from a sum of which it is in a term."""
        term: Node = node
        if isinstance(user, Product):
            above = self.users[user]
            if len(above) != 1 or not isinstance(above[0], Sum) or self.absorber(user) is not node:
                return torch.ones(1).double()
            term, user = user, above[0]
        unit = self.sum(user)
        return torch.ones(1).double() if unit is None else unit / dict(user.terms)[term]

    def absorber(self, term: Node) -> Linear | None:
        """The linear map that can take over a factor of a term of a sum."""
        if len(self.users[term]) != 1:
            return None
        if isinstance(term, Linear):
            return term
        factors = term.factors if isinstance(term, Product) else ()
        return next((x for x in factors if isinstance(x, Linear) and self.absorber(x)), None)

    def sum(self, node: Sum) -> Tensor | None:
        """What its terms are divided by for the one table that reads a sum; None if they cannot."""
        users = self.users[node]
        if len(users) != 1 or not isinstance(users[0], Table):
            return None
        terms = dict(node.terms)
        if len(terms) != len(node.terms):
            return None
        absorbed = all(self.absorber(x) and bool((c != 0).all()) for x, c in terms.items())
        return self.linear(node)[0] if absorbed else None

    def table(self, node: Table) -> tuple[float, float]:
        """Scale and center of a function's values that its readers can undo."""
        domain, users = self.domains[node], self.users[node]
        if not all(isinstance(user, Linear) for user in users):
            if all(isinstance(user, Linear | Sum | Product) for user in users):
                concatenated = any(isinstance(u, Linear) and len(u.terms) > 1 for u in users)
                largest = max(abs(domain.low), abs(domain.high))
                return (power_of_two(largest) if concatenated else 1.0), 0.0
            return 1.0, 0.0
        low, high = domain.low, domain.high
        largest = max(abs(low), abs(high)) or 1.0
        lopsided = low < 0 < high and min(-low, high) < 0.75 * largest
        if not lopsided and (low >= 0 or high > 0):
            return largest, 0.0
        return ((high - low) / 2 or 1.0), (low + high) / 2
