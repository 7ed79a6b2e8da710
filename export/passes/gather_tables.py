# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Writes table[x] with a one-dimensional table as Gather, whichever exporter wrote the graph."""

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation
from qonnx.util.basic import get_by_name


class GatherNDToGather(Transformation):
    """Unsqueeze(x, last axis) -> GatherND(table [n], ·) becomes Gather(table, x, axis 0).

    PyTorch's dynamo exporter writes the former, the TorchScript exporter the latter; their values
    are the same. It matches where the table is an initializer with one axis, ``batch_dims`` is 0,
    and nothing else reads the unsqueezed index.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        matches = [(n, _unsqueeze(model, n)) for n in model.graph.node if n.op_type == "GatherND"]
        changed = False
        for gather, unsqueeze in matches:
            if unsqueeze is None:
                continue
            replacement = helper.make_node(
                "Gather", [gather.input[0], unsqueeze.input[0]], [gather.output[0]], axis=0
            )
            position = list(model.graph.node).index(gather)
            model.graph.node.insert(position, replacement)
            model.graph.node.remove(gather)
            model.graph.node.remove(unsqueeze)
            changed = True
        return model, changed


def _unsqueeze(model: ModelWrapper, gather: NodeProto) -> NodeProto | None:
    """The Unsqueeze whose result ``gather`` alone reads, if the two are one table look-up."""
    table = model.get_initializer(gather.input[0])
    batch_dims = get_by_name(gather.attribute, "batch_dims")
    producer = model.find_producer(gather.input[1])
    if table is None or table.ndim != 1 or (batch_dims is not None and batch_dims.i != 0):
        return None
    if producer is None or producer.op_type != "Unsqueeze":
        return None
    if len(model.find_consumers(producer.output[0])) != 1:
        return None
    axes = model.get_initializer(producer.input[1])
    last = len(model.get_tensor_shape(producer.input[0]))
    if axes is None or np.ravel(axes).tolist() not in ([-1], [last]):
        return None
    return producer
