# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Graphs that are no chain, mapped to FINN: every step computes what QONNX does."""

from collections import Counter

import numpy as np
import pytest
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.util.basic import qonnx_make_model
from siren_graphs import GraphBuilder

from dhq_brevitas.export import export_qonnx, run_qonnx
from dhq_brevitas.finn_flow import FlowError, UnsupportedNodeError, build_dataflow, execute_dataflow
from dhq_brevitas.finn_flow.ops import DOMAIN, layer_kind
from dhq_brevitas.finn_flow.ranges import integer_ranges
from dhq_brevitas.finn_flow.transformations import InferForks, SetLayerFolding
from joint_networks import NETWORKS, Joined, inputs_of, joint_network, linear

SAMPLES = 200
#: Layers with several streams that each network becomes.
JOINTS = {
    "residual sine": {"DuplicateStreams": 1, "StreamAdd": 1},
    "residual sine, float scales": {"DuplicateStreams": 1, "StreamAdd": 1},
    "residual relu": {"DuplicateStreams": 1, "StreamAdd": 1},
    "different scales": {"DuplicateStreams": 1, "StreamAdd": 1},
    "nerf": {"DuplicateStreams": 2, "StreamingConcat": 2},
    "deepsdf": {"DuplicateStreams": 1, "StreamingConcat": 1},
    "mfn": {"DuplicateStreams": 1, "StreamMultiply": 2},
    "bacon": {"DuplicateStreams": 3, "StreamMultiply": 2},
    "film": {"DuplicateStreams": 1, "StreamMultiply": 1, "StreamAdd": 1},
    "fourier": {"DuplicateStreams": 1, "StreamingConcat": 1},
    "unquantized sum": {"DuplicateStreams": 1, "StreamAdd": 1},
    "product in a table": {"DuplicateStreams": 1, "StreamMultiply": 1},
    "square": {"DuplicateStreams": 1, "StreamMultiply": 1},
    "two heads": {"DuplicateStreams": 1},
    "heads side by side": {"DuplicateStreams": 1, "StreamingConcat": 1},
    "named heads": {"DuplicateStreams": 1},
}
SHOWN = ("residual sine", "nerf", "bacon", "film")


def rare(names):
    """All ``names``; those that are not shown as ``exhaustive``."""
    return [n if n in SHOWN else pytest.param(n, marks=pytest.mark.exhaustive) for n in names]


@pytest.mark.parametrize("name", rare(NETWORKS))
def test_equal_at_every_step(name, tmp_path):
    graph = export_qonnx(joint_network(name), inputs_of(name, 4))
    inputs = [x.numpy() for x in inputs_of(name, SAMPLES)]
    result = build_dataflow(
        graph, tmp_path, cycles_per_sample=64, verify_inputs=inputs, progress=False
    )
    assert result.samples_compared == SAMPLES
    assert result.report["cycles_per_sample_estimate"] <= 64
    assert result.report["lut_estimate"] > 0
    kinds = Counter(layer_kind(node) for node in result.model.graph.node)
    assert JOINTS[name] == {k: n for k, n in kinds.items() if k.startswith(("Stream", "Dup"))}
    # The host's ends, in the order of the graph's.
    codes = result.host.encode(inputs if len(inputs) > 1 else inputs[0])
    outputs = result.host.decode(execute_dataflow(result.model, codes, progress=False))
    expected = run_qonnx(graph, inputs)
    several = len(graph.graph.output) > 1
    assert isinstance(outputs, tuple) == several
    for found, wanted in zip(outputs, expected, strict=True) if several else [(outputs, expected)]:
        np.testing.assert_array_equal(found, wanted.astype(np.float32))


def test_output_that_is_read_again(tmp_path):
    """The integers of an output go on to another layer, too."""
    g = GraphBuilder(4, datatype="INT6").matmul(np.eye(4) * 3, 4)
    middle = g.x
    g.apply("Mul", 0.5).x = middle
    model = g.quant(4).matmul(np.ones((4, 2)), 4).model(2)
    (end,) = model.get_nodes_by_op_type("Mul")
    output = helper.make_tensor_value_info(end.output[0], TensorProto.FLOAT, [1, 4])
    model.graph.output.append(output)
    x = np.random.default_rng(0).integers(-32, 32, (50, 4)).astype(np.float32)
    result = build_dataflow(model, tmp_path, verify_inputs=x, progress=False)
    codes = execute_dataflow(result.model, x.astype(np.int64), progress=False)
    np.testing.assert_array_equal(codes[1], x * 3)
    assert [n.op_type for n in result.model.graph.node].count("DuplicateStreams_rtl") == 1


def test_square(tmp_path):
    """A product of a tensor with itself forks it; sums of such are exact beyond 24 bits."""
    g = GraphBuilder(2, datatype="INT16")
    x = g.x
    g.node("Mul", x, x)
    model = g.node("Add", g.x, x).quant(4, scale=1).model(2)
    values = np.array([[-32768, 32767], [3, -2], [0, 1]], np.float32)
    result = build_dataflow(model, tmp_path, verify_inputs=values, progress=False)
    kinds = [layer_kind(node) for node in result.model.graph.node]
    assert {"DuplicateStreams", "StreamMultiply", "StreamAdd"} <= set(kinds)
    sums = next(n for n in result.model.graph.node if n.op_type == "StreamAdd_rtl")
    assert result.model.get_tensor_datatype(sums.output[0]).name == "INT33"


def joint(op_type: str, types: list[str], size: int = 4, **attributes) -> ModelWrapper:
    """One layer of FINN's domain, from x0, x1, … to y."""
    names = [f"x{i}" for i in range(len(types))]
    node = helper.make_node(
        op_type, names, ["y"], name="layer", domain=DOMAIN, backend="fpgadataflow", **attributes
    )
    width = size * len(types) if op_type == "StreamingConcat" else size
    graph = helper.make_graph(
        [node],
        "joint",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size]) for name in names],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, width])],
    )
    model = ModelWrapper(qonnx_make_model(graph))
    for name, datatype in zip(names, types, strict=True):
        model.set_tensor_datatype(name, DataType[datatype])
    getCustomOp(model.graph.node[0]).infer_node_datatype(model)
    return model


def elementwise(kind: str, a: str, b: str, **attributes) -> ModelWrapper:
    shapes = {key: [1, 4] for key in ("lhs_shape", "rhs_shape", "out_shape")}
    given = {"lhs_dtype": a, "rhs_dtype": b, "out_dtype": "INT32"}
    return joint(f"Elementwise{kind}", [a, b], PE=1, **shapes, **given, **attributes)


@pytest.mark.parametrize(
    ("model", "datatype", "ends"),
    [
        (elementwise("Add", "INT8", "INT8"), "INT9", (-256, 254)),
        (elementwise("Add", "UINT4", "UINT4"), "UINT5", (0, 30)),
        (elementwise("Add", "UINT4", "INT8"), "INT9", (-128, 142)),
        (elementwise("Add", "INT8", "INT6", rhs_factor=-4), "INT9", (-252, 255)),
        (
            elementwise("Add", "INT16", "INT16", lhs_factor=1 << 20, rhs_factor=3),
            "INT37",
            (-(1 << 35) - 3 * 32768, 32767 * ((1 << 20) + 3)),
        ),
        (elementwise("Mul", "INT8", "INT8"), "INT16", (-128 * 127, 128 * 128)),
        (elementwise("Mul", "UINT8", "UINT8"), "UINT16", (0, 255 * 255)),
        (elementwise("Mul", "INT24", "INT24"), "INT48", (-(1 << 23) * ((1 << 23) - 1), 1 << 46)),
    ],
)
def test_datatype_range_and_numbers(model, datatype, ends):
    """Exactly those of all combinations of extremes, which float32 does not hold."""
    assert model.get_tensor_datatype("y").name == datatype
    assert integer_ranges(model)["y"].whole() == ends
    given = [model.get_tensor_datatype(f"x{i}") for i in range(2)]
    corners = np.array([[d.min(), d.max()] for d in given], np.int64)
    a = np.repeat(corners[0], 2).reshape(1, 4)
    b = np.tile(corners[1], 2).reshape(1, 4)
    op = getCustomOp(model.graph.node[0])
    m, n = op.factors()
    expected = a * b if model.graph.node[0].op_type == "ElementwiseMul" else m * a + n * b
    found = execute_dataflow(model, [a, b], progress=False)
    np.testing.assert_array_equal(found, expected)
    assert (found.min(), found.max()) == ends


def test_concatenation_with_factors():
    model = joint(
        "StreamingConcat",
        ["INT4", "UINT6"],
        SIMD=1,
        ChannelsPerStream=[4, 4],
        inputDataTypes=["INT4", "UINT6"],
        numInputVectors=[1],
        factors=[16, -1],
    )
    assert model.get_tensor_datatype("y").name == "INT8"
    assert integer_ranges(model)["y"].whole() == (-128, 112)
    x = [np.array([[-8, 7, 0, 1]]), np.array([[63, 0, 1, 2]])]
    expected = [[-128, 112, 0, 16, -63, 0, -1, -2]]
    assert execute_dataflow(model, x, progress=False).tolist() == expected


def test_fork_of_an_input_and_an_output(transformed):
    """Each reader, and the host, gets a copy; a second run changes nothing."""
    model = elementwise("Add", "INT8", "INT8")
    model.graph.node[0].input[1] = "x0"
    del model.graph.input[1]
    second = helper.make_node("Relu", ["y"], ["z"], name="second")
    model.graph.node.append(second)
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 4]))
    result = transformed(model, InferForks())
    forks = result.get_nodes_by_op_type("DuplicateStreams")
    assert [len(fork.output) for fork in forks] == [2, 2]
    assert [output.name for output in result.graph.output] == ["y", "z"]
    assert not InferForks().apply(result)[1]


@pytest.mark.parametrize("target", [1, 2, 5, 100])
def test_folding(target, tmp_path):
    graph = export_qonnx(joint_network("nerf"), inputs_of("nerf", 4))
    model = build_dataflow(graph, tmp_path, progress=False).model
    folded = model.transform(SetLayerFolding(target))
    for node in folded.graph.node:
        op = getCustomOp(node)
        if layer_kind(node) == "StreamingConcat":
            # 8 + 2 and 8 + 3 channels: two lanes fold the first, one the second.
            sizes = op.get_nodeattr("ChannelsPerStream")
            assert op.legal_lanes() == ([1, 2] if sum(sizes) == 10 else [1])
            assert op.get_exp_cycles() == sum(sizes) // op.get_nodeattr("SIMD")
        elif layer_kind(node) == "DuplicateStreams":
            assert op.get_exp_cycles() <= max(target, 1)


def test_branches_of_other_shapes(tmp_path):
    g = GraphBuilder(4, datatype="INT4").matmul(np.eye(4), 2)
    x, first = g.x, g.matmul(np.ones((4, 1)), 2).x
    model = g.node("Add", x, first).quant(4).model(4)
    with pytest.raises(UnsupportedNodeError, match=r"give \[1, 4\] and \[1, 1\] values a sample"):
        build_dataflow(model, tmp_path, progress=False)


def test_product_of_a_branch_with_a_bias(tmp_path):
    """Exported as it is; the hardware has no layer for it, and the message names the remedy."""
    name = "product with a bias"
    graph = export_qonnx(joint_network(name), inputs_of(name, 4))
    with pytest.raises(UnsupportedNodeError, match=r"\(op_type Mul\).*in a product with a bias"):
        build_dataflow(graph, tmp_path, progress=False)


def test_one_result_as_two_outputs(tmp_path):
    def join(network, h):
        y = network.head(h)
        return y, 2 * y

    graph = export_qonnx(Joined(join, head=linear(8, 3)).eval(), inputs_of("residual", 4))
    with pytest.raises(FlowError, match=r"the graph outputs \S+ and \S+ are one result"):
        build_dataflow(graph, tmp_path, progress=False)


def test_an_input_that_nothing_reads(tmp_path):
    model = GraphBuilder(4, datatype="INT4").matmul(np.eye(4), 2).model(4)
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 4]))
    with pytest.raises(FlowError, match="nothing reads the graph input"):
        build_dataflow(model, tmp_path, progress=False)
