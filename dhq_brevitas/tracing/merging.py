# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Tables side by side that are one: sin(Bx) and cos(Bx) are sin of [B; B] x + [0; π/2].

A network whose branches are such tables is a chain again.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from dhq_brevitas.tracing.expressions import Expression, period_of
from dhq_brevitas.tracing.nodes import Linear, Node, Table, in_order

__all__ = ["merge_tables"]

POINTS = 257
TOLERANCE = 1e-9


def merge_tables(outputs: Iterable[Node]) -> None:
    """In place, for every Linear that adds up over several tables of linear maps."""
    made: dict[tuple[int, ...], Table] = {}
    for node in in_order(outputs):
        if isinstance(node, Linear) and len(node.terms) > 1:
            _merge(node, made)


def _merge(node: Linear, made: dict[tuple[int, ...], Table]) -> None:
    groups: list[list[tuple[Table, Tensor, float]]] = []
    terms: list[tuple[Node, Tensor]] = []
    for source, weight in node.terms:
        if not isinstance(source, Table) or not isinstance(source.source, Linear):
            terms.append((source, weight))
            continue
        for group in groups:
            shift = _shift(group[0][0], source)
            if shift is not None:
                group.append((source, weight, shift))
                break
        else:
            groups.append([(source, weight, 0.0)])
    for group in groups:
        tables = [table for table, _, _ in group]
        key = tuple(map(id, tables))
        if len(group) > 1 and key not in made:
            made[key] = _stacked(tables, [shift for _, _, shift in group])
        merged = made[key] if len(group) > 1 else tables[0]
        terms.append((merged, torch.cat([weight for _, weight, _ in group], dim=1)))
    node.terms = tuple(terms)


def _stacked(tables: list[Table], shifts: list[float]) -> Table:
    first = tables[0]
    linears = [table.source for table in tables]
    sources = [source for source, _ in linears[0].terms]  # type: ignore[attr-defined]
    weights = [dict(linear.terms) for linear in linears]  # type: ignore[attr-defined]
    terms = tuple((x, torch.cat([weight[x] for weight in weights])) for x in sources)
    biases = [linear.bias + s for linear, s in zip(linears, shifts, strict=True)]  # type: ignore[attr-defined]
    width = sum(table.width for table in tables)
    linear = Linear(width, first.lead, first.source.path, terms, torch.cat(biases))
    return Table(width, first.lead, first.path, linear, first.fn)


def _shift(one: Table, other: Table) -> float | None:
    """s with other(x) = one(x + s), for tables of maps of the same nodes; None if there is none."""
    first, second = one.source, other.source
    assert isinstance(first, Linear)
    assert isinstance(second, Linear)
    if {x for x, _ in first.terms} != {x for x, _ in second.terms}:
        return None
    if repr(one.fn) == repr(other.fn):
        return 0.0
    period = period_of(one.fn)
    if not period or period_of(other.fn) != period:
        return None
    for quarter in (1, 2, 3):
        if _equal(one.fn, other.fn, quarter / 4 * period, period):
            return quarter / 4 * period
    return None


def _equal(one: Expression, other: Expression, shift: float, period: float) -> bool:
    x = torch.linspace(-period, period, POINTS, dtype=torch.float64)
    expected = other(x)
    error = (one(x + shift) - expected).abs().max()
    return bool(error <= TOLERANCE * expected.abs().max().clamp_min(1e-30))
