# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Replaces HadamardTransform nodes by standard MatMul nodes, for tools that do not know the op."""

import numpy as np
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

from dhq_brevitas.export.hadamard_op import DOMAIN, OP_TYPE
from dhq_brevitas.nn.hadamard import hadamard_transform_int


class LowerHadamardToMatMul(Transformation):
    """x -> HadamardTransform becomes x -> MatMul(D·(I ⊗ H)·c), a constant n by n float32 matrix.

    Every HadamardTransform with constant signs (or none) matches. Integer inputs give the same
    integers, and the matrix of an unnormalised transform is annotated INT2, so that FINN can make a
    matrix-vector unit of it; a normalised one agrees to float32 rounding. Raises ValueError for
    signs that are computed in the graph.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        matches = [n for n in model.graph.node if n.domain == DOMAIN and n.op_type == OP_TYPE]
        for node in matches:
            operator = getCustomOp(node)
            size = model.get_tensor_shape(node.input[0])[-1]
            order = operator.checked_order(size)
            matrix = hadamard_transform_int(np.eye(size, dtype=np.int64), order=order)
            matrix = matrix.astype(np.float64)
            if len(node.input) > 1 and node.input[1]:
                signs = operator.signs(model)
                if signs is None:
                    raise ValueError(f"{node.name}: the signs are not constant, cannot be lowered")
                matrix = signs[:, None] * matrix
            if operator.get_nodeattr("normalize"):
                matrix /= np.sqrt(order)
            name = model.make_new_valueinfo_name()
            model.set_initializer(name, matrix.astype(np.float32))
            if not operator.get_nodeattr("normalize"):
                model.set_tensor_datatype(name, DataType["INT2"])
            lowered = helper.make_node("MatMul", [node.input[0], name], node.output, name=node.name)
            index = list(model.graph.node).index(node)
            model.graph.node.remove(node)
            model.graph.node.insert(index, lowered)
        return model, bool(matches)
