# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""QONNX ``HadamardTransform`` to the hardware layer of the same name.

======================  =======================================================================
node                    becomes
======================  =======================================================================
normalize = 0           HadamardTransform, output datatype of exact growth
normalize = 1, 4^k      HadamardTransform -> Mul(2^-k): 1/√order is a power of two, so exact
normalize = 1, other    left alone (``dhq_brevitas.export.to_integer_form`` folds the factor)
order = 1               Identity is what it is: left alone
input not integer       left alone
======================  =======================================================================
"""

from typing import Any

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

from dhq_brevitas.export.graph import replace_nodes
from dhq_brevitas.export.hadamard_op import is_hadamard, output_datatype
from dhq_brevitas.finn_flow.elementwise import NotConvertible
from dhq_brevitas.finn_flow.ops import DOMAIN


class InferHadamardTransform(Transformation):
    """See the module docstring. ``reasons`` maps the name of a node left alone to the cause."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: dict[str, str] = {}

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        matches = []
        for node in model.graph.node:
            if is_hadamard(node):
                try:
                    _check(model, node)
                    matches.append(node)
                except NotConvertible as reason:
                    self.reasons[node.name] = str(reason)
        for node in matches:
            _replace(model, node)
        return model, bool(matches)


def _check(model: ModelWrapper, node: NodeProto) -> None:
    op = getCustomOp(node)
    if not model.get_tensor_datatype(node.input[0]).is_integer():
        raise NotConvertible(
            "its input is not an integer tensor; bring the graph to integer form with "
            "dhq_brevitas.export.to_integer_form"
        )
    order = op.checked_order(model.get_tensor_shape(node.input[0])[-1])
    if order < 2:
        raise NotConvertible("order 1 transforms nothing; remove the node")
    if op.has_signs() and op.signs(model) is None:
        raise NotConvertible("its signs are not constant")
    if op.get_nodeattr("normalize") and (order.bit_length() - 1) % 2:
        raise NotConvertible(
            f"1/√{order} is not a power of two; dhq_brevitas.export.to_integer_form folds it into "
            "the next scale"
        )


def _replace(model: ModelWrapper, node: NodeProto) -> None:
    op = getCustomOp(node)
    shape = model.get_tensor_shape(node.input[0])
    signs = op.signs(model)
    output = node.output[0]
    new_nodes = []
    if op.get_nodeattr("normalize"):
        output = f"{node.output[0]}_unnormalized"
        model.set_tensor_shape(output, shape)
        factor = f"{node.output[0]}_factor"
        stages = op.get_nodeattr("order").bit_length() - 1
        model.set_initializer(factor, np.array(2.0 ** -(stages // 2), dtype=np.float32))
        new_nodes.append(
            helper.make_node("Mul", [output, factor], [node.output[0]], name=f"{node.name}_scale")
        )
    layer = hadamard_layer(model, node.input[0], output, op.get_nodeattr("order"), signs)
    layer.name = node.name
    replace_nodes(model, [node], [layer, *new_nodes])


def hadamard_layer(
    model: ModelWrapper, source: str, output: str, order: int, signs: np.ndarray | None
) -> NodeProto:
    """The unnormalized layer from ``source`` to ``output``, not yet in the graph."""
    shape, datatype = model.get_tensor_shape(source), model.get_tensor_datatype(source)
    attributes: dict[str, Any] = {}
    if signs is not None:
        signs = signs.reshape(-1)
        attributes["signs"] = [int(sign) for sign in signs]
    output_type = output_datatype(datatype, order, signs)
    model.set_tensor_datatype(output, output_type)
    return helper.make_node(
        "HadamardTransform",
        [source],
        [output],
        domain=DOMAIN,
        backend="fpgadataflow",
        SIMD=1,
        NumChannels=int(shape[-1]),
        Order=order,
        numInputVectors=[int(n) for n in shape[:-1]],
        inputDataType=datatype.name,
        outputDataType=output_type.name,
        **attributes,
    )
