# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Nodes that compute the same of the same become one, which all that follow read.

A module that is called twice on one tensor leaves the exporter as two. Constants are the same where
name or values, type and datatype are. Nodes that make outputs of the graph stay.
"""

from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation


class MergeEqualNodes(Transformation):
    """See the module docstring."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        outputs = {output.name for output in model.graph.output}
        same: dict[str, object] = {}  # what a constant is known by
        for constant in model.graph.initializer:
            datatype = model.get_tensor_datatype(constant.name).name
            values = model.get_initializer(constant.name)
            same[constant.name] = (datatype, values.dtype, values.shape, values.tobytes())
        kept: dict[object, NodeProto] = {}
        read_as: dict[str, str] = {}
        equal = []
        for node in model.graph.node:
            node.input[:] = [read_as.get(name, name) for name in node.input]
            key = (
                (node.op_type, node.domain),
                tuple(same.get(name, name) for name in node.input),
                frozenset(attribute.SerializeToString() for attribute in node.attribute),
            )
            first = kept.setdefault(key, node)
            if first is not node and outputs.isdisjoint(node.output):
                read_as |= dict(zip(node.output, first.output, strict=True))
                equal.append(node)
        for node in equal:
            model.graph.node.remove(node)
        return model, bool(equal)
