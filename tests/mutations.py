# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Random damage to the graph of an ONNX file, by seed."""

import copy
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.general import SortGraph
from qonnx.transformation.infer_shapes import InferShapes

from dhq_brevitas.export import set_batch_size
from dhq_brevitas.export.execute import one_or_all

# fmt: off
DATATYPES = (
    "INT8", "INT2", "INT99999999999", "INT0", "INT-3", "UINT64", "INT65", "BIPOLAR", "TERNARY",
    "FLOAT32", "FLOAT<9999,2,1>", "FIXED<99999999,1>", "SCALEDINT<8>", "nonsense", "",
)
OPERATORS = (
    "Mul", "Add", "Sub", "Div", "MatMul", "Gemm", "Transpose", "Identity", "Neg", "Relu", "Concat",
    "Softmax", "Reshape", "Gather", "Quant", "Conv", "Loop", "Expand", "Tile", "Nonsense", "Floor",
    "ConstantOfShape", "Sin", "Clip", "Cast", "HadamardTransform", "ReduceSum",
)
NUMBERS = (
    0, 1, -1, 2, 3, 0.5, 7.5, -0.0, 1e-45, 1e-30, 1e30, 3e38, 65, 1e9, 2.0**53, np.nan, np.inf,
)
INTEGERS = (0, 1, 2, 3, 7, 11, -1, 64, 8192, 2**31, 2**62)
# fmt: on


def mutated(proto: onnx.ModelProto, seed: int) -> ModelWrapper | None:
    """``proto`` with one to three faults; None where bytes that changed are no ONNX any more."""
    random = Random(seed)
    result = copy.deepcopy(proto)
    if random.random() < 0.05:
        return _with_other_bytes(result, random)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        random.choice(MUTATIONS)(result.graph, random)
    wrapper = ModelWrapper.__new__(ModelWrapper)  # its constructor trips over some faults
    wrapper._model_proto, wrapper.fix_float64 = result, False
    return wrapper


def _with_other_bytes(proto: onnx.ModelProto, random: Random) -> ModelWrapper | None:
    data = bytearray(proto.SerializeToString())
    for _ in range(random.choice((1, 3, 10))):
        data[random.randrange(len(data))] = random.randrange(256)
    try:
        return ModelWrapper(bytes(data))
    except Exception:  # onnx's own reader and QONNX's wrapper: not yet a call of ours
        return None


def _tensors(graph: GraphProto) -> list[str]:
    names = {name for node in graph.node for name in (*node.input, *node.output)}
    return sorted(names | {tensor.name for tensor in (*graph.input, *graph.output)})


def _name(graph: GraphProto, random: Random) -> str:
    return random.choice([*_tensors(graph), "", "elsewhere"])


def _pick(sequence: Sequence[Any], random: Random) -> Any:
    return random.choice(list(sequence)) if sequence else None


def rename_operand(graph: GraphProto, random: Random) -> None:
    node = _pick(graph.node, random)
    operands = node and random.choice((node.input, node.output))
    if operands:
        operands[random.randrange(len(operands))] = _name(graph, random)


def drop_or_add_operand(graph: GraphProto, random: Random) -> None:
    node = _pick(graph.node, random)
    operands = node and random.choice((node.input, node.output))
    if operands and random.random() < 0.5:
        del operands[random.randrange(len(operands))]
    elif operands is not None:
        operands.append(_name(graph, random))


def drop_or_copy_node(graph: GraphProto, random: Random) -> None:
    if not graph.node:
        return
    index = random.randrange(len(graph.node))
    if random.random() < 0.5:
        del graph.node[index]
    else:
        graph.node.append(graph.node[index])


def reorder(graph: GraphProto, random: Random) -> None:
    nodes = [copy.deepcopy(node) for node in graph.node]
    random.shuffle(nodes)
    del graph.node[:]
    graph.node.extend(nodes)


def close_a_cycle(graph: GraphProto, random: Random) -> None:
    node = _pick(graph.node, random)
    later = _pick(graph.node, random)
    if node and node.input and later.output:
        node.input[random.randrange(len(node.input))] = later.output[0]


def change_operator(graph: GraphProto, random: Random) -> None:
    node = _pick(graph.node, random)
    if node is None:
        return
    node.op_type = random.choice(OPERATORS)
    if random.random() < 0.5:
        node.domain = random.choice(["", "qonnx.custom_op.general", node.domain])
    if random.random() < 0.5:
        del node.attribute[:]


def change_attribute(graph: GraphProto, random: Random) -> None:
    node: NodeProto | None = _pick([n for n in graph.node if n.attribute], random)
    if node is None:
        return
    index = random.randrange(len(node.attribute))
    name = node.attribute[index].name
    value = random.choice(
        [*INTEGERS, 1.5, "FLOOR", "CEIL", "half_up", "SIDEWAYS", [1, 0], [2**62], np.zeros(3)]
    )
    what = random.random()
    if what < 0.2:
        del node.attribute[index]
    elif what < 0.3:
        node.attribute.append(node.attribute[index])
    else:
        value = numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        node.attribute[index].CopyFrom(helper.make_attribute(name, value))


def change_shape(graph: GraphProto, random: Random) -> None:
    value = _pick([*graph.input, *graph.output, *graph.value_info], random)
    if value is None:
        return
    tensor = value.type.tensor_type
    what = random.random()
    if what < 0.2:
        tensor.ClearField("shape")
    elif what < 0.4 or not tensor.shape.dim:
        tensor.shape.dim.add().dim_value = random.choice(INTEGERS)
    elif what < 0.6:
        del tensor.shape.dim[random.randrange(len(tensor.shape.dim))]
    else:
        _pick(tensor.shape.dim, random).dim_value = random.choice(INTEGERS)


def change_type(graph: GraphProto, random: Random) -> None:
    value = _pick([*graph.input, *graph.output, *graph.value_info], random)
    if value is not None:
        value.type.tensor_type.elem_type = random.choice([0, 1, 6, 7, 8, 10, 11, 16, 99])


def change_values(graph: GraphProto, random: Random) -> None:
    constant = _pick(graph.initializer, random)
    if constant is None:
        return
    values = np.array(numpy_helper.to_array(constant))
    if values.dtype.kind != "f" or values.size == 0:
        values = np.full(values.shape, random.choice(INTEGERS)).astype(values.dtype)
    elif random.random() < 0.5:
        values[...] = random.choice(NUMBERS)
    else:
        values.reshape(-1)[random.randrange(values.size)] = random.choice(NUMBERS)
    constant.CopyFrom(numpy_helper.from_array(values, constant.name))


def change_constant(graph: GraphProto, random: Random) -> None:
    """Its shape or type, or where it lies."""
    constant: TensorProto | None = _pick(graph.initializer, random)
    if constant is None:
        return
    values, what = numpy_helper.to_array(constant), random.random()
    if what < 0.4:
        shape = random.choice([(), (1,), (0,), (2, 2), (1, 3, 1), values.shape[::-1]])
        values = np.resize(values, shape)
        constant.CopyFrom(numpy_helper.from_array(values, constant.name))
    elif what < 0.6:
        dtype = random.choice((np.float64, np.float16, np.int64, np.int8, np.bool_))
        with np.errstate(all="ignore"):
            values = values.astype(dtype)
        constant.CopyFrom(numpy_helper.from_array(values, constant.name))
    elif what < 0.7:
        constant.dims.append(random.choice(INTEGERS))
    elif what < 0.8:
        constant.data_type = random.choice([0, 1, 6, 7, 8, 11, 99])
    elif what < 0.9:
        constant.raw_data = constant.raw_data[: random.randrange(1 + len(constant.raw_data))]
    else:
        constant.data_location = TensorProto.EXTERNAL


def drop_or_copy_constant(graph: GraphProto, random: Random) -> None:
    if not graph.initializer:
        return
    index = random.randrange(len(graph.initializer))
    if random.random() < 0.6:
        del graph.initializer[index]
    else:
        graph.initializer.append(graph.initializer[index])


def change_annotation(graph: GraphProto, random: Random) -> None:
    annotation = graph.quantization_annotation.add()
    annotation.tensor_name = _name(graph, random)
    entry = annotation.quant_parameter_tensor_names.add()
    entry.key, entry.value = "finn_datatype", random.choice(DATATYPES)
    for index, other in reversed(list(enumerate(graph.quantization_annotation[:-1]))):
        if other.tensor_name == annotation.tensor_name and random.random() < 0.9:
            del graph.quantization_annotation[index]


def change_ends(graph: GraphProto, random: Random) -> None:
    tensors = random.choice((graph.input, graph.output))
    what = random.random()
    if tensors and what < 0.3:
        del tensors[0]
    elif tensors and what < 0.6:
        tensors[0].name = _name(graph, random)
    else:
        shape = [random.choice(INTEGERS) for _ in range(random.randrange(3))]
        tensors.append(helper.make_tensor_value_info(_name(graph, random), 1, shape))


MUTATIONS: tuple[Callable[[GraphProto, Random], None], ...] = (
    rename_operand,
    drop_or_add_operand,
    drop_or_copy_node,
    reorder,
    close_a_cycle,
    change_operator,
    change_attribute,
    change_shape,
    change_type,
    change_values,
    change_constant,
    drop_or_copy_constant,
    change_annotation,
    change_ends,
)


def outputs_of_qonnx(model: ModelWrapper, x: np.ndarray) -> Any:
    """What QONNX's own execution gives for a graph, nothing of it believed but its nodes; a tuple
    for several outputs."""
    proto = copy.deepcopy(model.model)
    del proto.graph.value_info[:]
    del proto.graph.quantization_annotation[:]
    outputs = [tensor.name for tensor in proto.graph.output]
    del proto.graph.output[:]
    inferred = ModelWrapper(proto).transform(SortGraph()).transform(InferShapes())
    inferred.graph.output.extend([inferred.get_tensor_valueinfo(name) for name in outputs])
    del inferred.graph.value_info[:]
    batched = set_batch_size(inferred, len(x))
    (given,) = batched.graph.input
    results = execute_onnx(batched, {given.name: x})
    return one_or_all([results[name] for name in outputs])
