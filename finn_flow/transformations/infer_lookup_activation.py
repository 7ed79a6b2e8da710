# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""An activation between two quantizers to one hardware table.

The pattern, starting at a tensor x that is known to hold integers:

    x -> [Cast] [Mul] [Add] [Cast] … -> Quant -> any elementwise nodes of one variable -> Quant

The first Quant turns x into codes, the last one ends the function; nothing in between may be used
elsewhere. A Gather from a constant list of numbers, as which QuantLookupActivation is exported, is
such a node, too. Everything up to the last Quant for which that holds is taken in, so that a
requantizing Quant behind the activation's own ends up in the same table.

1. *Codes.* Mul, Add and the Quant's scale are read as exact fractions, v = (x·M + B) / 2^s. The
   floating-point arithmetic between x and the Quant must be exact on the range of x (2^24 in
   float32, 2^53 in float64), or integers could not reproduce it. M and B may differ by channel.

   ====================  ======================================================================
   rounding of Quant     integer form
   ====================  ======================================================================
   FLOOR                 (x·M + B) >> s
   CEIL                  (x·M + B + 2^s - 1) >> s
   ROUND, HALF_EVEN      (x·M + B + 2^(s-1)) >> s, if no reachable x is a tie that goes down
   others, and where     the Quant stays, and the table is addressed with its codes
   arithmetic may round  (up to 12 bits, which thresholds give)
   ====================  ======================================================================

2. *Table.* The QONNX nodes themselves are executed on every code that x can reach.

   ====================  ======================================================================
   table                 condition
   ====================  ======================================================================
   wrap, 2^P entries     no reachable code saturates, and the values repeat with period 2^P (or
                         fewer than 2^P codes are reachable)
   clip, 2^P entries     always possible; equal values at both ends are left to the clip
   not converted         more than 2^16 entries
   ====================  ======================================================================

   The smaller is taken, the wrap if equal.

3. *Reduction.* Common factors 2^t of M are dropped from M, B and s; with a wrap, M and B count
   modulo 2^(P + s) only.

A Quant with a scale other than 1 at the end leaves Mul(scale) behind the layer.
"""

import math
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.datatype import BaseDataType, DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

from dhq_brevitas.export.exact_sums import code_bounds, is_wide
from dhq_brevitas.export.graph import QUANT_OPS, constants, replace_nodes
from dhq_brevitas.finn_flow.elementwise import (
    DyadicAffine,
    ElementwisePart,
    NotConvertible,
    chain_before,
    evaluate,
    exact_affine,
    is_table_lookup,
    part_between,
    quant_output_codes,
    reachable_part,
    scaled_output,
)
from dhq_brevitas.finn_flow.ops import DOMAIN
from dhq_brevitas.finn_flow.ops.lookup_activation import (
    MAX_TABLE_BITS,
    smallest_signed_datatype,
)
from dhq_brevitas.finn_flow.ranges import (
    IntegerRange,
    integer_ranges,
    quant_code_range,
    quant_parameters,
)
from dhq_brevitas.finn_flow.transformations.infer_requant import FREE_BITS

# More reachable codes than this are not enumerated.
MAX_CODES = 1 << 24


@dataclass(frozen=True)
class Table:
    """Entries of a table, how it is addressed, and for a clip the code of its first entry."""

    entries: np.ndarray
    wrap: bool
    offset: int

    @property
    def bits(self) -> int:
        """log2 of the number of entries."""
        return len(self.entries).bit_length() - 1


@dataclass(frozen=True)
class _Match:
    removed: tuple[NodeProto, ...]
    source: str
    last: NodeProto
    affine: DyadicAffine
    table: Table
    reason: str = ""  # why the first Quant stays


class InferLookupActivation(Transformation):
    """See the module docstring. ``reasons`` maps the name of a Quant left alone to the cause."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: dict[str, str] = {}

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        ranges, bounds = integer_ranges(model), code_bounds(model)
        matches: list[_Match] = []
        taken: set[str] = set()
        for node in model.graph.node:
            if node.op_type not in QUANT_OPS or node.output[0] in taken:
                continue
            try:
                match = _match(model, node, ranges, bounds)
            except NotConvertible as reason:
                self.reasons[node.name] = str(reason)
                continue
            if match is not None and match.reason:
                self.reasons[node.name] = match.reason
            if match is not None:
                matches.append(match)
                taken.update(name for removed in match.removed for name in removed.output)
        for match in matches:
            _replace(model, match)
        return model, bool(matches)


def _match(
    model: ModelWrapper,
    first: NodeProto,
    ranges: dict[str, IntegerRange],
    bounds: dict[str, int],
) -> _Match | None:
    function = _function_after(model, first)
    if function is None:
        return None
    parameters = quant_parameters(model, first)
    if parameters is None:
        raise NotConvertible("its scale, zero point and bit width must be constant, the zero 0")
    reason = ""
    try:
        chain = chain_before(model, first, set(ranges))
        source, x, removed = chain.source, ranges[chain.source], (*chain.nodes, first)
        affine = exact_affine(model, chain, parameters[0], x, bounds)
        affine = floor_form(affine, getCustomOp(first).get_nodeattr("rounding_mode"), x)
    except NotConvertible as error:
        few = parameters[1] <= FREE_BITS
        if first.output[0] not in ranges or np.any(parameters[0] != 1) or not few:
            raise
        reason = str(error)
        source, x, removed = first.output[0], ranges[first.output[0]], ()
        affine = DyadicAffine((1,) * len(x.low), (0,) * len(x.low), 0)
    last = function.nodes[-1]
    low, high = code_range(affine, x)
    lowest, highest = quant_code_range(model, first)
    saturates = low < lowest or high > highest
    low, high = (min(max(code, lowest), highest) for code in (low, high))
    if high - low >= MAX_CODES:
        raise NotConvertible(
            f"{high - low + 1} codes are reachable, more than the {MAX_CODES} that are tabulated; "
            "use a coarser quantizer"
        )
    scale = parameters[0].reshape(-1)
    if scale.size != 1:
        raise NotConvertible("its scale differs by channel, so one table does not serve them all")
    codes = np.arange(low, high + 1, dtype=np.int64)
    values = (codes * scale[0]).astype(np.float32).reshape(1, -1)
    outputs = evaluate(model, function, values, is_wide(bounds.get(function.source, 0)))
    entries = quant_output_codes(model, last, outputs).reshape(-1)
    table = smallest_table(entries, low, saturates)
    reduced = reduce_affine(affine, table)
    if accumulator_bits(reduced, x) > 63:
        raise NotConvertible("x·M + B needs more than 63 bits; use fewer multiplier bits")
    return _Match((*removed, *function.nodes), source, last, reduced, table, reason)


def _function_after(model: ModelWrapper, first: NodeProto) -> ElementwisePart | None:
    """The nodes behind ``first`` up to the last Quant that all of them lead to, or None."""
    candidates = reachable_part(model, first.output[0])
    by_channel = None
    for last in reversed(candidates):
        if last.op_type not in QUANT_OPS:
            continue
        part = part_between(model, candidates, first.output[0], last.output[0])
        if part is None:
            continue
        by_channel = next((n for n in part.nodes if _differs_by_channel(model, n)), None)
        if by_channel is None:
            return part
    if by_channel is not None:
        raise NotConvertible(
            f"the constant of {by_channel.name} behind it differs by channel, so one table does "
            "not serve them all"
        )
    return None


def _differs_by_channel(model: ModelWrapper, node: NodeProto) -> bool:
    if is_table_lookup(model, node):
        return False
    return any(constant.size != 1 for constant in constants(model, node))


def floor_form(affine: DyadicAffine, rounding: str, x: IntegerRange) -> DyadicAffine:
    """``affine`` with its bias changed so that floor gives what ``rounding`` gives."""
    mode = rounding.upper()
    unit = 1 << affine.shift
    if mode == "FLOOR" or affine.shift == 0:
        return affine
    if mode == "CEIL":
        return DyadicAffine(affine.scale, tuple(b + unit - 1 for b in affine.bias), affine.shift)
    if mode not in ("ROUND", "HALF_EVEN"):
        raise NotConvertible(f"its rounding mode {rounding} has no form as a shift; use FLOOR")
    for m, b, low, high in zip(
        affine.scale, affine.bias, x.low.tolist(), x.high.tolist(), strict=True
    ):
        if _tie_goes_down(m, b, affine.shift, low, high):
            raise NotConvertible(
                "it rounds ties to even and some input is a tie; use FLOOR rounding, or a power of "
                "two scale behind a HadamardTransform"
            )
    return DyadicAffine(affine.scale, tuple(b + unit // 2 for b in affine.bias), affine.shift)


def _tie_goes_down(m: int, b: int, shift: int, low: int, high: int) -> bool:
    """Whether (x·m + b) / 2^shift is an even integer plus a half for an x in [low, high]."""
    unit = 1 << shift
    # x·m + b = k·unit + unit/2 with k even  <=>  x·m = unit/2 - b (mod 2·unit)
    modulus, target = 2 * unit, unit // 2 - b
    common = math.gcd(m, modulus)
    if target % common:
        return False
    step = modulus // common
    start = (target // common) * pow(m // common, -1, step) % step if step > 1 else 0
    return low + (start - low) % step <= high


def code_range(affine: DyadicAffine, x: IntegerRange) -> tuple[int, int]:
    """Lowest and highest (x·M + B) >> s over all channels."""
    codes = [
        (end * m + b) >> affine.shift
        for ends in (x.low.tolist(), x.high.tolist())
        for end, m, b in zip(ends, affine.scale, affine.bias, strict=True)
    ]
    return min(codes), max(codes)


def smallest_table(entries: np.ndarray, first_code: int, saturates: bool) -> Table:
    """Smallest table with ``entries[i]`` at code ``first_code + i``; see the module docstring."""
    clip = _clip_table(entries, first_code)
    if saturates:
        wrap = None
    else:
        wrap = _wrap_table(entries, first_code, clip.bits if clip else MAX_TABLE_BITS)
    table = wrap or clip
    if table is None:
        raise NotConvertible(
            f"its function needs a table of {len(entries)} entries, more than "
            f"{1 << MAX_TABLE_BITS}; use a coarser quantizer or a function that repeats with a "
            "power-of-two period"
        )
    return table


def _wrap_table(entries: np.ndarray, first_code: int, max_bits: int) -> Table | None:
    for bits in range(1, max_bits + 1):
        period = 1 << bits
        if period >= len(entries) or np.array_equal(entries[period:], entries[:-period]):
            table = np.zeros(period, dtype=np.int64)
            used = entries[:period]
            table[(first_code + np.arange(len(used))) & (period - 1)] = used
            return Table(table, wrap=True, offset=0)
    return None


def _clip_table(entries: np.ndarray, first_code: int) -> Table | None:
    changes = np.flatnonzero(np.diff(entries))
    start, stop = (changes[0], changes[-1] + 2) if len(changes) else (0, 1)
    bits = max(1, int(stop - start - 1).bit_length())
    if bits > MAX_TABLE_BITS:
        return None
    table = np.full(1 << bits, entries[-1], dtype=np.int64)
    table[: stop - start] = entries[start:stop]
    return Table(table, wrap=False, offset=first_code + int(start))


def reduce_affine(affine: DyadicAffine, table: Table) -> DyadicAffine:
    """The same codes (modulo the period of a wrap) from smaller numbers."""
    zeros = min([affine.shift, *((m & -m).bit_length() - 1 for m in affine.scale if m)])
    # The low bits of B below those of every x·M never reach the code: floor drops them.
    scale = [m >> zeros for m in affine.scale]
    bias = [b >> zeros for b in affine.bias]
    shift = affine.shift - zeros
    if table.wrap:
        modulus = 1 << (table.bits + shift)
        scale = [_residue(m, modulus) for m in scale]
        bias = [_residue(b, modulus) for b in bias]
    return DyadicAffine(tuple(scale), tuple(bias), shift)


def _residue(value: int, modulus: int) -> int:
    """The number congruent to ``value`` in [-modulus/2, modulus/2]; itself if it is in there."""
    if abs(value) <= modulus // 2:
        return value
    residue = value % modulus
    return residue - modulus if residue > modulus // 2 else residue


def accumulator_bits(affine: DyadicAffine, x: IntegerRange) -> int:
    """Bits of x·M + B, signed."""
    largest = x.magnitude * max(map(abs, affine.scale)) + max(map(abs, affine.bias))
    return largest.bit_length() + 1


def _parameter(values: tuple[int, ...]) -> np.ndarray:
    """[1] if all channels agree, else [C]."""
    return np.array(values[:1] if len(set(values)) == 1 else values, dtype=np.int64)


def _replace(model: ModelWrapper, match: _Match) -> None:
    output_type = getCustomOp(match.last).get_integer_datatype(model)
    output, scaling = scaled_output(model, match.last)
    layer = lookup_layer(model, match.source, output, match.affine, match.table, output_type)
    layer.name = f"LookupActivation_{match.last.name}"
    replace_nodes(model, match.removed, [layer, *scaling])


def lookup_layer(
    model: ModelWrapper,
    source: str,
    output: str,
    affine: DyadicAffine,
    table: Table,
    output_type: BaseDataType,
) -> NodeProto:
    """The layer from ``source`` to ``output``, not yet in the graph; adds its constants there."""
    shape = model.get_tensor_shape(source)
    scale, bias = _parameter(affine.scale), _parameter(affine.bias)
    names = [f"{output}_{kind}" for kind in ("multiplier", "bias", "table")]
    datatypes = [smallest_signed_datatype(scale), smallest_signed_datatype(bias), output_type]
    for name, values, datatype in zip(names, (scale, bias, table.entries), datatypes, strict=True):
        model.set_initializer(name, values)
        model.set_tensor_datatype(name, DataType[datatype.name])
    model.set_tensor_datatype(output, output_type)
    return helper.make_node(
        "LookupActivation",
        [source, *names],
        [output],
        domain=DOMAIN,
        backend="fpgadataflow",
        PE=1,
        NumChannels=int(shape[-1]),
        numInputVectors=[int(n) for n in shape[:-1]],
        inputDataType=model.get_tensor_datatype(source).name,
        scaleDataType=datatypes[0].name,
        biasDataType=datatypes[1].name,
        outputDataType=output_type.name,
        tableBits=table.bits,
        shift=affine.shift,
        wrap=int(table.wrap),
        addressOffset=table.offset,
        perChannel=int(max(len(scale), len(bias)) > 1),
    )
