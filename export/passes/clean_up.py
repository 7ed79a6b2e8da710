# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""QONNX's ``cleanup_model``, with names given in time linear in the nodes.

QONNX looks through the whole graph for every tensor that it renames.
"""

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation
from qonnx.transformation.fold_constants import FoldConstants
from qonnx.transformation.general import GiveUniqueNodeNames
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.transformation.quant_constant_folding import FoldTransposeIntoQuantInit

QONNX_OPS = ("Quant", "Trunc", "BipolarQuant")
# What is not folded even if all its inputs are constant: codes would be lost.
KEPT = ["Quant", "BipolarQuant", "QuantizeLinear", "DequantizeLinear"]


class NameTensors(Transformation):
    """The names that QONNX's GiveReadableTensorNames gives: ``<node>_out0``, ``<node>_param0``,
    ``global_in``, ``global_out``, ``global_out_1``, …

    Nodes must have names of their own, and no tensor may be unused.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        graph = model.graph
        constants = {tensor.name for tensor in graph.initializer}
        names: dict[str, str] = {}
        for node in graph.node:
            names |= {name: f"{node.name}_out{i}" for i, name in enumerate(node.output)}
            parameters = [name for name in node.input if name in constants]
            names |= {name: f"{node.name}_param{i}" for i, name in enumerate(parameters)}
        for end, tensors in (("global_in", graph.input), ("global_out", graph.output)):
            for i, tensor in enumerate(tensors):
                names[tensor.name] = f"{end}_{i}" if i else end
        names[""] = ""  # an input or output that is left out
        for tensor in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
            tensor.name = names.get(tensor.name, tensor.name)
        for annotation in graph.quantization_annotation:
            annotation.tensor_name = names.get(annotation.tensor_name, annotation.tensor_name)
        for node in graph.node:
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]
        return model, False


def clean_up(model: ModelWrapper) -> ModelWrapper:
    """Copy of ``model`` with constants folded, but for quantized ones, and names for all."""
    model = ModelWrapper(model.model, make_deepcopy=True)
    for node in model.graph.node:
        if node.op_type in QONNX_OPS:
            node.domain = "qonnx.custom_op.general"
    steps = (InferShapes(), FoldConstants(exclude_op_types=KEPT), FoldTransposeIntoQuantInit())
    for step in steps:
        # QONNX's own tidying takes longest in a deep network; once, behind the last, will do.
        model = model.transform(step, make_deepcopy=False, cleanup=step is steps[-1])
    return named(model)


def named(model: ModelWrapper) -> ModelWrapper:
    """``model`` with new names, in place; its nodes must be in order and no tensor unused."""
    for step in (GiveUniqueNodeNames(), NameTensors()):
        # QONNX tidies up behind a transformation, which here finds nothing and takes longest.
        model = model.transform(step, make_deepcopy=False, cleanup=False)
    return model
