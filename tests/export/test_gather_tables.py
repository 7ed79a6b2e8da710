# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest
from onnx import TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.basic import qonnx_make_model

from dhq_brevitas.export.passes.gather_tables import GatherNDToGather

INDEX = np.array([[3, 0, 2], [1, 1, 3]], dtype=np.int64)


def table_lookup(table, axis=-1):
    """table[x] for x [2, 3], as the dynamo exporter writes it."""
    shape = [2, 3, *table.shape[1:]]
    graph = helper.make_graph(
        [
            helper.make_node("Unsqueeze", ["x", "axes"], ["index"]),
            helper.make_node("GatherND", ["table", "index"], ["y"], batch_dims=0),
        ],
        "lookup",
        [helper.make_tensor_value_info("x", TensorProto.INT64, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    model = ModelWrapper(qonnx_make_model(graph, opset_imports=[helper.make_opsetid("", 18)]))
    model.set_initializer("table", table)
    model.set_initializer("axes", np.array([axis], dtype=np.int64))
    return model.transform(InferShapes())


@pytest.mark.parametrize("axis", [-1, 2])
def test_becomes_gather_with_the_same_values(axis):
    table = np.array([0.5, -1, 2, 7], dtype=np.float32)
    model = table_lookup(table, axis)
    before = execute_onnx(model, {"x": INDEX})["y"]
    after = model.transform(GatherNDToGather())
    assert [node.op_type for node in after.graph.node] == ["Gather"]
    np.testing.assert_array_equal(execute_onnx(after, {"x": INDEX})["y"], before)
    np.testing.assert_array_equal(before, table[INDEX])


def test_second_run_and_a_table_of_vectors_change_nothing():
    model = table_lookup(np.array([0.5, -1, 2, 7], dtype=np.float32)).transform(GatherNDToGather())
    assert GatherNDToGather().apply(model)[1] is False
    vectors = table_lookup(np.ones((4, 2), dtype=np.float32))
    assert GatherNDToGather().apply(vectors)[1] is False
