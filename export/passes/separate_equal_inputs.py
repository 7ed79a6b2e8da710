# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Mul(x, x) becomes Mul(x, Identity(x)), and so for every node that reads a tensor twice.

QONNX's ``GiveReadableTensorNames``, part of every clean-up and of FINN's step_tidy_up, renames only
the first of two equal inputs of a node and leaves the second without a producer (QONNX 1.0).
"""

from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation


class SeparateEqualInputs(Transformation):
    """See the module docstring."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        matches = [node for node in model.graph.node if _repeated(node)]
        for node in matches:
            for index in _repeated(node):
                name = f"{node.output[0]}_input{index}"
                identity = helper.make_node("Identity", [node.input[index]], [name], name=name)
                model.graph.node.insert(model.get_node_index(node), identity)
                model.set_tensor_datatype(name, model.get_tensor_datatype(node.input[index]))
                shape = model.get_tensor_shape(node.input[index])
                if shape is not None:
                    model.set_tensor_shape(name, shape)
                node.input[index] = name
        return model, bool(matches)


def _repeated(node: NodeProto) -> list[int]:
    inputs = list(node.input)
    return [i for i, name in enumerate(inputs) if name and name in inputs[:i]]
