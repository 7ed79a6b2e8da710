# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""MergeEqualNodes."""

import brevitas.nn as qnn
import numpy as np
import torch
from onnx import TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.basic import qonnx_make_model
from torch import nn

from dhq_brevitas.export import export_qonnx, run_qonnx
from dhq_brevitas.export.passes.merge_equal_nodes import MergeEqualNodes
from joint_networks import calibrated, codes_in, linear
from networks import grid_codes


def test_equal_nodes_merge_and_others_stay():
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["a"]),
        helper.make_node("Mul", ["x", "also_two"], ["b"]),
        helper.make_node("Mul", ["x", "three"], ["c"]),
        helper.make_node("LeakyRelu", ["a"], ["d"], alpha=0.5),
        helper.make_node("LeakyRelu", ["b"], ["e"], alpha=0.5),
        helper.make_node("LeakyRelu", ["b"], ["f"], alpha=0.25),
        helper.make_node("Sum", ["c", "d", "e", "f"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 2]) for n in ("x", "y")]
    model = ModelWrapper(
        qonnx_make_model(helper.make_graph(nodes, "twice", values[:1], values[1:]))
    )
    for name, value in {"two": 2, "also_two": 2, "three": 3}.items():
        model.set_initializer(name, np.float32([value]))
    model = model.transform(InferShapes())
    x = np.array([[1.0, -2.0]])
    before = run_qonnx(model, x)
    merged = model.transform(MergeEqualNodes())
    assert before.tolist() == run_qonnx(merged, x).tolist() == [[9.0, -11.0]]
    assert [node.op_type for node in merged.graph.node] == [
        *("Mul", "Mul", "LeakyRelu", "LeakyRelu", "Sum")
    ]
    assert MergeEqualNodes().apply(merged)[1] is False


class Twice(nn.Module):
    """A trunk that each of two heads calls."""

    def __init__(self) -> None:
        super().__init__()
        relu = qnn.QuantReLU(bit_width=4, return_quant_tensor=True)
        self.trunk = nn.Sequential(codes_in(), linear(2, 8), relu)
        self.left, self.right = linear(8, 3), linear(8, 1)

    def forward(self, x):
        return self.left(self.trunk(x)), self.right(self.trunk(x))


def test_a_trunk_that_is_called_twice_is_exported_once():
    network = calibrated(Twice(), grid_codes(64))
    graph = export_qonnx(network, args=grid_codes(64))
    kinds = [node.op_type for node in graph.graph.node]
    assert (kinds.count("MatMul"), kinds.count("Quant")) == (3, 2)
    with torch.no_grad():
        expected = network(grid_codes(64))
    for found, wanted in zip(run_qonnx(graph, grid_codes(64).numpy()), expected, strict=True):
        # Weights are drawn: near 0, the rounding of PyTorch's float32 sums shows.
        np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-5, atol=1e-6)
