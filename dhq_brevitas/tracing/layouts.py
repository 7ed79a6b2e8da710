# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Arrangements of outputs: from [*lead, width] to the shape the user's module gives, any size.

What a module does to its output by reshapes, permutations, squeezes or pixel shuffles is found from
one example: each axis of the output runs through the channels, through an axis of samples, or
through parts of several, the last one fastest. An axis of samples may have another length later.
"""

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from dhq_brevitas.tracing.values import MixedSamples

__all__ = ["Layout", "layout_of"]


@dataclass(frozen=True)
class Layout:
    """An arrangement of [*lead, width].

    Attributes:
        sizes: for each of its axes, the channels last, the sizes of the parts it is cut into,
            slowest first; the first part of an axis of samples has the size 0: whatever is left.
        order: of all parts, as they stand in the output.
        axes: how many of the parts each output axis consists of; 0 for an axis of length 1.
    """

    sizes: tuple[tuple[int, ...], ...]
    order: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def trivial(self) -> bool:
        """Whether the output is [*lead, width] itself."""
        count = len(self.sizes)
        return self.order == tuple(range(count)) and self.axes == (1,) * count

    def arranged(self, y: Tensor) -> Tensor:
        """The output, of y [*lead, width]."""
        if self.trivial:
            return y
        cut: list[int] = []
        for length, sizes in zip(y.shape, self.sizes, strict=True):
            rest = prod(sizes[1:])
            cut += [length // rest if size == 0 else size for size in sizes[:1]] + [*sizes[1:]]
        # -1 for the first axis, so that an exported graph takes any number of samples.
        if list(y.shape) != cut:
            y = y.reshape([-1, *cut[1:]])
        if self.order != tuple(range(len(cut))):
            y = y.permute(self.order)
        if self.axes == (1,) * len(cut):
            return y
        parts = iter(cut[place] for place in self.order)
        shape = [prod(next(parts) for _ in range(count)) for count in self.axes]
        return y.reshape([-1, *shape[1:]] if shape else [])


def layout_of(index: Tensor, lead: tuple[int, ...], width: int) -> Layout:
    """The layout of an output whose element holds sample · width + channel.

    Raises MixedSamples where an element is left out or given twice, or the order is none of those.
    """
    full = (*lead, width)
    if not torch.equal(index.reshape(-1).sort().values, torch.arange(prod(full))):
        raise MixedSamples("gives some samples or channels twice, or not at all")
    if torch.equal(index, torch.arange(prod(full)).reshape(full)):
        return Layout(((0,),) * len(lead) + ((width,),), tuple(range(len(full))), (1,) * len(full))
    strides = [prod(full[place + 1 :]) for place in range(len(full))]
    parts: list[tuple[int, int]] = []  # (size, stride), in the order of the output
    axes = []
    for axis, length in enumerate(index.shape):
        line = (
            index.reshape(-1)[:0]
            if length == 0
            else index.movedim(axis, 0).reshape(length, -1)[:, 0]
        )
        found = _cut(_parts(line - line[0]), [s for s in strides if s > 1])
        axes.append(len(found))
        parts += found
    if not torch.equal(_rebuilt(parts, axes, index.shape), index):
        raise MixedSamples(
            "arranges samples and channels in an order that is no permutation of axes"
        )
    sizes: list[tuple[int, ...]] = []
    places: dict[tuple[int, int], int] = {}
    hidden: list[int] = []  # axes of length 1 of the source, which no output axis shows
    for axis, (length, stride) in enumerate(zip(full, strides, strict=True)):
        own = [part for part in parts if stride <= part[1] < stride * length]
        own.sort(key=lambda part: -part[1])
        first = 0 if axis < len(lead) else own[0][0] if own else 1
        sizes.append((first, *(size for size, _ in own[1:])))
        start = len(places) + len(hidden)
        places |= {part: start + number for number, part in enumerate(own)}
        if not own:
            hidden.append(start)
    order = [places[part] for part in parts]
    for place in hidden:  # behind its neighbor, so that it needs no permutation
        where = order.index(place - 1) + 1 if place - 1 in order else 0
        order.insert(where, place)
        if axes:
            axes[_axis_at(axes, where)] += 1
    return Layout(tuple(sizes), tuple(order), tuple(axes))


def _axis_at(axes: list[int], place: int) -> int:
    """The output axis of the part before ``place``."""
    end = 0
    for axis, count in enumerate(axes):
        end += count
        if place <= end:
            return axis
    return len(axes) - 1


def _parts(line: Tensor) -> list[tuple[int, int]]:
    """(size, stride) of mixed radix digits that make up ``line``, slowest first."""
    found: list[tuple[int, int]] = []
    while len(line) > 1:
        stride = int(line[1])
        steps = torch.arange(len(line)) * stride
        differing = (line != steps).nonzero().flatten()
        run = int(differing[0]) if len(differing) else len(line)
        if stride <= 0 or len(line) % run:
            raise MixedSamples("reverses or reorders samples or channels at its end")
        found.insert(0, (run, stride))
        rest = line[::run]
        if not torch.equal(rest.repeat_interleave(run) + (steps[:run]).repeat(len(rest)), line):
            raise MixedSamples("reorders samples or channels at its end")
        line = rest
    return found


def _cut(parts: list[tuple[int, int]], strides: list[int]) -> list[tuple[int, int]]:
    """Parts that run across an axis of the source are cut there."""
    for border in sorted(strides):
        cut: list[tuple[int, int]] = []
        for size, stride in parts:
            inner = border // stride
            if stride < border < stride * size and border % stride == 0 and size % inner == 0:
                cut += [(size // inner, border), (inner, stride)]
            else:
                cut.append((size, stride))
        parts = cut
    return parts


def _rebuilt(parts: list[tuple[int, int]], axes: list[int], shape: torch.Size) -> Tensor:
    result = torch.zeros([size for size, _ in parts], dtype=torch.int64)
    for place, (size, stride) in enumerate(parts):
        view = [1] * len(parts)
        view[place] = size
        result = result + torch.arange(size).reshape(view) * stride
    return result.reshape(shape)
