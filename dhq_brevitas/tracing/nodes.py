# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A float network in the terms of hardware: linear maps, tables, sums, products.

Every node is a matrix [samples, width]: no operation mixes samples. Numbers are float64.

==========  ========================================================================================
node        its rows
==========  ========================================================================================
Input       what the network is given, its channels last
Linear      Σ W_i·x_i + b over one or several nodes x_i, as if they were concatenated
Table       f(x), element by element
Sum         Σ c_i·x_i + d, with a factor for each channel
Product     x · y, element by element
Cat         parts side by side; Linear resolves it, so it remains before outputs only
==========  ========================================================================================
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dhq_brevitas.tracing.expressions import Expression

__all__ = [
    "Cat",
    "Input",
    "Linear",
    "Node",
    "Product",
    "Sum",
    "Table",
    "evaluate",
    "in_order",
    "operands",
    "parts_of",
]


@dataclass(eq=False)
class Node:
    """Attributes: ``width``; ``lead``, the shape of the samples; ``path`` of the user's module."""

    width: int
    lead: tuple[int, ...]
    path: str = ""


@dataclass(eq=False)
class Input(Node):
    """Input number ``position``."""

    position: int = 0


@dataclass(eq=False)
class Linear(Node):
    """``terms``: (node, weight [width, n]); ``bias`` [width]."""

    terms: tuple[tuple[Node, Tensor], ...] = ()
    bias: Tensor = field(default_factory=lambda: torch.zeros(0))


@dataclass(eq=False)
class Table(Node):
    """``fn`` of ``source``."""

    source: Node = field(default_factory=lambda: Node(0, ()))
    fn: Expression = field(default_factory=Expression)


@dataclass(eq=False)
class Sum(Node):
    """``terms``: (node, factor [width]); ``shift`` [width]."""

    terms: tuple[tuple[Node, Tensor], ...] = ()
    shift: Tensor = field(default_factory=lambda: torch.zeros(0))


@dataclass(eq=False)
class Product(Node):
    """``factors``: two nodes of the same width."""

    factors: tuple[Node, ...] = ()


@dataclass(eq=False)
class Cat(Node):
    """``parts``: nodes, and vectors of constants."""

    parts: tuple[Node | Tensor, ...] = ()


def operands(node: Node) -> list[Node]:
    """What a node is computed from."""
    match node:
        case Linear() | Sum():
            return [source for source, _ in node.terms]
        case Table():
            return [node.source]
        case Product():
            return list(node.factors)
        case Cat():
            return [part for part in node.parts if isinstance(part, Node)]
    return []


def parts_of(node: Node) -> list[Node | Tensor]:
    """Nodes and vectors of constants that ``node`` has side by side; none of them is a Cat."""
    if not isinstance(node, Cat):
        return [node]
    return [
        x for part in node.parts for x in (parts_of(part) if isinstance(part, Node) else [part])
    ]


def in_order(outputs: Iterable[Node]) -> list[Node]:
    """All nodes that ``outputs`` are computed from, each behind its operands."""
    ordered: dict[Node, None] = {}
    waiting = [(node, False) for node in reversed(list(outputs))]
    while waiting:
        node, ready = waiting.pop()
        if ready:
            ordered.setdefault(node)
        elif node not in ordered:
            waiting.append((node, True))
            waiting += [(operand, False) for operand in reversed(operands(node))]
    return list(ordered)


def evaluate(
    nodes: Sequence[Node], inputs: Sequence[Tensor], note: Callable[[Node, Tensor], None]
) -> None:
    """Runs ``nodes``, in order, on ``inputs`` [samples, width]; ``note`` sees each result."""
    values: dict[Node, Tensor] = {}
    for node in nodes:
        values[node] = _value(node, values, inputs)
        note(node, values[node])


def _value(node: Node, values: dict[Node, Tensor], inputs: Sequence[Tensor]) -> Tensor:
    match node:
        case Input():
            return inputs[node.position]
        case Linear():
            device = inputs[0].device
            products = [values[x] @ w.to(device).T for x, w in node.terms]
            return sum(products, start=node.bias.to(device))
        case Table():
            return node.fn(values[node.source]).to(torch.float64)
        case Sum():
            products = [values[x] * c.to(values[x]) for x, c in node.terms]
            return sum(products, start=node.shift.to(products[0]))
        case Product():
            return values[node.factors[0]] * values[node.factors[1]]
    raise TypeError(type(node))
