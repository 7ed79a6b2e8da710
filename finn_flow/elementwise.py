# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Elementwise parts of a QONNX graph that depend on one tensor: finding, executing, analyzing them.

Three views of such a part are needed to turn it into an integer hardware layer:

* :func:`chain_before` walks from the input of a Quant up to the integer tensor it is computed from,
  through Mul, Add, Sub, Div, Neg, Cast and Identity with constants, or monotone functions too;
* :func:`exact_affine` reads a chain as v = x·M + B with exact fractions, and refuses one whose
  floating-point arithmetic could round;
* :func:`evaluate` executes nodes on any values as ``run_qonnx`` does, so that what is stored in a
  table or in thresholds is what QONNX computes, to the last bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from onnx import NodeProto, TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.basic import qonnx_make_model

from dhq_brevitas.export.exact_sums import (
    AFFINE_OPS,
    MONOTONE_OPS,
    is_wide,
    with_exact_sums,
)
from dhq_brevitas.export.graph import FLOAT_INTEGER_BITS, QUANT_OPS, constants, fans_out, variables
from dhq_brevitas.finn_flow.ranges import IntegerRange

# ONNX operators whose output element depends on the input elements at the same position only.
# fmt: off
ELEMENTWISE_OPS = frozenset((
    "Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "Cast", "Ceil",
    "Celu", "Clip", "Cos", "Cosh", "Div", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu",
    "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Less",
    "LessOrEqual", "Log", "Max", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow",
    "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus",
    "Softsign", "Sqrt", "Sub", "Sum", "Tan", "Tanh", "ThresholdedRelu", "Where", "Xor",
))
# fmt: on


class NotConvertible(Exception):
    """Why a pass leaves a node as it is."""


@dataclass(frozen=True)
class ElementwisePart:
    """Nodes in execution order that compute ``target`` from ``source`` and constants."""

    nodes: tuple[NodeProto, ...]
    source: str
    target: str


@dataclass(frozen=True)
class DyadicAffine:
    """v = (x·scale + bias) / 2^shift, exactly; scale and bias as Python integers per channel."""

    scale: tuple[int, ...]
    bias: tuple[int, ...]
    shift: int

    def is_power_of_two(self) -> bool:
        """Whether v is x / 2^shift or a multiple x·2^k, one for all channels, without bias."""
        first = self.scale[0]
        return (
            not any(self.bias)
            and all(scale == first for scale in self.scale)
            and first > 0
            and first & (first - 1) == 0
        )


def chain_before(
    model: ModelWrapper, quant: NodeProto, sources: set[str], monotone: bool = False
) -> ElementwisePart:
    """The affine nodes between the nearest tensor of ``sources`` and the input of ``quant``.

    With ``monotone``, nodes of MONOTONE_OPS may be among them. NotConvertible if the walk meets
    another kind of node or two non-constant operands first, or if a tensor on the way is used
    elsewhere too.
    """
    allowed = AFFINE_OPS + MONOTONE_OPS if monotone else AFFINE_OPS
    nodes: list[NodeProto] = []
    tensor = quant.input[0]
    while tensor not in sources:
        producer = model.find_producer(tensor)
        if producer is None:
            raise NotConvertible(f"its input is computed from {tensor}, which holds no integers")
        if producer.op_type not in allowed:
            kind = "monotone" if monotone else "affine"
            raise NotConvertible(
                f"its input comes from {producer.name} ({producer.op_type}), which is not {kind} "
                "in an integer tensor"
            )
        operands = variables(model, producer)
        if len(operands) != 1:
            raise NotConvertible(
                f"{producer.name} ({producer.op_type}) before it has {len(operands)} operands that "
                "are not constant; it needs one"
            )
        if fans_out(model, tensor):
            raise NotConvertible(f"{producer.name} before it is used by other nodes too")
        nodes.append(producer)
        tensor = operands[0]
    return ElementwisePart(tuple(reversed(nodes)), tensor, quant.input[0])


def _is_elementwise(model: ModelWrapper, node: NodeProto) -> bool:
    known = node.op_type in ELEMENTWISE_OPS or node.op_type in QUANT_OPS
    return known or is_table_lookup(model, node)


def reachable_part(model: ModelWrapper, source: str) -> list[NodeProto]:
    """All nodes that depend on ``source`` and constants only, elementwise, in graph order."""
    # Found once: QONNX looks through all constants for each name.
    constant = {initializer.name for initializer in model.graph.initializer}
    inside = {source}
    nodes = []
    for node in model.graph.node:
        operands = {name for name in node.input if name} - constant
        if operands and inside.issuperset(operands) and _is_elementwise(model, node):
            nodes.append(node)
            inside.update(node.output)
    return nodes


def is_table_lookup(model: ModelWrapper, node: NodeProto) -> bool:
    """Whether ``node`` belongs to y = table[index] with a constant list of numbers.

    That is a Gather, or what PyTorch's dynamo exporter writes: Unsqueeze -> GatherND.
    """
    if node.op_type == "Unsqueeze":
        users = model.find_consumers(node.output[0])
        return bool(users) and all(
            user.op_type == "GatherND"
            and is_table_lookup(model, user)
            and model.get_tensor_shape(user.output[0]) == model.get_tensor_shape(node.input[0])
            for user in users
        )
    table = model.get_initializer(node.input[0]) if "Gather" in node.op_type else None
    return node.op_type in ("Gather", "GatherND") and table is not None and table.ndim == 1


def part_between(
    model: ModelWrapper, candidates: Sequence[NodeProto], source: str, target: str
) -> ElementwisePart | None:
    """The ``candidates`` needed for ``target``; None if one of their results is used elsewhere."""
    needed: list[NodeProto] = []
    wanted = {target}
    for node in reversed(candidates):
        if wanted.intersection(node.output):
            needed.append(node)
            wanted.update(node.input)
    needed.reverse()
    outputs = {output.name for output in model.graph.output}
    inner = {source}.union(*(node.output for node in needed)) - {target}
    for name in inner:
        users = model.find_consumers(name)
        if name in outputs or any(user not in needed for user in users):
            return None
    return ElementwisePart(tuple(needed), source, target)


def evaluate(
    model: ModelWrapper, part: ElementwisePart, values: np.ndarray, wide: bool
) -> np.ndarray:
    """Float32 result of ``part`` for ``values`` in place of its source, as ``run_qonnx`` has it.

    ``values``: of any shape that the constants of the part do not widen; taken as float32, or as
    float64 if ``wide``: if codes behind the source can outgrow float32, by their ``code_bounds``.
    """
    if not part.nodes:
        return values
    elem_type = model.get_tensor_valueinfo(part.source).type.tensor_type.elem_type
    graph = helper.make_graph(
        nodes=list(part.nodes),
        name="part",
        inputs=[helper.make_tensor_value_info(part.source, elem_type, values.shape)],
        outputs=[helper.make_tensor_value_info(part.target, TensorProto.FLOAT, values.shape)],
    )
    small = ModelWrapper(
        qonnx_make_model(graph, opset_imports=list(model.model.opset_import)), make_deepcopy=True
    )
    for name in {name for node in part.nodes for name in node.input if name}:
        initializer = model.get_initializer(name)
        if initializer is not None:
            small.set_initializer(name, initializer)
    if wide:
        small.set_tensor_datatype(part.source, DataType["INT64"])
    small = with_exact_sums(small.transform(InferShapes()))
    (source,) = small.graph.input
    dtype = helper.tensor_dtype_to_np_dtype(source.type.tensor_type.elem_type)
    return execute_onnx(small, {source.name: values.astype(dtype)})[part.target]


def quant_output_codes(model: ModelWrapper, quant: NodeProto, values: np.ndarray) -> np.ndarray:
    """int64 codes of output values (float32, code·scale) of ``quant``."""
    scale = model.get_initializer(quant.input[1]).astype(np.float64)
    codes = np.rint(values / scale)
    if np.any((codes * scale).astype(np.float32) != values):
        raise NotConvertible(f"the outputs of {quant.name} are not multiples of its scale")
    return codes.astype(np.int64)


def scaled_output(model: ModelWrapper, quant: NodeProto) -> tuple[str, list[NodeProto]]:
    """Tensor for the codes of ``quant``, and the nodes that restore its output from them.

    With scale 1 these are the output itself and no node; else a new tensor and a Mul by the scale,
    the very multiplication that the Quant ends with.
    """
    output = quant.output[0]
    scale = model.get_initializer(quant.input[1])
    if np.all(scale == 1):
        return output, []
    codes, factor = f"{output}_codes", f"{output}_scale"
    model.set_tensor_shape(codes, model.get_tensor_shape(output))
    model.set_initializer(factor, scale)
    return codes, [helper.make_node("Mul", [codes, factor], [output], name=f"{quant.name}_scale")]


def exact_affine(
    model: ModelWrapper,
    chain: ElementwisePart,
    divisor: np.ndarray,
    x: IntegerRange,
    bounds: Mapping[str, int],
) -> DyadicAffine:
    """``chain`` followed by a division by ``divisor`` as one dyadic affine map of the integers x.

    Every constant is read as the fraction its float stands for. NotConvertible unless each
    intermediate result x·m + b is exact for all x in the range: in units of the largest power of
    two that divides m and b its magnitude must stay within the significand of the format it is
    computed in: 2^24 for float32, 2^53 for float64, which ``run_qonnx`` takes for codes of more
    than 24 bits. ``bounds``: the graph's ``code_bounds``.
    """
    channels = x.channels
    scale = [Fraction(1)] * channels
    bias = [Fraction(0)] * channels
    elem_type = model.get_tensor_valueinfo(chain.source).type.tensor_type.elem_type
    if is_wide(bounds.get(chain.source, 0)):
        elem_type = TensorProto.DOUBLE
    magnitudes = np.maximum(np.abs(x.low), np.abs(x.high)).tolist()

    def check(where: str) -> None:
        limit = 1 << FLOAT_INTEGER_BITS[elem_type]
        for m, b, largest in zip(scale, bias, magnitudes, strict=True):
            if largest * abs(m) + abs(b) > limit * _unit(m, b):
                raise NotConvertible(
                    f"{where} could round: it needs more than the {limit.bit_length() - 1} bits of "
                    "its floating-point format; export with fewer multiplier bits or in float64"
                )

    for node in chain.nodes:
        if node.op_type not in AFFINE_OPS:
            raise NotConvertible(f"{node.name} ({node.op_type}) is not affine")
        if node.op_type == "Cast":
            elem_type = node.attribute[0].i
            if elem_type not in FLOAT_INTEGER_BITS:
                raise NotConvertible(
                    f"{node.name} casts to a type that is neither float nor double"
                )
            check(node.name)
        elif node.op_type == "Neg":
            scale, bias = [-m for m in scale], [-b for b in bias]
        elif node.op_type != "Identity":
            constants, constant_first = _constant_operand(model, node, channels)
            scale, bias = _apply(node, scale, bias, constants, constant_first)
            check(node.name)
    steps = channel_fractions(divisor, channels, "the scale of the Quant")
    scale = [_quotient(m, step) for m, step in zip(scale, steps, strict=True)]
    bias = [_quotient(b, step) for b, step in zip(bias, steps, strict=True)]
    check("the division by the scale of the Quant")
    return dyadic_affine(scale, bias)


def channel_fractions(values: np.ndarray, channels: int, name: str) -> list[Fraction]:
    """The exact fractions of a scalar or of one value per channel, always ``channels`` entries."""
    flat = values.reshape(-1)
    if flat.size == 1:
        return [Fraction(flat[0].item())] * channels
    if flat.size != channels or values.shape[-1] != channels:
        raise NotConvertible(f"{name} of shape {values.shape} is not one value per channel")
    return [Fraction(value) for value in flat.tolist()]


def _unit(m: Fraction, b: Fraction) -> Fraction:
    """The largest power of two of which m and b are both multiples; 1 if both are 0."""
    powers = [Fraction(f.numerator & -f.numerator, f.denominator) for f in (m, b) if f.numerator]
    return min(powers, default=Fraction(1))


def _constant_operand(
    model: ModelWrapper, node: NodeProto, channels: int
) -> tuple[list[Fraction], bool]:
    (values,) = constants(model, node)
    constant_first = model.get_initializer(node.input[0]) is not None
    return channel_fractions(values, channels, f"the constant of {node.name}"), constant_first


def _apply(
    node: NodeProto,
    scale: list[Fraction],
    bias: list[Fraction],
    constants: list[Fraction],
    constant_first: bool,
) -> tuple[list[Fraction], list[Fraction]]:
    triples = list(zip(scale, bias, constants, strict=True))
    if node.op_type == "Mul":
        return [m * c for m, _, c in triples], [b * c for _, b, c in triples]
    if node.op_type == "Add":
        return scale, [b + c for _, b, c in triples]
    if node.op_type == "Sub" and constant_first:
        return [-m for m in scale], [c - b for _, b, c in triples]
    if node.op_type == "Sub":
        return scale, [b - c for _, b, c in triples]
    if constant_first:
        raise NotConvertible(f"{node.name} divides by the variable")
    return [_quotient(m, c) for m, _, c in triples], [_quotient(b, c) for _, b, c in triples]


def _quotient(value: Fraction, divisor: Fraction) -> Fraction:
    # Other divisors leave the dyadic numbers: the quotient of two floats is rounded.
    numerator, denominator = abs(divisor.numerator), divisor.denominator
    if numerator == 0 or numerator & (numerator - 1) or denominator & (denominator - 1):
        raise NotConvertible(f"a division by {float(divisor)} rounds; use a power of two")
    return value / divisor


def dyadic_affine(scale: Sequence[Fraction], bias: Sequence[Fraction]) -> DyadicAffine:
    """x·scale + bias of dyadic fractions, one of each a channel, over one power of two."""
    shift = max(f.denominator for f in (*scale, *bias)).bit_length() - 1
    return DyadicAffine(
        tuple(int(m * (1 << shift)) for m in scale),
        tuple(int(b * (1 << shift)) for b in bias),
        shift,
    )
