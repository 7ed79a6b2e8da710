# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A requantization of integers, [Mul] [Add] [Relu] … -> Quant, to hardware.

x is a tensor known to hold integers; the nodes up to the Quant are affine or monotone functions
that are exact in floating point (Relu, Clip, Max, Min, Floor, Ceil, Round).

===============================================  =================================================
case                                             becomes
===============================================  =================================================
x is made by a HadamardTransform layer, has no   that layer's fused requantizer (requantShift): no
other use, the factor is 2^-s with s >= 0        memory, no multiplier
for all channels, no bias, rounding ROUND
any other non-decreasing map, any rounding, up   Thresholding: 2^b - 1 thresholds, one row for all
to 12 output bits, or 16 with few channels       channels if the constants are scalars, else one
                                                 row for each channel
decreasing map, more bits                        nothing
===============================================  =================================================

A threshold is the smallest integer for which the QONNX nodes, executed as ``run_qonnx`` does, give
at least a certain code. It is found by bisection, which is exact because every correctly rounded
operation is monotone; ties, saturation and narrow ranges come out as QONNX has them: in float32,
and in float64 where x can have more than 24 bits, up to 53. Thresholds beyond 2^24 are stored in
float64. All 2^b - 1 thresholds are kept for a narrow range too: the lowest is always met.

A Quant with a scale other than 1 leaves Mul(scale) behind the layer.
"""

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, TensorProto, helper
from qonnx.core.datatype import BaseDataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.general.quant import min_int
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

from dhq_brevitas.export.exact_sums import code_bounds, is_wide
from dhq_brevitas.export.graph import (
    FLOAT_INTEGER_BITS,
    QUANT_OPS,
    constants,
    fans_out,
    replace_nodes,
)
from dhq_brevitas.finn_flow.elementwise import (
    ElementwisePart,
    NotConvertible,
    chain_before,
    evaluate,
    exact_affine,
    quant_output_codes,
    scaled_output,
)
from dhq_brevitas.finn_flow.ops import DOMAIN
from dhq_brevitas.finn_flow.ops.lookup_activation import smallest_signed_datatype
from dhq_brevitas.finn_flow.ranges import (
    MAX_FLOAT32_INTEGER,
    IntegerRange,
    integer_ranges,
    quant_parameters,
)

MAX_THRESHOLD_BITS = 16
# Of all channels together; 12 bits are let through with any number of them.
MAX_THRESHOLDS, FREE_BITS = 1 << 20, 12
MAX_CODE_BITS = FLOAT_INTEGER_BITS[TensorProto.FLOAT]


@dataclass(frozen=True)
class _Match:
    chain: ElementwisePart
    quant: NodeProto
    shift: int | None  # of a fused requantizer
    thresholds: np.ndarray | None


class InferRequant(Transformation):
    """See the module docstring. ``reasons`` maps the name of a Quant left alone to the cause.

    Args:
        fuse: use the requantizer of a HadamardTransform layer where that is possible.
    """

    def __init__(self, fuse: bool = True) -> None:
        super().__init__()
        self.fuse = fuse
        self.reasons: dict[str, str] = {}

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        # One requantizer at a time: the range of its output is what the next one starts from.
        changed = False
        for name in [node.output[0] for node in model.graph.node if node.op_type in QUANT_OPS]:
            quant = model.find_producer(name)
            if model.get_initializer(quant.input[0]) is not None:
                continue
            try:
                match = self._match(model, quant, integer_ranges(model), code_bounds(model))
            except NotConvertible as reason:
                self.reasons[quant.name] = str(reason)
                continue
            if match.thresholds is None:
                _fuse(model, match)
            else:
                _insert_thresholding(model, match, match.thresholds)
            self.reasons.pop(quant.name, None)
            changed = True
        return model, changed

    def _match(
        self,
        model: ModelWrapper,
        quant: NodeProto,
        ranges: dict[str, IntegerRange],
        bounds: dict[str, int],
    ) -> _Match:
        parameters = quant_parameters(model, quant)
        if parameters is None:
            raise NotConvertible("its scale, zero point and bit width must be constant, the zero 0")
        scale, bits = parameters
        if bits < 2:
            raise NotConvertible(f"it has {bits} bit; use at least 2")
        chain = chain_before(model, quant, set(ranges), monotone=True)
        x = ranges[chain.source]
        shift = _fusible_shift(model, chain, quant, scale, x, bounds) if self.fuse else None
        if shift is not None:
            if bits > MAX_CODE_BITS and x.magnitude >> shift > MAX_FLOAT32_INTEGER:
                raise NotConvertible(
                    f"its codes may need more than {MAX_CODE_BITS} bits, and QONNX holds them in "
                    "float32; use fewer bits or a larger scale"
                )
            return _Match(chain, quant, shift, None)
        rows = _rows(model, chain, scale, x)
        thresholds = rows * ((1 << bits) - 1)
        if bits > FREE_BITS and (bits > MAX_THRESHOLD_BITS or thresholds > MAX_THRESHOLDS):
            raise NotConvertible(
                f"{thresholds} thresholds would be needed for its {bits} bits in {rows} channels; "
                f"use at most {FREE_BITS} bits, a table (QuantLookupActivation), or a power-of-two "
                "scale behind a HadamardTransform"
            )
        wide = is_wide(bounds.get(chain.source, 0))
        return _Match(chain, quant, None, _thresholds(model, chain, quant, scale, bits, x, wide))


def _fusible_shift(
    model: ModelWrapper,
    chain: ElementwisePart,
    quant: NodeProto,
    scale: np.ndarray,
    x: IntegerRange,
    bounds: dict[str, int],
) -> int | None:
    producer = model.find_producer(chain.source)
    if producer is None or producer.op_type != "HadamardTransform" or producer.domain != DOMAIN:
        return None
    op = getCustomOp(producer)
    rounding = getCustomOp(quant).get_nodeattr("rounding_mode").upper()
    if (
        op.get_nodeattr("requantShift") >= 0
        or fans_out(model, chain.source)
        or rounding not in ("ROUND", "HALF_EVEN")
    ):
        return None
    try:
        affine = exact_affine(model, chain, scale, x, bounds)
    except NotConvertible:
        return None
    # A shift that leaves no bit makes all codes 0; the kernel has none.
    fits = affine.is_power_of_two() and affine.scale[0] == 1
    return affine.shift if fits and affine.shift < x.magnitude.bit_length() else None


def _rows(model: ModelWrapper, chain: ElementwisePart, scale: np.ndarray, x: IntegerRange) -> int:
    """Channels that have thresholds of their own; 1 if all share them."""
    sizes = {scale.size, *(c.size for node in chain.nodes for c in constants(model, node))}
    return 1 if sizes == {1} else x.channels


def _thresholds(
    model: ModelWrapper,
    chain: ElementwisePart,
    quant: NodeProto,
    scale: np.ndarray,
    bits: int,
    x: IntegerRange,
    wide: bool,
) -> np.ndarray:
    """Thresholds [1 or C, 2^bits - 1], int64: entry k is the smallest integer of code min + k + 1.

    Where no integer of the range reaches a code, the threshold is one above the range. ``wide``: as
    for :func:`~dhq_brevitas.finn_flow.elementwise.evaluate`.
    """
    if _rows(model, chain, scale, x) == 1:
        low, high = (np.array([end]) for end in x.whole())
    else:
        low, high = x.low, x.high

    part = ElementwisePart((*chain.nodes, quant), chain.source, quant.output[0])

    def codes_of(integers: np.ndarray) -> np.ndarray:
        values = evaluate(model, part, integers.astype(np.float64), wide)
        return quant_output_codes(model, quant, values)

    ends = codes_of(np.stack([low, high]))
    if np.any(ends[0] > ends[1]):
        raise NotConvertible(
            "it falls with its integer input for some channel, for example by a negative scale; "
            "move the sign into the weights before it"
        )
    lowest = int(min_int(getCustomOp(quant).get_nodeattr("signed"), False, bits))
    targets = lowest + np.arange(1, 1 << bits, dtype=np.int64)[:, None]
    below = np.broadcast_to(low, (len(targets), len(low))).copy()
    found = np.broadcast_to(high + 1, below.shape).copy()
    while np.any(below < found):
        middle = (below + found) // 2
        reached = codes_of(np.minimum(middle, high)) >= targets
        reached |= middle > high
        found = np.where(reached, middle, found)
        below = np.where(reached, below, middle + 1)
    return found.T


def _fuse(model: ModelWrapper, match: _Match) -> None:
    layer = model.find_producer(match.chain.source)
    op = getCustomOp(layer)
    quant_op = getCustomOp(match.quant)
    datatype = quant_op.get_integer_datatype(model)
    output, scaling = scaled_output(model, match.quant)
    op.set_nodeattr("requantShift", match.shift)
    op.set_nodeattr("narrow", quant_op.get_nodeattr("narrow"))
    op.set_nodeattr("outputDataType", datatype.name)
    layer.output[0] = output
    model.set_tensor_datatype(output, datatype)
    replace_nodes(model, (*match.chain.nodes, match.quant), scaling)


def _insert_thresholding(model: ModelWrapper, match: _Match, thresholds: np.ndarray) -> None:
    quant = match.quant
    quant_op = getCustomOp(quant)
    datatype = quant_op.get_integer_datatype(model)
    output, scaling = scaled_output(model, quant)
    layer = thresholding_layer(model, match.chain.source, output, thresholds, datatype)
    layer.name = f"Thresholding_{quant.name}"
    replace_nodes(model, (*match.chain.nodes, quant), [layer, *scaling])


def thresholding_layer(
    model: ModelWrapper, source: str, output: str, thresholds: np.ndarray, datatype: BaseDataType
) -> NodeProto:
    """The layer from ``source`` to ``output``, not yet in the graph; its lowest code is the type's.

    ``thresholds``: integers [1 or C, 2^bits - 1], one for each step to the next code of
    ``datatype``; below 2^53.
    """
    shape = model.get_tensor_shape(source)
    name = f"{output}_thresholds"
    threshold_type = smallest_signed_datatype(thresholds.astype(np.int64))
    # FINN's own container is float32, which holds no more than 24 bits.
    wide = np.abs(thresholds).max() > MAX_FLOAT32_INTEGER
    model.set_initializer(name, thresholds.astype(np.float64 if wide else np.float32))
    model.set_tensor_datatype(name, threshold_type)
    model.set_tensor_datatype(output, datatype)
    return helper.make_node(
        "Thresholding",
        [source, name],
        [output],
        domain=DOMAIN,
        backend="fpgadataflow",
        PE=1,
        NumChannels=int(shape[-1]),
        numSteps=thresholds.shape[1],
        numInputVectors=[int(n) for n in shape[:-1]],
        inputDataType=model.get_tensor_datatype(source).name,
        weightDataType=threshold_type.name,
        outputDataType=datatype.name,
        ActVal=int(min_int(datatype.signed(), False, datatype.bitwidth())),
    )
