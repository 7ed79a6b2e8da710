# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Writes table[x] with a one-dimensional table as Gather, whichever exporter wrote the graph."""

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from dhq_brevitas.export.graph import attribute, only_consumer, replace_nodes


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
            replace_nodes(model, [unsqueeze, gather], [replacement])
            changed = True
        return model, changed


def _unsqueeze(model: ModelWrapper, gather: NodeProto) -> NodeProto | None:
    """The Unsqueeze whose result ``gather`` alone reads, if the two are one table look-up."""
    table = model.get_initializer(gather.input[0])
    producer = model.find_producer(gather.input[1])
    if table is None or table.ndim != 1 or attribute(gather, "batch_dims", 0) != 0:
        return None
    if producer is None or producer.op_type != "Unsqueeze":
        return None
    if only_consumer(model, producer.output[0]) is None:
        return None
    axes = model.get_initializer(producer.input[1])
    last = len(model.get_tensor_shape(producer.input[0]))
    if axes is None or np.ravel(axes).tolist() not in ([-1], [last]):
        return None
    return producer
