# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What becomes of values when they are computed with: the fewest nodes that say the same.

==============================================  ====================================================
case                                            result
==============================================  ====================================================
a number or a vector times or plus a value      no node: scale and shift of the value
a function of a value                           no node: composed with the function so far
a linear map of a value without a function      one Linear, the product of both maps
a linear map of a function                      Table, then Linear; the outer affine map is folded
two values that are functions of one variable   one function
other sums and products                         Sum, Product
values side by side                             Cat, which a Linear behind it takes apart
==============================================  ====================================================
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dhq_brevitas.tracing.expressions import Expression, X
from dhq_brevitas.tracing.nodes import Cat, Input, Linear, Node, Product, Sum, Table
from dhq_brevitas.tracing.values import Value, joined, plain, uniform

__all__ = ["Algebra"]


class Algebra:
    """Makes nodes; equal ones once. ``path``: of the user's module that is being read."""

    def __init__(self) -> None:
        self.path = ""
        self._made: dict[tuple, Node] = {}

    def _once(self, key: tuple, node: Node) -> Node:
        # The key holds ids of nodes, which the made node keeps alive.
        return self._made.setdefault(key, node)

    # -- affine maps and functions ---------------------------------------------------------------

    def affine(self, value: Value, scale: Tensor, shift: Tensor) -> Value:
        """scale · value + shift, for vectors [width]."""
        if value.fn is X:
            return replace(value, scale=value.scale * scale, shift=value.shift * scale + shift)
        return replace(
            value,
            outer_scale=value.outer_scale * scale,
            outer_shift=value.outer_shift * scale + shift,
        )

    def inner(self, value: Value) -> Value:
        """``value`` as a function without an outer affine map."""
        scale, shift = uniform(value.outer_scale), uniform(value.outer_shift)
        if scale is None or shift is None:
            return plain(self.node(value), value.index)
        fn = value.fn.scaled(scale, shift)
        one, zero = torch.ones_like(value.scale), torch.zeros_like(value.scale)
        return replace(value, fn=fn, outer_scale=one, outer_shift=zero)

    def function(self, value: Value, outer: Expression) -> Value:
        """outer(value)."""
        value = self.inner(value)
        return replace(value, fn=outer.of(value.fn), path=self.path)

    def one_variable(self, values: Sequence[Value]) -> tuple[Value, list[Expression]] | None:
        """Values as functions of a common one: (that, the functions); None if they are not that."""
        values = [self.inner(value) for value in values]
        first, functions = values[0], []
        for value in values:
            same = value.source is first.source and torch.equal(value.slots, first.slots)
            line = _line_between(first, value) if same else None
            if line is None:
                return None
            functions.append(value.fn.of(X.scaled(*line)))
        return replace(first, fn=X), functions

    # -- nodes -----------------------------------------------------------------------------------

    def node(self, value: Value) -> Node:
        """A node with just the ``width`` channels of a value."""
        if isinstance(value.source, Cat):
            return self._node_of_cat(value)
        source = self._variable(value)
        if value.fn is X:
            return source
        scale, shift = uniform(value.outer_scale), uniform(value.outer_shift)
        if scale is not None and shift is not None:
            return self._table(source, value.fn.scaled(scale, shift), value.path)
        table = self._table(source, value.fn, value.path)
        return self._linear(
            ((table, torch.diag(value.outer_scale)),), value.outer_shift, source.lead
        )

    def _table(self, source: Node, fn: Expression, path: str) -> Node:
        table = Table(source.width, source.lead, path, source, fn)
        return self._once(("table", id(source), repr(fn)), table)

    def _variable(self, value: Value) -> Node:
        """The node that a value is a function of: its source, or an affine map of it."""
        source = value.source
        same = len(value.slots) == source.width and bool(
            (value.slots == torch.arange(source.width)).all()
        )
        trivial = same and uniform(value.scale) == 1 and uniform(value.shift) == 0
        if trivial and not (isinstance(source, Input) and value.fn is not X):
            return source
        weight = torch.zeros(value.width, source.width).double()
        weight[torch.arange(value.width), value.slots] = value.scale
        path = source.path if isinstance(source, Linear) else self.path
        return self._linear(((source, weight),), value.shift, source.lead, path)

    def _node_of_cat(self, value: Value) -> Node:
        """A Cat of the parts, each with its share of the affine map and the function."""
        parts: list[Node | Tensor] = []
        source, start = value.source, 0
        assert isinstance(source, Cat)
        same = torch.equal(value.slots, torch.arange(source.width))
        if not same:
            identity = torch.eye(value.width).double()
            mixed = replace(value, fn=X, outer_scale=value.scale, outer_shift=value.shift)
            pure = replace(mixed, index=torch.arange(value.width))
            variable = self._linear_of(pure, identity, torch.zeros(value.width).double())
            again = plain(variable, value.index)
            again = replace(again, fn=value.fn)
            return self.node(
                replace(again, outer_scale=value.outer_scale, outer_shift=value.outer_shift)
            )
        for part in source.parts:
            width = len(part) if isinstance(part, Tensor) else part.width
            share = slice(start, start + width)
            vectors = {
                n: getattr(value, n)[share]
                for n in ("scale", "shift", "outer_scale", "outer_shift")
            }
            start += width
            if isinstance(part, Tensor):
                inner = value.fn(vectors["scale"] * part + vectors["shift"])
                parts.append(vectors["outer_scale"] * inner + vectors["outer_shift"])
            else:
                own = plain(part, torch.arange(width))
                parts.append(self.node(replace(own, fn=value.fn, path=value.path, **vectors)))
        return self.cat_node(parts, source.lead)

    # -- linear maps -----------------------------------------------------------------------------

    def linear(self, value: Value, weight: Tensor, bias: Tensor, index: Tensor) -> Value:
        """weight · value + bias for each sample, arranged as ``index`` says; weight [m, width]."""
        return plain(self._linear_of(value, weight, bias), index)

    def _linear_of(self, value: Value, weight: Tensor, bias: Tensor) -> Node:
        lead = value.source.lead
        if value.fn is X:
            bias = bias + weight @ value.shift
            full = torch.zeros(len(weight), value.source.width).double()
            full.index_add_(1, value.slots, weight * value.scale)
            return self._linear(((value.source, full),), bias, lead)
        bias = bias + weight @ value.outer_shift
        one, zero = torch.ones(value.width).double(), torch.zeros(value.width).double()
        source = self.node(replace(value, outer_scale=one, outer_shift=zero))
        return self._linear(((source, weight * value.outer_scale),), bias, lead)

    def _linear(
        self,
        terms: Sequence[tuple[Node, Tensor]],
        bias: Tensor,
        lead: tuple[int, ...],
        path: str | None = None,
    ) -> Node:
        """A Linear that is fed with no Linear, no Cat and no node twice."""
        merged: dict[Node, Tensor] = {}
        waiting = list(terms)
        while waiting:
            source, weight = waiting.pop(0)
            if isinstance(source, Cat):
                start = 0
                for part in source.parts:
                    width = len(part) if isinstance(part, Tensor) else part.width
                    share = weight[:, start : start + width]
                    start += width
                    if isinstance(part, Tensor):
                        bias = bias + share @ part
                    else:
                        waiting.append((part, share))
            elif isinstance(source, Linear):
                bias = bias + weight @ source.bias
                waiting += [(inner, weight @ w) for inner, w in source.terms]
            else:
                merged[source] = merged[source] + weight if source in merged else weight
        kept = {node: weight for node, weight in merged.items() if bool((weight != 0).any())}
        kept = kept or dict(list(merged.items())[:1])
        path = self.path if path is None else path
        node = Linear(len(bias), lead, path, tuple(kept.items()), bias)
        key: tuple[Any, ...] = ("linear", bias.numpy().tobytes())
        for source, weight in node.terms:
            key += (id(source), weight.numpy().tobytes())
        return self._once(key, node)

    # -- two values ------------------------------------------------------------------------------

    def add(self, one: Value, other: Value, factor: float) -> Value:
        """one + factor · other."""
        (one, other), index, lead = joined([one, other])
        other = self.affine(
            other, torch.full_like(other.scale, factor), torch.zeros_like(other.scale)
        )
        same = one.source is other.source and torch.equal(one.slots, other.slots)
        if same and one.fn is X and other.fn is X:
            return replace(one, scale=one.scale + other.scale, shift=one.shift + other.shift)
        found = self.one_variable([one, other]) if one.source is other.source else None
        if found is not None:
            return self.function(found[0], Expression("add.Tensor", tuple(found[1])))
        terms, shift = [], torch.zeros(one.width).double()
        for value in (one, other):
            more, offset = self._terms(value)
            terms += more
            shift = shift + offset
        if all(isinstance(node, Linear) for node, _ in terms):
            sets = [{source for source, _ in node.terms} for node, _ in terms]  # type: ignore[attr-defined]
            if all(found == sets[0] for found in sets):
                scaled = [(node, torch.diag(factors)) for node, factors in terms]
                return plain(self._linear(scaled, shift, lead), index)
        key: tuple[Any, ...] = ("sum", shift.numpy().tobytes())
        for node, factors in terms:
            key += (id(node), factors.numpy().tobytes())
        node = Sum(one.width, lead, self.path, tuple(terms), shift)
        return plain(self._once(key, node), index)

    def _terms(self, value: Value) -> tuple[list[tuple[Node, Tensor]], Tensor]:
        """A value as Σ factor · node + shift, none of the nodes a Cat."""
        zero = torch.zeros(value.width).double()
        if value.fn is not X and not isinstance(value.source, Cat):
            one = torch.ones(value.width).double()
            node = self.node(replace(value, outer_scale=one, outer_shift=zero))
            return [(node, value.outer_scale)], value.outer_shift
        all_of_it = torch.equal(value.slots, torch.arange(value.source.width))
        if value.fn is X and all_of_it and isinstance(value.source, Sum | Input | Table | Product):
            return [(value.source, value.scale)], value.shift
        return [(self.physical(value), torch.ones(value.width).double())], zero

    def physical(self, value: Value) -> Node:
        """:meth:`node`, but no Cat: side by side by an identity matrix."""
        node = self.node(value)
        if not isinstance(node, Cat):
            return node
        return self._linear(
            ((node, torch.eye(node.width).double()),), torch.zeros(node.width).double(), node.lead
        )

    def multiply(self, one: Value, other: Value) -> Value:
        """one · other, element by element."""
        (one, other), index, lead = joined([one, other])
        if one.source is other.source:
            found = self._product_of_functions(one, other)
            if found is not None:
                return found
        factors, scale = [], torch.ones(one.width).double()
        for value in (one, other):
            terms, shift = self._terms(value)
            if len(terms) == 1 and not bool(shift.any()):
                factors.append(terms[0][0])
                scale = scale * terms[0][1]
            else:
                factors.append(self.physical(value))
        factors.sort(key=lambda node: isinstance(node, Linear))
        node = Product(one.width, lead, self.path, tuple(factors))
        made = plain(self._once(("product", *map(id, factors)), node), index)
        return self.affine(made, scale, torch.zeros_like(scale))

    def _product_of_functions(self, one: Value, other: Value) -> Value | None:
        scale = torch.ones(one.width).double()
        if not bool(one.outer_shift.any()) and not bool(other.outer_shift.any()):
            # Factors that differ by channel are left outside.
            scale = one.outer_scale * other.outer_scale
            ones = torch.ones_like(scale)
            one, other = replace(one, outer_scale=ones), replace(other, outer_scale=ones)
        found = self.one_variable([one, other])
        if found is None:
            return None
        product = self.function(found[0], Expression("mul.Tensor", tuple(found[1])))
        return self.affine(product, scale, torch.zeros_like(scale))

    # -- side by side ----------------------------------------------------------------------------

    def cat_node(self, parts: Sequence[Node | Tensor], lead: tuple[int, ...]) -> Node:
        """A Cat; a Linear where all parts are linear maps of the same nodes."""
        width = sum(len(part) if isinstance(part, Tensor) else part.width for part in parts)
        nodes = [part for part in parts if isinstance(part, Node)]
        if nodes and all(isinstance(node, Linear) for node in nodes):
            sets = [{source for source, _ in node.terms} for node in nodes]  # type: ignore[attr-defined]
            if all(found == sets[0] for found in sets):
                return self._stacked(parts, width, lead)
        key: tuple = ("cat",)
        for part in parts:
            key += (part.numpy().tobytes(),) if isinstance(part, Tensor) else (id(part),)
        return self._once(key, Cat(width, lead, self.path, tuple(parts)))

    def _stacked(self, parts: Sequence[Node | Tensor], width: int, lead: tuple[int, ...]) -> Node:
        terms, bias, start = [], torch.zeros(width).double(), 0
        for part in parts:
            size = len(part) if isinstance(part, Tensor) else part.width
            if isinstance(part, Tensor):
                bias[start : start + size] = part
            else:
                spread = torch.zeros(width, size).double()
                spread[start : start + size] = torch.eye(size).double()
                terms.append((part, spread))
            start += size
        return self._linear(terms, bias, lead)


def _line_between(one: Value, other: Value) -> tuple[float, float] | None:
    """(r, q) with which the variable of ``other`` is r times that of ``one`` plus q; or None."""
    nonzero = one.scale != 0
    if not bool(nonzero.all()):
        return (1.0, 0.0) if _equal(one.scale, other.scale, one.shift, other.shift) else None
    ratio = uniform(other.scale / one.scale)
    if ratio is None:
        return None
    offset = uniform(other.shift - ratio * one.shift)
    return None if offset is None else (ratio, offset)


def _equal(*pairs: Tensor) -> bool:
    return torch.equal(pairs[0], pairs[1]) and torch.equal(pairs[2], pairs[3])
