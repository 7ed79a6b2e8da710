# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""FINN's MinimizeAccumulatorWidth in one pass over the nodes, which must be in order.

FINN infers the datatypes of the whole graph anew behind every layer, so that the next one starts
from them: its time grows with the square of the depth. Only the next layers' inputs can change.
"""

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation
from qonnx.transformation.infer_datatypes import _infer_node_datatype

from dhq_brevitas.export.graph import IndexedGraph
from dhq_brevitas.finn_flow.ops import is_hardware


class MinimizeAccumulators(Transformation):
    """See the module docstring."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        indexed = IndexedGraph(model)
        for node in model.graph.node:
            _infer_node_datatype(indexed, node, allow_scaledint_dtypes=False)
            if is_hardware(node):
                op = getCustomOp(node)
                if hasattr(op, "minimize_accumulator_width"):
                    op.minimize_accumulator_width(indexed)
                    _infer_node_datatype(indexed, node, allow_scaledint_dtypes=False)
        return model, False
