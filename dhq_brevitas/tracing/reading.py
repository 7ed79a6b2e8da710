# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A float module as nodes: captured on a few samples, its channels found by trying.

Which axis of an input holds the channels is not said anywhere. The last one is tried first, then
axis 1, as of pictures [N, C, H, W], then none. A list [N] is tried as one of numbers first.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from dhq_brevitas.tracing.algebra import Algebra
from dhq_brevitas.tracing.calling import Calling
from dhq_brevitas.tracing.capture import Captured, capture
from dhq_brevitas.tracing.expressions import X
from dhq_brevitas.tracing.layouts import Layout, layout_of
from dhq_brevitas.tracing.nodes import Input, Node
from dhq_brevitas.tracing.operators import apply
from dhq_brevitas.tracing.values import MixedSamples, Value, uniform, whole

__all__ = ["Given", "Output", "Reading", "read"]

SAMPLES = 3  # along each axis, in the example that is traced


@dataclass(frozen=True)
class Given:
    """How an input of ``rank`` axes is taken.

    ``axis``: of the channels; None: it has none. ``pad``: axes of length 1 that are put behind its
    samples, so that those of all inputs broadcast.
    """

    axis: int | None
    pad: int = 0
    rank: int = 2

    def matrix(self, x: Tensor) -> Tensor:
        """[*lead, width] of an input."""
        x = x.unsqueeze(-1) if self.axis is None else x
        if self.axis not in (None, x.ndim - 1):
            x = x.movedim(self.axis, -1)
        for _ in range(self.pad):
            x = x.unsqueeze(-2)
        return x

    def lead(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The samples' shape of an input of ``shape``."""
        own = tuple(n for place, n in enumerate(shape) if place != self.axis)
        return own + (1,) * self.pad


@dataclass(frozen=True)
class Output:
    """An output: scale · node + shift, each [width], arranged as ``layout`` says."""

    node: Node
    scale: Tensor
    shift: Tensor
    layout: Layout


@dataclass(frozen=True)
class Reading:
    """What a module computes. ``structure``: of its outputs, with their numbers in it."""

    calling: Calling
    given: tuple[Given, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    structure: Any


def read(module: nn.Module, inputs: Sequence[Tensor], calling: Calling) -> Reading:
    """The nodes that ``module`` computes on ``inputs``.

    Raises ValueError, naming the user's module, for what cannot be traced or has no layer.
    """
    errors: list[tuple[int, Exception]] = []
    captured: dict[Any, Captured] = {}
    for given in _ways(inputs):
        for example in _examples(inputs, given):
            key = tuple(tuple(x.shape) for x in example)
            try:
                if key not in captured:
                    captured[key] = capture(module, example, calling)
            except Exception as error:
                errors.append((-1, error))
                continue
            reader = _Reader(captured[key], given, example, calling)
            try:
                return reader.read()
            except (ValueError, RuntimeError) as error:  # of shapes that do not go together
                errors.append((reader.progress, error))
                break
    own = [error for progress, error in errors if progress < 0]
    if len(own) == len(errors):  # the whole of the inputs was tried last: as the user calls it
        raise own[-1]
    farthest = max(errors, key=lambda pair: pair[0])[1]
    if isinstance(farthest, RuntimeError):
        raise ValueError(
            f"{type(module).__name__}: the samples of its inputs do not go together "
            f"({' '.join(str(farthest).split())}); take sizes from x.shape, not from numbers"
        ) from farthest
    raise farthest


def _ways(inputs: Sequence[Tensor]) -> Iterator[tuple[Given, ...]]:
    rank = max(x.ndim for x in inputs)
    choices = []
    for x in inputs:
        axes: list[int | None] = [x.ndim - 1, *([1] if x.ndim > 2 else []), None]
        choices.append(axes if x.ndim > 1 else [None, 0])
    for chosen in itertools.product(*choices):
        ways = []
        for x, axis in zip(inputs, chosen, strict=True):
            missing = rank - x.ndim
            pads = [0] if missing <= 0 or x.ndim < 2 else [0, missing]
            ways.append([Given(axis, pad, x.ndim) for pad in pads])
        yield from itertools.product(*ways)


def _examples(inputs: Sequence[Tensor], given: Sequence[Given]) -> Iterator[tuple[Tensor, ...]]:
    """A few samples with no axis of length 1; a few; all."""
    for least in (2, 1):
        example = []
        for x, way in zip(inputs, given, strict=True):
            for axis, length in enumerate(x.shape):
                if axis == way.axis:
                    continue
                x = x.narrow(axis, 0, min(length, SAMPLES))
                if length < least:
                    x = x.repeat_interleave(least, dim=axis)
            example.append(x.contiguous())
        yield tuple(example)
    yield tuple(inputs)


class _Reader:
    """Runs the graph on values. ``progress``: operators read so far."""

    def __init__(
        self,
        captured: Captured,
        given: tuple[Given, ...],
        example: Sequence[Tensor],
        calling: Calling,
    ) -> None:
        self.captured, self.given, self.example = captured, given, example
        self.calling = calling
        self.algebra = Algebra()
        self.progress = 0

    @torch.no_grad()
    def read(self) -> Reading:
        known: dict[str, Any] = {
            name: value.double() if _floating(value) else value
            for name, value in self.captured.constants.items()
        }
        inputs = []
        for position, (name, way, x) in enumerate(
            zip(self.captured.inputs, self.given, self.example, strict=True)
        ):
            width = 1 if way.axis is None else x.shape[way.axis]
            node = Input(width, way.lead(x.shape), name, position)
            inputs.append(node)
            known[name] = whole(node, x.shape, way.axis)
        truths = set()
        for call in self.captured.nodes:
            if getattr(call.meta.get("val"), "dtype", None) == torch.bool:
                truths.add(call.name)
            if call.op == "call_function":
                args = fx.node.map_arg(list(call.args), lambda n: known[n.name])
                options = fx.node.map_arg(dict(call.kwargs), lambda n: known[n.name])
                options = {
                    k: v for k, v in options.items() if k not in ("device", "pin_memory", "layout")
                }
                known[call.name] = apply(self.algebra, call, args, options)
                self.progress += 1
        outputs = tuple(
            self._output(number, known.get(name) if isinstance(name, str) else name)
            for number, name in enumerate(self.captured.outputs)
        )
        if all(output.node in inputs for output in outputs):
            raise ValueError("the module only hands its inputs on; there is nothing to quantize")
        self.progress += 1
        for number, name in enumerate(self.captured.outputs):
            if name in truths:
                raise ValueError(
                    f"output {number} of the module is true or false; return the number that it "
                    "comes from, and compare that on the host"
                )
        numbers = list(range(len(outputs)))
        structure = pytree.tree_unflatten(numbers, self.captured.structure)
        return Reading(self.calling, self.given, tuple(inputs), outputs, structure)

    def _output(self, number: int, value: Any) -> Output:
        if not isinstance(value, Value):
            raise ValueError(
                f"output {number} of the module does not depend on its inputs; leave it out"
            )
        value = value.compact()
        one, zero = torch.ones(value.width).double(), torch.zeros(value.width).double()
        lead = value.source.lead
        full = torch.broadcast_shapes(
            *(way.lead(x.shape) for way, x in zip(self.given, self.example, strict=True))
        )
        if lead != full:
            raise ValueError(
                f"output {number} of the module does not depend on all of its inputs' samples; "
                "compute it apart"
            )
        try:
            layout = layout_of(value.index, lead, value.width)
        except MixedSamples as error:
            raise MixedSamples(f"output {number} of the module {error}") from None
        outer = uniform(value.outer_scale) is None or uniform(value.outer_shift) is None
        if value.fn is not X and outer:
            node = self.algebra.node(replace(value, outer_scale=one, outer_shift=zero))
            return Output(node, value.outer_scale, value.outer_shift, layout)
        return Output(self.algebra.node(value), one, zero, layout)


def _floating(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
