# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Mul(c) -> HadamardTransform becomes HadamardTransform -> Mul(c), for a constant scalar c.

The transform is linear, so both compute c·(x H). It lets the transform work on the integer codes
of a Quant that has a scale, as in graphs of the stock ``brevitas.export.export_qonnx``.

======================  =======================================================================
case                    effect
======================  =======================================================================
c scalar, power of two  moved; results are equal to the last bit
c scalar, other         moved unless ``exact_only``: the products are rounded at another place
c differs by channel    not moved: the transform mixes channels, (x·diag(c)) H is no rescaled x H
product used elsewhere  not moved
======================  =======================================================================
"""

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from dhq_brevitas.export.graph import constants, fans_out, replace_nodes, variables
from dhq_brevitas.export.hadamard_op import is_hadamard


class MoveScalePastHadamard(Transformation):
    """See the module docstring.

    Args:
        exact_only: move powers of two only.
    """

    def __init__(self, exact_only: bool = False) -> None:
        super().__init__()
        self.exact_only = exact_only

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        matches = []
        for node in model.graph.node:
            if is_hadamard(node):
                scaling = model.find_producer(node.input[0])
                if scaling is not None and self._movable(model, scaling):
                    matches.append((scaling, node))
        for scaling, transform in matches:
            _swap(model, scaling, transform)
        return model, bool(matches)

    def _movable(self, model: ModelWrapper, scaling: NodeProto) -> bool:
        if scaling.op_type != "Mul" or fans_out(model, scaling.output[0]):
            return False
        factors = constants(model, scaling)
        if len(factors) != 1 or factors[0].size != 1:
            return False
        return not self.exact_only or abs(np.frexp(factors[0].item())[0]) == 0.5


def _swap(model: ModelWrapper, scaling: NodeProto, transform: NodeProto) -> None:
    (x,) = variables(model, scaling)
    factor = next(name for name in scaling.input if name != x)
    middle = scaling.output[0]
    moved = helper.make_node(
        "HadamardTransform",
        [x, *list(transform.input)[1:]],
        [middle],
        name=transform.name,
        domain=transform.domain,
    )
    moved.attribute.extend(transform.attribute)
    # The tensor between the two changes its meaning; InferDataTypes annotates it again.
    model.set_tensor_datatype(middle, DataType["FLOAT32"])
    behind = helper.make_node("Mul", [middle, factor], [transform.output[0]], name=scaling.name)
    replace_nodes(model, [scaling, transform], [moved, behind])
