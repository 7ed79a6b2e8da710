# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What each tensor of a user's graph holds, element by element.

A tensor of any shape is a node's matrix [samples, width] in another arrangement, with an affine map
and a function applied:

    element = outer_scale_k · fn(scale_k · source[sample, slots_k] + shift_k) + outer_shift_k

``index`` has the tensor's shape and holds sample · width + k. Reshapes, permutations, slices and
expansions are done on ``index``, by the very operators that the user's code calls, so that nothing
has to be known of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor

from dhq_brevitas.tracing.expressions import Expression, X
from dhq_brevitas.tracing.nodes import Node

__all__ = ["MixedSamples", "Value", "all_are", "by_slot", "in_lead", "joined", "uniform", "whole"]

# More different constants or patterns in one operator are a sign that samples are mixed.
MAX_PATTERNS = 1 << 12


class MixedSamples(ValueError):
    """An operator combines samples, or treats them differently."""


@dataclass(frozen=True, eq=False)
class Value:
    """See the module docstring; vectors are float64 [width]. ``path``: of the last function."""

    source: Node
    index: Tensor
    slots: Tensor
    scale: Tensor
    shift: Tensor
    fn: Expression
    outer_scale: Tensor
    outer_shift: Tensor
    path: str = ""

    @property
    def width(self) -> int:
        """Elements a sample."""
        return len(self.slots)

    @property
    def samples(self) -> Tensor:
        """The sample of each element."""
        return self.index // self.width

    @property
    def places(self) -> Tensor:
        """k of each element."""
        return self.index % self.width

    def picked(self, places: Tensor, index: Tensor) -> "Value":
        """Elements ``places`` of each sample, arranged as ``index`` says."""
        vectors = {
            name: getattr(self, name)[places]
            for name in ("slots", "scale", "shift", "outer_scale", "outer_shift")
        }
        return replace(self, index=index, **vectors)

    def compact(self) -> "Value":
        """Without the slots that no element has."""
        used, places = torch.unique(self.places, return_inverse=True)
        if len(used) == self.width:
            return self
        return self.picked(used, self.samples * len(used) + places)


def whole(node: Node, shape: Sequence[int], axis: int | None) -> Value:
    """All of a node, as a tensor of ``shape`` whose channels are on ``axis``, or are none."""
    index = torch.arange(prod(node.lead) * node.width)
    if axis is None:
        index = index.reshape(tuple(shape))
    else:
        channels_last = [n for i, n in enumerate(shape) if i != axis] + [node.width]
        index = index.reshape(channels_last).movedim(-1, axis)
    return plain(node, index)


def plain(node: Node, index: Tensor) -> Value:
    """The node's own values, arranged as ``index`` says."""
    one, zero = torch.ones(node.width).double(), torch.zeros(node.width).double()
    return Value(node, index, torch.arange(node.width), one, zero, X, one, zero)


def by_slot(value: Value, constant: Tensor) -> tuple[Value, Tensor]:
    """``value`` broadcast against a constant, and the constant as a vector [width]."""
    shape = torch.broadcast_shapes(value.index.shape, constant.shape)
    value = replace(value, index=value.index.expand(shape))
    constant = constant.expand(shape)
    places = value.places
    vector = torch.zeros(value.width, dtype=constant.dtype)
    vector[places.reshape(-1)] = constant.reshape(-1)
    if torch.equal(vector[places], constant):
        return value, vector
    numbers, which = torch.unique(constant, return_inverse=True)
    if len(numbers) > MAX_PATTERNS:
        raise MixedSamples("takes a constant that differs from sample to sample")
    codes, slots = torch.unique(places * len(numbers) + which, return_inverse=True)
    index = value.samples * len(codes) + slots
    return value.picked(codes // len(numbers), index), numbers[codes % len(numbers)]


def joined(values: Sequence[Value]) -> tuple[list[Value], Tensor, tuple[int, ...]]:
    """Two values broadcast to one shape, with slots that correspond.

    Returns them, the index of what an elementwise operator makes of them, and its samples' shape.
    """
    shape = torch.broadcast_shapes(*(value.index.shape for value in values))
    lead, samples = in_lead([replace(v, index=v.index.expand(shape)) for v in values])
    one, other = (value.places.expand(shape) for value in values)
    codes, slots = torch.unique(one * values[1].width + other, return_inverse=True)
    if len(codes) > MAX_PATTERNS * max(value.width for value in values):
        raise MixedSamples("combines values of different samples")
    index = samples * len(codes) + slots
    first = values[0].picked(codes // values[1].width, index)
    return [first, values[1].picked(codes % values[1].width, index)], index, lead


def in_lead(values: Sequence[Value]) -> tuple[tuple[int, ...], Tensor]:
    """The samples' shape of values of one shape, and the sample of each element in it.

    Raises MixedSamples where an element of one meets another sample of another.
    """
    lead = tuple(torch.broadcast_shapes(*(value.source.lead for value in values)))
    fullest = next((value for value in values if value.source.lead == lead), None)
    if fullest is None:
        raise MixedSamples("combines every sample of one input with every sample of another")
    for value in values:
        mine = value.source.lead
        known = torch.arange(prod(mine)).reshape(mine).expand(lead).reshape(-1)
        if not torch.equal(known[fullest.samples], value.samples):
            raise MixedSamples("combines values of different samples")
    return lead, fullest.samples


def uniform(vector: Tensor) -> float | None:
    """The one number in ``vector``, None if there are several."""
    first = float(vector[0])
    return first if bool((vector == first).all()) else None


def all_are(values: Tensor, number: float) -> bool:
    """Whether every one of ``values`` is ``number``."""
    return bool((values == number).all())
