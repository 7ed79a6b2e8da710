# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""From nodes to Brevitas layers; what multiplications the layers can take over, they do.

A result is held as e with  x = factor · e + offset  for the value x of its node:

===========  =======================================================================================
node         factor and offset
===========  =======================================================================================
Input        the grid of its coordinates (or 8 to 12 bits a channel): e = code / 2^(bits - 1)
Linear       before a table its period, or half of its range and the middle; before a sum that goes
             into a table the same; otherwise 1 and 0
Table        before linear layers its peak, so that all codes are used; otherwise 1
Sum,         1, or before a concatenation a power of two
Product
===========  =======================================================================================

The layer behind multiplies its weights with the factor and adds weight · offset to its bias.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import brevitas.nn as qnn
import numpy as np
import torch
from torch import Tensor, nn

from dhq_brevitas.inr.layer_plan import LayerPlan
from dhq_brevitas.inr.layers import Fold, set_fold
from dhq_brevitas.inr.planned import quant_linear
from dhq_brevitas.nn.activations import QuantLookupActivation
from dhq_brevitas.nn.quantizers import Int8UnitActPerTensorFixedPoint
from dhq_brevitas.nn.rotation import Side
from dhq_brevitas.nn.scales import SCALES, Granularity, ScaleKind
from dhq_brevitas.signals.grid import CoordinateGrid
from dhq_brevitas.tracing.expressions import X
from dhq_brevitas.tracing.merging import merge_tables
from dhq_brevitas.tracing.network import OutputStep, Program, Step, TracedNetwork
from dhq_brevitas.tracing.nodes import (
    Input,
    Linear,
    Node,
    Product,
    Sum,
    Table,
    in_order,
    operands,
    parts_of,
)
from dhq_brevitas.tracing.ranges import (
    Domain,
    domain_of,
    full_ranges,
    measured,
    power_of_two,
)
from dhq_brevitas.tracing.reading import Output, Reading
from dhq_brevitas.tracing.units import Units
from dhq_brevitas.tracing.values import all_are

__all__ = ["Widths", "build"]

TABLE_BITS = 12
MEASURED_SAMPLES = 1 << 16
MAX_COORDINATES = 6  # more channels are features, which need no finer steps than activations
SCATTERED_BITS, FEATURE_BITS = 12, 8


@dataclass(frozen=True)
class Widths:
    """Bits of what no plan decides: inputs of sums, products, concatenations, and outputs."""

    joints: int = 10
    outputs: int = 8
    sums: int = 12
    scale: ScaleKind = ScaleKind.PO2


@dataclass(frozen=True)
class Held:
    """Where the result of a node is, and its factor and offset, each one number or [width]."""

    number: int
    factor: Tensor
    offset: Tensor


def build(reading: Reading, inputs: Sequence[Tensor], widths: Widths) -> TracedNetwork:
    """The network of a module that was read; ``inputs`` as the module takes them.

    Its scales are not calibrated. Raises ValueError, naming the module, for functions that are not
    finite on ``inputs``.
    """
    return _Builder(reading, inputs, widths).run()


class _Builder:
    def __init__(self, reading: Reading, inputs: Sequence[Tensor], widths: Widths) -> None:
        self.reading, self.widths = reading, widths
        self.network = TracedNetwork()
        self.program = self.network._program = Program(
            reading.calling,
            reading.given,
            tuple(node.width for node in reading.inputs),
            structure=reading.structure,
        )
        parts = [part for output in reading.outputs for part in parts_of(output.node)]
        ends = [part for part in parts if isinstance(part, Node)]
        merge_tables(ends)
        self.nodes = in_order(ends)
        self.users: dict[Node, list[Any]] = defaultdict(list)
        for node in self.nodes:
            for operand in operands(node):
                self.users[operand].append(node)
        for end in ends:
            self.users[end].append(None)
        self.rows = [m.reshape(-1, m.shape[-1]) for m in self.network.matrices(inputs)]
        drawn = torch.randperm(len(self.rows[0]), generator=torch.Generator().manual_seed(0))
        self.spans = measured(self.nodes, [x[drawn[:MEASURED_SAMPLES]] for x in self.rows])
        self.domains: dict[Node, Domain] = {
            node: domain_of(node.fn, *self.spans[node.source], node.path or "the module")
            for node in self.nodes
            if isinstance(node, Table)
        }
        self.units = Units(self.users, self.domains)
        self.held: dict[Node, Held] = {}
        self.names: dict[Node, str] = {}

    def run(self) -> TracedNetwork:
        for node in self.nodes:
            match node:
                case Input():
                    self.held[node] = self._input(node)
                case Linear():
                    self.held[node] = self._linear(node)
                case Table():
                    self.held[node] = self._table(node)
                case Sum():
                    self.held[node] = self._sum(node)
                case Product():
                    self.held[node] = self._product(node)
        self.program.outputs = [self._output(output) for output in self.reading.outputs]
        return self.network.eval()

    # -- the program -----------------------------------------------------------------------------

    def _step(self, kind: str, sources: Sequence[int], **rest: Any) -> int:
        self.program.steps.append(Step(kind, tuple(sources), **rest))
        return len(self.program.widths) + len(self.program.steps) - 1

    def _call(self, source: int, path: str, module: nn.Module) -> int:
        path = self.network.free_path(path)
        self.network.put(path, module)
        return self._step("call", [source], module=path)

    def _constant(self, values: Tensor, whole: bool = False) -> str:
        """Name of a buffer with ``values``; one number where all are equal, unless ``whole``."""
        values = values[:1] if bool((values == values[0]).all()) and not whole else values
        name = f"_constant{sum(1 for _ in self.network.buffers(recurse=False))}"
        self.network.register_buffer(name, values.to(torch.float32))
        return name

    def _act(self) -> Any:
        return SCALES[self.widths.scale].quantizers["act"]

    # -- nodes -----------------------------------------------------------------------------------

    def _input(self, node: Input) -> Held:
        """Codes of a grid that is found in the data, as fractions of their range."""
        rows = self.rows[node.position].cpu().numpy().astype(np.float64)
        few = node.width <= MAX_COORDINATES
        grid = CoordinateGrid.of(rows, SCATTERED_BITS if few else FEATURE_BITS)
        factor = full_ranges(grid, rows)
        # In this order, so that a large origin does not cost precision.
        origin = self._constant(torch.from_numpy(-grid.origin))
        number = self._step("sum", [node.position], factors=("",), shift=origin)
        inverse = self._constant(torch.from_numpy(1 / factor))
        number = self._step("sum", [number], factors=(inverse,))
        single = len(self.program.widths) == 1
        path = "codes" if single else f"codes_{node.path or node.position}"
        number = self._call(number, path, _unit_quantizer(grid.bits))
        return Held(number, torch.from_numpy(factor), torch.from_numpy(grid.origin))

    def _linear(self, node: Linear) -> Held:
        unit, middle = self.units.linear(node)
        bias, weights = node.bias.clone(), []
        for source, weight in node.terms:
            held = self.held[source]
            weights.append(weight * held.factor)
            bias += weight @ held.offset.expand(source.width)
        weight = torch.cat(weights, dim=1) / unit[:, None].expand(node.width, 1)
        bias = (bias - middle) / unit
        if self.units.periodic(node):
            bias = bias - torch.round(bias)
        name = self.network.free_path(node.path or "linear")
        numbers = [self.held[source].number for source, _ in node.terms]
        if len(numbers) > 1:
            path = self.network.free_path(f"{name}_cat")
            self.network.put(path, _unit_quantizer(self.widths.joints))
            numbers = [self._step("cat", numbers, module=path)]
        layer = quant_linear(_plan(name, weight))
        with torch.no_grad():
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        folded = np.mean([float(self.held[x].factor.abs().mean()) for x, _ in node.terms])
        gain = 1 / float(unit.abs().mean())
        set_fold(layer, Fold(float(folded) * gain, gain))
        self.names[node] = name
        return Held(self._call(numbers[0], name, layer), unit, middle)

    def _table(self, node: Table) -> Held:
        domain, source = self.domains[node], self.held[node.source]
        factor, offset = float(source.factor[0]), float(source.offset[0])
        users = self.users[node]
        peak, center = self.units.table(node)
        fn = node.fn.of(X.scaled(factor, offset)).scaled(1 / peak, -center / peak)
        if domain.period:
            options = {"period": domain.period / factor}
        elif factor == 1 and offset == 0:
            reach = max(abs(domain.middle - domain.half), abs(domain.middle + domain.half))
            options = {"limit": 2.0 ** int(np.ceil(np.log2(max(reach, 2.0**-20))))}
        else:
            options = {"limit": 1.0}
        table = QuantLookupActivation(
            fn,
            **options,
            table_bit_width=TABLE_BITS,
            bit_width=self.widths.outputs if None in users else self.widths.joints,
            return_quant_tensor=True,
        )
        below = self.names.get(node.source)
        path = node.path
        if not path or path == below:
            path = f"{below}_activation" if below else "activation"
        one = torch.ones(1).double()
        return Held(self._call(source.number, path, table), one * peak, one * center)

    def _sum(self, node: Sum) -> Held:
        quantized = not all(isinstance(user, Table) for user in self.users[node])
        unit, middle = torch.ones(1).double(), torch.zeros(1).double()
        absorbed = self.units.sum(node)
        if absorbed is not None:
            unit = absorbed
        elif any(isinstance(u, Linear) and len(u.terms) > 1 for u in self.users[node]):
            unit = unit * power_of_two(max(map(abs, self.spans[node])))
        shift, numbers, factors = node.shift.clone(), [], []
        for source, c in node.terms:
            held = self.held[source]
            number = held.number
            if isinstance(source, Linear) and len(node.terms) > 1:
                number = self._quantized(source, self.widths.sums)
            numbers.append(number)
            shift += c * held.offset
            factor = c * held.factor / unit
            factors.append("" if all_are(factor, 1) else self._constant(factor))
        shift = shift / unit
        name = "" if all_are(shift, 0) else self._constant(shift)
        module = ""
        if quantized:
            last = all(user is None for user in self.users[node])
            module = self.network.free_path(f"{node.path}.sum" if node.path else "sum")
            self.network.put(
                module,
                qnn.QuantEltwiseAdd(
                    input_quant=None,
                    output_quant=self._act(),
                    output_bit_width=self.widths.sums if last else self.widths.joints,
                    return_quant_tensor=True,
                ),
            )
        number = self._step("sum", numbers, module=module, factors=tuple(factors), shift=name)
        return Held(number, unit, middle)

    def _product(self, node: Product) -> Held:
        users = self.users[node]
        summed = any(isinstance(user, Sum) for user in users)
        quantized = not all(isinstance(user, Table) for user in users)
        unit, taken = torch.ones(1).double(), self.units.absorber(node)
        if any(isinstance(u, Linear) and len(u.terms) > 1 for u in users):
            unit = unit * power_of_two(max(map(abs, self.spans[node])))
        if taken is not None and users and isinstance(users[0], Sum):
            unit = unit * self.held[taken].factor
        numbers: list[int] = []
        names: list[str] = []
        for source in node.factors:
            held = self.held[source]
            number = held.number
            if isinstance(source, Linear):
                number = self._quantized(source, self.widths.joints)
            factor, name = held.factor, ""
            if not all_are(held.offset, 0):
                offset = self._constant(held.offset / held.factor)
                number = self._step("sum", [number], factors=("",), shift=offset)
            if source is taken or (taken is None and not numbers):
                factor = factor / unit
            if not all_are(factor, 1):
                name = self._constant(factor)
            numbers.append(number)
            names.append(name)
        module = ""
        if quantized:
            module = self.network.free_path(f"{node.path}.product" if node.path else "product")
            bits = self.widths.sums if summed else self.widths.joints
            self.network.put(module, self._quantizer(bits))
        number = self._step("product", numbers, module=module, factors=tuple(names))
        return Held(number, unit, torch.zeros(1).double())

    def _quantized(self, node: Linear, bits: int) -> int:
        """The result of a linear map behind a quantizer of its own."""
        path = f"{self.names[node]}_quant"
        return self._call(self.held[node].number, path, self._quantizer(bits))

    def _quantizer(self, bits: int) -> nn.Module:
        return qnn.QuantIdentity(act_quant=self._act(), bit_width=bits, return_quant_tensor=True)

    # -- outputs ---------------------------------------------------------------------------------

    def _output(self, output: Output) -> OutputStep:
        if isinstance(output.node, Input) and all_are(output.scale, 1) and all_are(output.shift, 0):
            return OutputStep((), output.layout, position=output.node.position)
        sources: list[int | str] = []
        scales, shifts = [], []
        for part in parts_of(output.node):
            if isinstance(part, Node):
                held = self.held[part]
                sources.append(held.number)
                scales.append(held.factor.expand(part.width))
                shifts.append(held.offset.expand(part.width))
            else:
                sources.append(self._constant(part, whole=True))
                scales.append(torch.ones(len(part)).double())
                shifts.append(torch.zeros(len(part)).double())
        scale = torch.cat(scales) * output.scale
        shift = torch.cat(shifts) * output.scale + output.shift
        return OutputStep(
            tuple(sources),
            output.layout,
            "" if all_are(scale, 1) else self._constant(scale),
            "" if all_are(shift, 0) else self._constant(shift),
        )


def _unit_quantizer(bits: int) -> qnn.QuantIdentity:
    """Codes for [-1, 1)."""
    return qnn.QuantIdentity(
        act_quant=Int8UnitActPerTensorFixedPoint, bit_width=bits, return_quant_tensor=True
    )


def _plan(name: str, weight: Tensor) -> LayerPlan:
    outputs, inputs = weight.shape
    return LayerPlan(
        name, inputs, outputs, Side.NONE, 1, 8, 8, Granularity.CHANNEL, None, ScaleKind.PO2, None
    )
