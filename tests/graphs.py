# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Hand-made QONNX graphs shared by the tests."""

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.infer_shapes import InferShapes

from dhq_brevitas.export.hadamard_op import DOMAIN, OP_TYPE

QUANT_DOMAIN = "qonnx.custom_op.general"


def codes(datatype: str, samples: int, channels: int, seed: int = 0) -> np.ndarray:
    """Random integers of a type, its extremes in the first two samples."""
    low, high = int(DataType[datatype].min()), int(DataType[datatype].max())
    result = np.random.default_rng(seed).integers(low, high + 1, (samples, channels))
    result[0], result[1] = low, high
    return result


def make_model(
    nodes: list[Any], shape: tuple[int, ...], constants: dict[str, Any], output: Any = None
) -> ModelWrapper:
    """A graph from input ``x`` of ``shape`` to output ``y`` (same shape unless given)."""
    output_shape = shape if output is None else output
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output_shape)],
        [
            numpy_helper.from_array(
                value if isinstance(value, np.ndarray) else np.asarray(value, np.float32), name
            )
            for name, value in constants.items()
        ],
    )
    domains = [("", 17), (QUANT_DOMAIN, 2), (DOMAIN, 1)]
    imports = [helper.make_opsetid(*domain) for domain in domains]
    return ModelWrapper(helper.make_model(graph, opset_imports=imports)).transform(InferShapes())


def quant_node(
    source: str, scale: str, bits: str, target: str, rounding: str = "ROUND", narrow: int = 0
) -> Any:
    """Quant with zero point ``zero`` (a constant the graph must define)."""
    return helper.make_node(
        "Quant",
        [source, scale, "zero", bits],
        [target],
        domain=QUANT_DOMAIN,
        signed=1,
        narrow=narrow,
        rounding_mode=rounding,
    )


def hadamard_model(
    order: int,
    shape: tuple[int, ...],
    *,
    normalize: int = 0,
    signs: np.ndarray | None = None,
) -> ModelWrapper:
    """x -> HadamardTransform -> y."""
    inputs = ["x"] if signs is None else ["x", "signs"]
    node = helper.make_node(OP_TYPE, inputs, ["y"], domain=DOMAIN, order=order, normalize=normalize)
    constants = {} if signs is None else {"signs": np.asarray(signs, np.float32)}
    return make_model([node], shape, constants)
