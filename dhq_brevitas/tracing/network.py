# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The module that is made of a user's: called as that is, with Brevitas layers inside."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from dhq_brevitas.tracing.calling import Calling
from dhq_brevitas.tracing.layouts import Layout
from dhq_brevitas.tracing.reading import Given

__all__ = ["OutputStep", "Step", "TracedNetwork"]


@dataclass(frozen=True)
class Step:
    """One result from earlier ones, whose numbers are ``sources``; inputs have the first numbers.

    ``kind``: "call" a module; "cat" all of them, each
    quantized by the module; "sum" of factor · source and a
    shift, through the module if there is one; "product", the same. ``factors`` and ``shift`` are
    names of buffers, "" for none.
    """

    kind: str
    sources: tuple[int, ...]
    module: str = ""
    factors: tuple[str, ...] = ()
    shift: str = ""


@dataclass(frozen=True)
class OutputStep:
    """An output: results (or names of constants) side by side, times ``scale`` plus ``shift``.

    ``position``: of the input that is handed on instead.
    """

    sources: tuple[int | str, ...]
    layout: Layout
    scale: str = ""
    shift: str = ""
    position: int | None = None


@dataclass
class Program:
    """What the network does, in order; ``structure``: of the outputs, with their numbers in it."""

    calling: Calling = field(default_factory=Calling)
    given: tuple[Given, ...] = ()
    widths: tuple[int, ...] = ()
    steps: list[Step] = field(default_factory=list)
    outputs: list[OutputStep] = field(default_factory=list)
    structure: Any = None


class TracedNetwork(nn.Module):
    """A user's module, rebuilt: the same inputs, units and structure of outputs, in float32.

    Children have the paths of the user's modules where these have weights; tables have the path of
    the module that computes the function, or that of their linear layer with ``_activation``.
    Inputs beyond what it was made with are clipped to that.
    """

    def __init__(self) -> None:
        super().__init__()
        self._program = Program()
        self._flat = False

    # -- building --------------------------------------------------------------------------------

    def put(self, path: str, module: nn.Module) -> None:
        """Adds a child at a path."""
        parent: nn.Module = self
        *above, name = path.split(".")
        for part in above:
            if part not in dict(parent.named_children()):
                parent.add_module(part, nn.Module())
            parent = parent.get_submodule(part)
        parent.add_module(name, module)

    def free_path(self, wanted: str) -> str:
        """``wanted`` where nothing is there; below another module's path, joined to that by _."""
        named = {name: module for name, module in self.named_modules() if name}
        taken = [name for name, module in named.items() if type(module) is not nn.Module]
        for name in taken:
            if wanted.startswith(f"{name}."):
                wanted = f"{name}_{wanted[len(name) + 1 :].replace('.', '_')}"
        if wanted.partition(".")[0] in dir(nn.Module):
            wanted = f"_{wanted}"
        path, number = wanted, 1
        while path in named:
            number += 1
            path = f"{wanted}_{number}"
        return path

    # -- running ---------------------------------------------------------------------------------

    def forward(self, *inputs: Any, **named: Any) -> Any:
        program = self._program
        inputs = tuple(program.calling.tensors(inputs, named))
        if self._flat:
            (rows,) = inputs
            matrices = (
                list(rows.split(program.widths, dim=-1)) if len(program.widths) > 1 else [rows]
            )
        else:
            matrices = self.matrices(inputs)
        results: list[Any] = list(matrices)
        for step in program.steps:
            results.append(self._result(step, results))
        if self._flat:
            own = [output for output in program.outputs if output.position is None]
            columns = [self._output(output, results) for output in own]
            return columns[0] if len(columns) == 1 else torch.cat(columns, dim=-1)
        arranged = [
            output.layout.arranged(self._output(output, results))
            if output.position is None
            else inputs[output.position]
            for output in program.outputs
        ]
        return pytree.tree_map(lambda number: arranged[number], program.structure)

    def matrices(self, inputs: Sequence[Any]) -> list[Tensor]:
        """Each input as float32 [*lead, width], lead that of all together.

        TypeError or ValueError, naming the input, for others than the module was made for.
        """
        program = self._program
        if len(inputs) != len(program.given):
            raise TypeError(
                f"{len(inputs)} inputs given; the network takes {len(program.given)} tensors"
            )
        found = []
        for position, (x, way, width) in enumerate(
            zip(inputs, program.given, program.widths, strict=True)
        ):
            if not isinstance(x, Tensor):
                raise TypeError(f"input {position} must be a torch.Tensor, not {type(x).__name__}")
            axis = way.axis
            if x.ndim != way.rank or (axis is not None and x.shape[axis] != width):
                raise ValueError(
                    f"input {position} of shape {list(x.shape)} does not fit: the network was made "
                    f"for {way.rank} axes"
                    + ("" if axis is None else f" with {width} channels on axis {axis}")
                )
            matrix = way.matrix(x)
            found.append(matrix if matrix.dtype == torch.float32 else matrix.to(torch.float32))
        # As numbers: a tracer's sizes are never equal.
        leads = {tuple(map(int, matrix.shape[:-1])) for matrix in found}
        if len(leads) > 1:
            try:
                lead = torch.broadcast_shapes(*leads)
            except RuntimeError:
                raise ValueError(
                    f"the inputs have samples of shapes {sorted(leads)}, which do not go together; "
                    "give all of them equally many"
                ) from None
            found = [matrix.expand(*lead, matrix.shape[-1]) for matrix in found]
        return found

    def _result(self, step: Step, results: Sequence[Any]) -> Any:
        values = [results[source] for source in step.sources]
        if step.kind == "call":
            return self.get_submodule(step.module)(values[0])
        if step.kind == "cat":
            # One quantizer, and so one scale, for all; Brevitas 0.13's QuantCat fails.
            return torch.cat([self.get_submodule(step.module)(x) for x in values], dim=-1)
        plain = [_plain(value) for value in values]
        plain = [
            x * getattr(self, name) if name else x
            for x, name in zip(plain, step.factors, strict=True)
        ]
        if step.shift:
            plain[0] = plain[0] + getattr(self, step.shift)
        module = self.get_submodule(step.module) if step.module else None
        if step.kind == "sum":
            total = plain[0]
            for term in plain[1:-1]:
                total = total + term
            if module is not None:
                return module(total, plain[-1])
            return total + plain[-1] if len(plain) > 1 else total
        product = plain[0] * plain[1]
        return product if module is None else module(product)

    def _output(self, output: OutputStep, results: Sequence[Any]) -> Tensor:
        parts = [_plain(results[s]) for s in output.sources if isinstance(s, int)]
        lead = parts[0].shape[:-1]
        found = iter(parts)
        joined = [
            next(found) if isinstance(s, int) else getattr(self, s).expand(*lead, -1)
            for s in output.sources
        ]
        y = joined[0] if len(joined) == 1 else torch.cat(joined, dim=-1)
        y = y * getattr(self, output.scale) if output.scale else y
        return y + getattr(self, output.shift) if output.shift else y

    @property
    def takes_numbers(self) -> bool:
        """Whether every input is a list [N] of numbers."""
        return all(way.axis is None and way.rank == 1 for way in self._program.given)

    @property
    def dyadic(self) -> bool:
        """Whether no factor behind the input quantizers has a mantissa of more than 4 bits."""
        inputs = set(range(len(self._program.widths)))
        for number, step in enumerate(self._program.steps, start=len(inputs)):
            if step.kind == "sum" and inputs.issuperset(step.sources):
                inputs.add(number)  # still real numbers
                continue
            for name in filter(None, step.factors):
                mantissa = torch.frexp(getattr(self, name))[0] * 2**4
                if not torch.equal(mantissa, mantissa.round()):
                    return False
        return True

    # -- as one matrix to another ----------------------------------------------------------------

    @contextmanager
    def flat(self) -> Iterator[None]:
        """Meanwhile it maps :meth:`flat_inputs` to outputs [samples, all channels].

        What calibrates, plans and trains networks need not know of arrangements.
        """
        self._flat = True
        try:
            yield
        finally:
            self._flat = False

    def unflatten(self) -> None:
        """Ends :meth:`flat` for a copy that was made meanwhile."""
        self._flat = False

    def flat_inputs(self, inputs: Sequence[Tensor]) -> Tensor:
        """All inputs side by side, float32 [samples, all channels]."""
        matrices = self.matrices(inputs)
        return torch.cat([m.reshape(-1, m.shape[-1]) for m in matrices], dim=-1)

    def one_sample(self, rows: Tensor) -> list[Tensor]:
        """The first of :meth:`flat_inputs` in the shapes that the user's module takes."""
        found = []
        for x, way in zip(
            rows[:1].split(self._program.widths, -1), self._program.given, strict=True
        ):
            shape = [1] * way.rank
            if way.axis is not None:
                shape[way.axis] = x.shape[-1]
            found.append(x.reshape(shape))
        return found

    def flat_target(self, target: Any, inputs: Sequence[Tensor]) -> Tensor:
        """A target of the structure of the outputs as [samples, all channels].

        ValueError if it has another structure or other shapes.
        """
        with torch.no_grad():
            shown = self(*inputs)
        given, wanted = pytree.tree_flatten(target), pytree.tree_flatten(shown)
        if given[1] != wanted[1] or any(
            getattr(a, "shape", None) != b.shape for a, b in zip(given[0], wanted[0], strict=True)
        ):
            shapes = pytree.tree_map(lambda y: list(y.shape), shown)
            raise ValueError(f"target must be like the outputs, of shapes {shapes}")
        lead = self.matrices(inputs)[0].shape[:-1]
        columns = []
        for y, output, values in zip(wanted[0], self._program.outputs, given[0], strict=True):
            if output.position is not None:
                continue
            width = y.numel() // prod(lead)
            index = torch.arange(y.numel(), device=y.device).reshape(*lead, width)
            column = torch.empty(y.numel(), device=y.device)
            column[output.layout.arranged(index).reshape(-1)] = values.reshape(-1).to(column)
            columns.append(column.reshape(-1, width))
        return torch.cat(columns, dim=-1)


def _plain(value: Any) -> Tensor:
    return getattr(value, "value", value)
