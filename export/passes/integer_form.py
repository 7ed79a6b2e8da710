# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Rewrites a QONNX graph so that every rounding decision is taken on exact integers.

Brevitas exports dequantized values: Quant(x; s) yields code·s, and a matrix product of two such
tensors is a float sum whose last bits depend on the order of summation. In the integer form

* every Quant has scale 1 and zero point 0, so its output is the integer code itself;
* the weights of a MatMul are integer initializers annotated with their datatype, so the
  accumulator is an exact integer (as long as it fits float32's 24 bits);
* a HadamardTransform of integers is unnormalised and yields integers;
* what was spread over scales, biases and normalisations stands between an integer and the next
  Quant as one ``Mul(M) -> Add(B)``.

Each tensor is followed as ``value = scale·q + offset`` with q an integer tensor of the new graph:

=====================  ==========================================================================
node                   effect on (q, scale, offset)
=====================  ==========================================================================
Quant, constant input  integer constant and its scale
Quant                  q' = Quant(q·scale/s + offset/s) with scale 1; then (q', s, 0)
MatMul, Gemm           q' = MatMul(q, W_int); scale·s_W, offset·ΣW_int·s_W (+ bias)
HadamardTransform      q' = HadamardTransform(q); scale (·1/√order if normalised), offset 0
Mul, Div, Add, Sub     with a constant: scale and offset only, no node
anything else          copied; its inputs are formed as Mul(scale) -> Add(offset)
=====================  ==========================================================================

Where the Quant rounds with FLOOR (a phase), M and B become dyadic numbers M_int/2^s and B_int/2^s,
so that hardware computes (q·M_int + B_int) >> s. Power-of-two scales are dyadic already and stay as
they are. Others are rounded to ``multiplier_bits`` bits. Float32 carries the result exactly when
|q·M_int| + |B_int| < 2^24; otherwise Cast nodes put Mul, Add and Quant's division in float64. With
ROUND, M and B stay float32: a threshold on the integer q reproduces that exactly.
"""

import math
import warnings
from dataclasses import replace

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.general.quant import max_int, min_int
from qonnx.custom_op.general.quant import quant as int_quant
from qonnx.transformation.base import Transformation
from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames, SortGraph
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.transformation.infer_shapes import InferShapes

from dhq_brevitas.export.graph import attribute
from dhq_brevitas.export.hadamard_op import DOMAIN as HADAMARD_DOMAIN
from dhq_brevitas.export.hadamard_op import OP_TYPE, output_range
from dhq_brevitas.export.passes.integer_values import (
    ZERO,
    Constant,
    Real,
    Rotated,
    Scaled,
    Value,
    dyadic_parameters,
    integer,
    last_axis,
    transposed,
)

QUANT_DOMAIN = "qonnx.custom_op.general"
FLOAT32_INTEGER_BITS = 24
FLOAT64_INTEGER_BITS = 53
MULTIPLIER_BITS = 24


class InexactAccumulatorWarning(UserWarning):
    """An accumulator can outgrow the 24 bits that float32 tools carry exactly."""


class ToIntegerForm(Transformation):
    """See the module docstring. Shapes, inputs and outputs of the graph are kept.

    Args:
        multiplier_bits: bits of M_int for scales that are not dyadic, 2 to 32.

    Raises ValueError where a node cannot be expressed (non-zero zero point, a per-channel scale in
    front of a HadamardTransform); warns with InexactAccumulatorWarning.
    """

    def __init__(self, multiplier_bits: int = MULTIPLIER_BITS) -> None:
        super().__init__()
        if not 2 <= multiplier_bits <= 32:
            raise ValueError(f"multiplier_bits={multiplier_bits} is out of range: use 2 to 32")
        self.multiplier_bits = multiplier_bits

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        model = model.transform(SortGraph())
        writer = _Writer(model, self.multiplier_bits)
        for node in model.graph.node:
            writer.convert(node)
        writer.finish()
        for step in (
            InferShapes(),
            GiveUniqueNodeNames(),
            GiveReadableTensorNames(),
            InferDataTypes(),
        ):
            model = model.transform(step)
        return model, False


def to_integer_form(model: ModelWrapper, multiplier_bits: int = MULTIPLIER_BITS) -> ModelWrapper:
    """Copy of ``model`` in integer form; a graph that is in it already comes back equivalent."""
    return model.transform(ToIntegerForm(multiplier_bits), make_deepcopy=True)


class _Writer:
    """Builds the new node list of a graph while its old nodes are visited in order."""

    def __init__(self, model: ModelWrapper, multiplier_bits: int) -> None:
        self.model = model
        self.multiplier_bits = multiplier_bits
        self.nodes: list[NodeProto] = []
        self.initializers: dict[str, tuple[np.ndarray, str]] = {}
        self.values: dict[str, Value] = {}
        self.formed: dict[str, str] = {}
        self.counter = 0
        for initializer in model.graph.initializer:
            array = numpy_helper.to_array(initializer)
            datatype = model.get_tensor_datatype(initializer.name)
            if datatype.is_integer() and array.dtype == np.float32:
                constant = Constant(array, array, np.ones(()), datatype.name)
            else:
                constant = Constant(array)
            self.values[initializer.name] = constant
        for graph_input in model.graph.input:
            name = graph_input.name
            if name in self.values:
                continue
            datatype = model.get_tensor_datatype(name)
            if datatype.is_integer():
                self.values[name] = integer(name, int(datatype.min()), int(datatype.max()))
            else:
                self.values[name] = Real(name)

    # -- the visit -------------------------------------------------------------------------------

    def convert(self, node: NodeProto) -> None:
        inputs = [self.values[name] for name in node.input if name]
        handler = getattr(self, f"_convert_{node.op_type.lower()}", None)
        value = handler(node, *inputs) if handler is not None else None
        if value is None:
            self._copy(node)
        else:
            self.values[node.output[0]] = value

    def finish(self) -> None:
        graph = self.model.graph
        for output in graph.output:
            formed = self._form(self.values[output.name])
            if formed != output.name:
                self._rename(formed, output.name)
        del graph.node[:]
        graph.node.extend(self.nodes)
        del graph.initializer[:]
        used = {name for node in self.nodes for name in node.input}
        imports = self.model.model.opset_import
        domains = {node.domain for node in self.nodes} - {entry.domain for entry in imports}
        imports.extend(helper.make_opsetid(domain, 1) for domain in sorted(domains))
        for name, (array, datatype) in self.initializers.items():
            if name in used:
                self.model.set_initializer(name, array)
                self.model.set_tensor_datatype(name, DataType[datatype])
        # Shapes are inferred anew: PyTorch annotates some wrongly behind custom operators.
        del graph.value_info[:]

    def _copy(self, node: NodeProto) -> None:
        copied = NodeProto()
        copied.CopyFrom(node)
        for index, name in enumerate(node.input):
            if name:
                copied.input[index] = self._form(self.values[name], name)
        self.nodes.append(copied)
        for name in node.output:
            self.values[name] = Real(name)

    # -- one method per operator; None means "copy the node" ------------------------------------

    def _convert_quant(
        self, node: NodeProto, x: Value, scale: Value, zero_point: Value, bits: Value
    ) -> Value:
        if not (
            isinstance(scale, Constant)
            and isinstance(zero_point, Constant)
            and isinstance(bits, Constant)
        ):
            raise ValueError(f"{node.name}: scale, zero point and bit width must be constants")
        if np.any(zero_point.values != 0):
            raise ValueError(
                f"{node.name}: zero point {zero_point.values} is not supported; use a symmetric "
                "quantizer"
            )
        signed, narrow = attribute(node, "signed", 1), attribute(node, "narrow", 0)
        rounding = attribute(node, "rounding_mode", b"ROUND").decode().upper()
        width = int(bits.values.item())
        step = scale.values.astype(np.float64)
        if isinstance(x, Constant):
            # In float64: the codes of a bias may have more bits than float32 carries.
            quotient, one, zero = x.values / step, np.float64(1), np.float64(0)
            codes = int_quant(quotient, one, zero, bits.values, signed, narrow, rounding)
            return Constant(
                codes * step,
                codes.astype(np.float32),
                step,
                ("INT" if signed else "UINT") + str(width),
            )
        step = last_axis(step, node.name)
        source = self._code_source(x, step, rounding)
        code = self._emit(
            "Quant",
            [
                source,
                self._parameter(np.float32(1)),
                self._parameter(np.float32(0)),
                self._parameter(bits.values),
            ],
            node.output[0],
            domain=QUANT_DOMAIN,
            signed=signed,
            narrow=narrow,
            rounding_mode=rounding,
        )
        low, high = int(min_int(signed, narrow, width)), int(max_int(signed, narrow, width))
        return replace(integer(code, low, high), scale=step)

    def _code_source(self, x: Scaled | Real, step: np.ndarray, rounding: str) -> str:
        """Name of the tensor x / step, the input of a Quant with scale 1."""
        if isinstance(x, Scaled):
            return self._affine(x, x.scale / step, x.offset / step, exact=rounding == "FLOOR")
        if np.all(step == 1):
            return x.name
        reciprocal = 1 / step
        if np.all(np.frexp(step)[0] == 0.5):  # powers of two: the product is exact
            return self._emit(
                "Mul", [x.name, self._parameter(reciprocal.astype(np.float32))], x.name
            )
        return self._emit("Div", [x.name, self._parameter(step.astype(np.float32))], x.name)

    def _convert_matmul(self, node: NodeProto, x: Value, weight: Value) -> Value | None:
        return self._linear(node, x, weight, None)

    def _convert_gemm(
        self, node: NodeProto, x: Value, weight: Value, bias: Value | None = None
    ) -> Value | None:
        plain = attribute(node, "alpha", 1.0) == attribute(node, "beta", 1.0) == 1.0
        if not plain or attribute(node, "transA", 0) or not isinstance(weight, Constant):
            return None
        if attribute(node, "transB", 0):
            weight = transposed(weight)
        return self._linear(node, x, weight, bias)

    def _linear(self, node: NodeProto, x: Value, weight: Value, bias: Value | None) -> Value | None:
        if not isinstance(x, Scaled) or x.scale.size > 1 or x.offset.size > 1:
            return None
        if not isinstance(weight, Constant) or weight.codes is None or weight.codes.ndim != 2:
            return None
        if bias is not None and not isinstance(bias, Constant):
            return None
        assert weight.scale is not None
        columns = weight.codes.shape[1]
        if weight.scale.size > 1 and weight.scale.shape[-1] != columns:
            raise ValueError(f"{node.name}: a weight scale for each input channel is not supported")
        weight_scale = last_axis(weight.scale, node.name)
        codes = weight.codes.astype(np.float64)
        largest = np.abs(codes).sum(axis=0).max() * x.magnitude
        if x.rotation is None:
            low = np.where(codes > 0, codes * x.low, codes * x.high).sum(axis=0)
            high = np.where(codes > 0, codes * x.high, codes * x.low).sum(axis=0)
        else:
            low, high = x.rotation.product_range(codes)
            largest = min(largest, x.rotation.largest_sum(codes))
        self._check_accumulator(node, largest)
        name = self._emit(
            "MatMul", [x.name, self._parameter(weight.codes, weight.datatype)], node.output[0]
        )
        value = replace(
            integer(name, int(low.min()), int(high.max())),
            scale=x.scale * weight_scale,
            offset=x.offset * weight_scale * codes.sum(axis=0) if np.any(x.offset) else ZERO,
        )
        if weight.transform is not None:
            if weight.transform_axis != 1:
                raise ValueError(f"{node.name}: the weight's transform is not along its outputs")
            value = self._transformed(node, value, *weight.transform)
            value = replace(value, scale=value.scale * weight.transform_scale.reshape(-1))
        if bias is not None:
            value = replace(value, offset=value.offset + bias.values.astype(np.float64).reshape(-1))
        return value

    def _check_accumulator(self, node: NodeProto, magnitude: float) -> None:
        if magnitude >= 2**FLOAT32_INTEGER_BITS:
            warnings.warn(
                f"{node.name}: the accumulator may reach {math.ceil(math.log2(magnitude)) + 1} "
                f"bits; tools that add up in float32 carry {FLOAT32_INTEGER_BITS} exactly, so "
                "codes could differ there (run_qonnx and build checks are exact); fewer weight "
                "or activation bits avoid this",
                InexactAccumulatorWarning,
                stacklevel=2,
            )

    def _convert_hadamardtransform(
        self, node: NodeProto, x: Value, signs: Value | None = None
    ) -> Value | None:
        order, normalize = attribute(node, "order", 0), attribute(node, "normalize", 0)
        if isinstance(x, Constant) and x.codes is not None and signs is None:
            # A weight: the transform moves behind the MatMul that uses it.
            return replace(x, transform=(order, normalize), transform_axis=x.codes.ndim - 1)
        if not isinstance(x, Scaled):
            return None
        if x.scale.size > 1 or np.any(x.offset):
            raise ValueError(
                f"{node.name}: the input of a HadamardTransform must have one scale and no offset, "
                "since the transform mixes channels; use a per-tensor quantizer before it"
            )
        if signs is not None and not isinstance(signs, Constant):
            raise ValueError(f"{node.name}: the signs must be a constant")
        return self._transformed(
            node, x, order, normalize, None if signs is None else signs.values, node.output[0]
        )

    def _transformed(
        self,
        node: NodeProto,
        x: Scaled,
        order: int,
        normalize: int,
        signs: np.ndarray | None = None,
        name: str | None = None,
    ) -> Scaled:
        if x.scale.size > 1:
            raise ValueError(
                f"{node.name}: an output-side rotation needs one weight scale for all outputs; "
                "use a per-tensor weight quantizer"
            )
        extra = [] if signs is None else [self._parameter(signs.astype(np.float32))]
        name = self._emit(
            OP_TYPE,
            [x.name, *extra],
            name or f"{x.name}_transformed",
            domain=HADAMARD_DOMAIN,
            order=order,
            normalize=0,
        )
        low, high = output_range(x.low, x.high, order, signs)
        factor = 1 / math.sqrt(order) if normalize else 1.0
        rotation = Rotated(x.low, x.high, order, signs)
        return replace(integer(name, low, high), scale=x.scale * factor, rotation=rotation)

    def _convert_transpose(self, node: NodeProto, x: Value) -> Value | None:
        permutation = list(attribute(node, "perm", [1, 0]))
        if isinstance(x, Constant) and x.values.ndim == 2 and permutation == [1, 0]:
            return transposed(x)
        return None

    def _convert_mul(self, node: NodeProto, a: Value, b: Value) -> Value | None:
        return self._arithmetic(node, a, b, lambda x, c: (x.scale * c, x.offset * c))

    def _convert_div(self, node: NodeProto, a: Value, b: Value) -> Value | None:
        if isinstance(a, Constant):
            return None
        return self._arithmetic(node, a, b, lambda x, c: (x.scale / c, x.offset / c))

    def _convert_add(self, node: NodeProto, a: Value, b: Value) -> Value | None:
        return self._arithmetic(node, a, b, lambda x, c: (x.scale, x.offset + c))

    def _convert_sub(self, node: NodeProto, a: Value, b: Value) -> Value | None:
        if isinstance(a, Constant):
            return None
        return self._arithmetic(node, a, b, lambda x, c: (x.scale, x.offset - c))

    def _arithmetic(self, node, a, b, update) -> Value | None:
        if isinstance(a, Constant) and (a.codes is None or not isinstance(b, Constant)):
            a, b = b, a
        if not isinstance(b, Constant):
            return None
        if isinstance(a, Constant) and a.transform is not None and node.op_type == "Mul":
            return replace(a, transform_scale=a.transform_scale * b.values.astype(np.float64))
        if not isinstance(a, Scaled) or b.values.ndim > 1:
            return None
        scale, offset = update(a, last_axis(b.values.astype(np.float64), node.name))
        return replace(a, scale=scale, offset=offset)

    def _convert_identity(self, node: NodeProto, x: Value) -> Value:
        return x

    # -- emission --------------------------------------------------------------------------------

    def _affine(self, x: Scaled, factor: np.ndarray, shift: np.ndarray, exact: bool) -> str:
        """Emits q·factor + shift; with ``exact``, as dyadic numbers that no rounding touches."""
        float64 = False
        if exact:
            factor, shift, s = dyadic_parameters(factor, shift, self.multiplier_bits)
            largest = x.magnitude * float(np.max(np.abs(factor))) + float(np.max(np.abs(shift)))
            units = int(math.ldexp(largest, s))
            float64 = units >= 2**FLOAT32_INTEGER_BITS
            if units >= 2**FLOAT64_INTEGER_BITS:
                raise ValueError(
                    f"{x.name}: {math.ceil(math.log2(units))} bits are needed to scale this "
                    "accumulator exactly, more than float64 has; lower multiplier_bits"
                )
        dtype = np.float64 if float64 else np.float32
        name = x.name
        trivial = np.all(factor == 1) and not np.any(shift)
        if float64 and not trivial:
            name = self._emit("Cast", [name], x.name, to=TensorProto.DOUBLE)
        if np.any(factor != 1):
            name = self._emit("Mul", [name, self._parameter(factor.astype(dtype))], x.name)
        if np.any(shift):
            name = self._emit("Add", [name, self._parameter(shift.astype(dtype))], x.name)
        return name

    def _form(self, value: Value, name: str = "constant") -> str:
        """Name of a tensor of the new graph that holds the real value."""
        if isinstance(value, Real):
            return value.name
        if isinstance(value, Constant):
            if value.transform is not None:
                raise ValueError(f"{name}: a transformed weight is used by an unsupported node")
            quantized = value.codes is not None
            return self._parameter(value.values.astype(np.float32) if quantized else value.values)
        key = f"{value.name}|{value.scale.tobytes()!r}|{value.offset.tobytes()!r}"
        if key not in self.formed:
            self.formed[key] = self._affine(value, value.scale, value.offset, exact=False)
        return self.formed[key]

    def _rename(self, old: str, new: str) -> None:
        users = sum(old in node.input for node in self.nodes)
        produced = [node for node in self.nodes if old in node.output]
        if not produced or users:
            self.nodes.append(helper.make_node("Identity", [old], [new]))
            return
        produced[0].output[list(produced[0].output).index(old)] = new

    def _parameter(self, array: np.ndarray | np.generic, datatype: str = "FLOAT32") -> str:
        self.counter += 1
        name = f"integer_form_param_{self.counter}"
        self.initializers[name] = (np.asarray(array), datatype)
        return name

    def _emit(self, op_type: str, inputs: list[str], stem: str, **attributes) -> str:
        self.counter += 1
        output = f"{stem}_{op_type.lower()}_{self.counter}"
        self.nodes.append(helper.make_node(op_type, inputs, [output], **attributes))
        return output
