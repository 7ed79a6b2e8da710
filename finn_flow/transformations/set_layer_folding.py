# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Folds the layers of this package, which FINN's SetFolding does not know."""

from typing import Any

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.ops import ChannelwiseOp, is_hardware
from dhq_brevitas.finn_flow.ops.channelwise_rtl import KernelRtl


class SetLayerFolding(Transformation):
    """Gives each layer of this package the fewest lanes that meet a target.

    The folding attribute (SIMD or PE) becomes the smallest legal value with
    ``get_exp_cycles() <= target_cycles_per_frame``, or the largest one if none meets it;
    specialized ``_rtl`` variants are folded likewise. ``missed`` lists the names of nodes above the
    target.
    """

    def __init__(self, target_cycles_per_frame: int) -> None:
        super().__init__()
        if target_cycles_per_frame < 1:
            raise FlowError(f"target_cycles_per_frame={target_cycles_per_frame} must be at least 1")
        self.target_cycles_per_frame = target_cycles_per_frame
        self.missed: list[str] = []

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        changed = False
        self.missed = []
        for node in model.graph.node:
            op = getCustomOp(node) if is_hardware(node) else None
            if isinstance(op, ChannelwiseOp | KernelRtl):
                changed |= self._fold(op)
        return model, changed

    def _fold(self, op: Any) -> bool:
        before = op.get_nodeattr(op.FOLDING)
        for lanes in op.legal_lanes():
            op.set_nodeattr(op.FOLDING, lanes)
            if op.get_exp_cycles() <= self.target_cycles_per_frame:
                break
        else:
            self.missed.append(op.onnx_node.name)
        return bool(op.get_nodeattr(op.FOLDING) != before)
