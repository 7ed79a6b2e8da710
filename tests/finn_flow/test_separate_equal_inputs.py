# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""SeparateEqualInputs."""

import numpy as np
from onnx import TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.basic import qonnx_make_model
from siren_graphs import GraphBuilder

from dhq_brevitas.export import run_qonnx
from dhq_brevitas.export.passes.separate_equal_inputs import SeparateEqualInputs


def square_model() -> ModelWrapper:
    nodes = [
        helper.make_node("Neg", ["x"], ["negated"]),
        helper.make_node("Mul", ["negated", "negated"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3]) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "square", values[:1], values[1:])
    return (
        ModelWrapper(qonnx_make_model(graph))
        .transform(GiveUniqueNodeNames())
        .transform(InferShapes())
    )


def test_renaming_keeps_the_graph_whole(transformed):
    model = square_model()
    broken = model.transform(GiveReadableTensorNames())
    assert len(set(broken.graph.node[1].input)) == 2  # the QONNX defect that the pass is for
    result = transformed(model, SeparateEqualInputs())
    assert [n.op_type for n in result.graph.node] == ["Neg", "Identity", "Mul"]
    renamed = result.transform(GiveReadableTensorNames())
    x = np.array([[1.0, -2.0, 3.0]])
    assert run_qonnx(renamed, x).tolist() == [[1.0, 4.0, 9.0]]


def test_other_nodes_are_left_alone(transformed):
    model = GraphBuilder(3).apply("Mul", 2.0).apply("Neg").model(3)
    result = transformed(model, SeparateEqualInputs())
    assert [n.op_type for n in result.graph.node] == ["Mul", "Neg"]
