# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Random QONNX graphs in integer form, built by hand from ONNX nodes."""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.general import (
    GiveReadableTensorNames,
    GiveUniqueNodeNames,
)
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.basic import qonnx_make_model

QUANT_DOMAIN = "qonnx.custom_op.general"
HADAMARD_DOMAIN = "dhq_brevitas.export.hadamard_op"


class GraphBuilder:
    """Appends nodes to a chain; ``x`` is the name of the latest tensor."""

    def __init__(self, channels: int, batch: int = 1, datatype: str = "FLOAT32") -> None:
        self.nodes: list = []
        self.initializers: dict[str, tuple[np.ndarray, str]] = {}
        self.x = "global_in"
        self.shape = [batch, channels]
        self.datatype = datatype
        self.count = 0

    def parameter(self, value, datatype: str = "FLOAT32", dtype=np.float32) -> str:
        self.count += 1
        name = f"param_{self.count}"
        self.initializers[name] = (np.array(value, dtype=dtype), datatype)
        return name

    def node(self, op_type: str, *inputs: str, **attributes) -> "GraphBuilder":
        self.count += 1
        output = f"value_{self.count}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [output], **attributes))
        self.x = output
        return self

    def apply(self, op_type: str, constant=None, dtype=np.float32, **attributes) -> "GraphBuilder":
        """``x op constant``, or ``op(x)``."""
        extra = [] if constant is None else [self.parameter(constant, dtype=dtype)]
        return self.node(op_type, self.x, *extra, **attributes)

    def cast(self, double: bool) -> "GraphBuilder":
        return self.node("Cast", self.x, to=TensorProto.DOUBLE if double else TensorProto.FLOAT)

    def quant(self, bits, rounding="ROUND", scale=1.0, signed=1, narrow=0) -> "GraphBuilder":
        return self.node(
            "Quant",
            self.x,
            self.parameter(scale),
            self.parameter(0.0),
            self.parameter(float(bits)),
            domain=QUANT_DOMAIN,
            signed=signed,
            narrow=narrow,
            rounding_mode=rounding,
        )

    def matmul(self, weights: np.ndarray, bits: int) -> "GraphBuilder":
        return self.node("MatMul", self.x, self.parameter(weights, f"INT{bits}"))

    def hadamard(self, order: int, signs=None, normalize: int = 0) -> "GraphBuilder":
        extra = [] if signs is None else [self.parameter(signs)]
        return self.node(
            "HadamardTransform",
            self.x,
            *extra,
            domain=HADAMARD_DOMAIN,
            order=order,
            normalize=normalize,
        )

    def sine_of_phase(self, phase_bits: int, amplitude: float) -> "GraphBuilder":
        """amplitude · sin(2π(frac(p·2^-P) + 2^-(P+1))) in float64 of the integer phase code p."""
        double = {"dtype": np.float64}
        self.cast(True).apply("Mul", 2.0**-phase_bits, **double)
        turns = self.x
        floor = self.node("Floor", turns).x
        self.node("Sub", turns, floor).apply("Add", 2.0 ** -(phase_bits + 1), **double)
        self.apply("Mul", 2 * np.pi, **double).apply("Sin").cast(False)
        return self.apply("Mul", amplitude)

    def model(self, channels_out: int, shape: list[int] | None = None) -> ModelWrapper:
        """The graph; its output is [batch, channels_out] unless a ``shape`` is given."""
        self.nodes[-1].output[0] = "global_out"
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("global_in", TensorProto.FLOAT, self.shape)],
            [
                helper.make_tensor_value_info(
                    "global_out", TensorProto.FLOAT, shape or [self.shape[0], channels_out]
                )
            ],
        )
        model = ModelWrapper(qonnx_make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))
        for name, (value, datatype) in self.initializers.items():
            model.set_initializer(name, value)
            model.set_tensor_datatype(name, DataType[datatype])
        model.set_tensor_datatype("global_in", DataType[self.datatype])
        for transformation in (
            InferShapes(),
            GiveUniqueNodeNames(),
            GiveReadableTensorNames(),
            InferDataTypes(),
        ):
            model = model.transform(transformation)
        return model


def one_layer_model(node, shape, datatype: str, constants=()) -> ModelWrapper:
    """Graph of one hardware layer from x of ``shape`` to y; ``constants``: (name, value) pairs."""
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = ModelWrapper(qonnx_make_model(graph))
    for name, value in constants:
        model.set_initializer(name, value)
    model.set_tensor_datatype("x", DataType[datatype])
    return model.transform(InferShapes()).transform(InferDataTypes())


def layer_kinds(model: ModelWrapper) -> list[str]:
    """Operators of a graph without the suffix of their RTL variants."""
    return [node.op_type.removesuffix("_rtl") for node in model.graph.node]


def random_weights(rng, rows: int, columns: int, bits: int) -> np.ndarray:
    """Weights of ``bits`` bits without the most negative code, normally distributed."""
    top = 2 ** (bits - 1) - 1
    weights = np.clip(np.rint(rng.normal(0, max(0.7, top / 3), (rows, columns))), -top, top)
    # At least one entry of either sign, whatever the size.
    weights[0, 0], weights[-1, -1] = top, -top
    return weights


def dyadic(value, bits: int):
    """The nearest number with at most ``bits`` bits of significand."""
    mantissa, exponent = np.frexp(value)
    return np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits)


@dataclass(frozen=True)
class Siren:
    """Description of a random quantized SIREN in integer form.

    ``constants``: "po2" (powers of two), "float" (dyadic with 6-bit significands, exact in
    float32), "double" (24-bit significands behind Cast(DOUBLE)).
    """

    hidden: int = 64
    layers: int = 2
    inputs: int = 2
    outputs: int = 3
    input_bits: int = 8
    weight_bits: int = 8
    act_bits: int = 8
    phase_bits: int = 8
    order: int = 0  # of the rotation; 0 for none
    signs: bool = False
    output_side: bool = False
    constants: str = "po2"
    per_channel: bool = False
    requant_factor: float | None = None
    batch: int = 1
    seed: int = 0

    def build(self) -> ModelWrapper:
        rng = np.random.default_rng(self.seed)
        g = GraphBuilder(self.inputs, self.batch)
        g.quant(self.input_bits)
        size, bits = self.inputs, self.input_bits
        for layer in range(self.layers):
            weights = random_weights(rng, size, self.hidden, self.weight_bits)
            g.matmul(weights, self.weight_bits)
            spread = np.sqrt((weights**2).sum(axis=0).mean()) * 2 ** (bits - 1) / 3
            if self.output_side and layer == 0 and self.order:
                g.hadamard(self.order)
                spread *= np.sqrt(self.order)
            self._activation(g, rng, spread)
            size, bits = self.hidden, self.act_bits
            if self.order:
                self._requantization(g, rng)
        g.matmul(random_weights(rng, size, self.outputs, self.weight_bits), self.weight_bits)
        g.apply("Mul", rng.uniform(1e-4, 2e-4, self.outputs))
        g.apply("Add", rng.normal(0, 0.3, self.outputs))
        return g.model(self.outputs)

    def _activation(self, g: GraphBuilder, rng, spread: float) -> None:
        # About two turns of phase for a typical accumulator.
        factor = 2.0 * 2**self.phase_bits / spread
        channels = (self.hidden,) if self.per_channel else ()
        if self.per_channel:
            factor = factor * rng.uniform(0.5, 2.0, channels)
        bias = np.rint(rng.uniform(-(2**self.phase_bits), 2**self.phase_bits, self.hidden))
        if self.constants == "po2":
            factor = 2.0 ** np.rint(np.log2(factor))
            g.apply("Mul", factor).apply("Add", bias + 0.5)
        elif self.constants == "float":
            step = 2.0 ** np.floor(np.log2(np.min(factor)) - 6)
            factor = np.rint(factor / step) * step
            g.apply("Mul", factor).apply("Add", bias)
        else:
            step = 2.0 ** np.floor(np.log2(np.min(factor)) - 23)
            factor = np.rint(factor / step) * step
            g.cast(True)
            g.apply("Mul", factor, dtype=np.float64).apply(
                "Add", np.rint(bias * 1.37 / step) * step, dtype=np.float64
            )
        g.quant(24, "FLOOR")
        g.sine_of_phase(self.phase_bits, 2 ** (self.act_bits - 1) - 1)
        g.quant(self.act_bits, narrow=1)

    def _requantization(self, g: GraphBuilder, rng) -> None:
        signs = rng.choice([-1.0, 1.0], self.hidden) if self.signs else None
        g.hadamard(self.order, signs)
        factor = self.requant_factor or 2.0 ** -(self.order.bit_length() // 2)
        g.apply("Mul", factor).quant(self.act_bits)

    def samples(self, count: int, seed: int = 1) -> np.ndarray:
        """Real inputs [count, inputs], some of them outside the range of the input quantizer."""
        rng = np.random.default_rng(seed)
        limit = 2 ** (self.input_bits - 1)
        return rng.uniform(-1.1 * limit, 1.1 * limit, (count, self.inputs)).astype(np.float32)
