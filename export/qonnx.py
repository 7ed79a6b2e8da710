# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``export_qonnx``: a trained Brevitas model to a clean, checked QONNX graph in integer form."""

import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import brevitas.export
import numpy as np
import torch
from brevitas.core.scaling import ParameterFromRuntimeStatsScaling
from brevitas.proxy.quant_proxy import QuantProxyFromInjector
from brevitas.quant_tensor import QuantTensor
from onnx import NodeProto, TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.cleanup import cleanup_model
from torch import Tensor, nn

from dhq_brevitas.export.passes.gather_tables import GatherNDToGather
from dhq_brevitas.export.passes.integer_form import to_integer_form
from dhq_brevitas.util.files import atomic_path, check_folder_of

# Root mean square difference, relative to that of the output, above which an export is wrong
# rather than rounded differently.
MAX_RELATIVE_DIFFERENCE = 0.05
WIDE_SUFFIX = "_float64"


class ExportError(RuntimeError):
    """The exported graph does not compute what the model computes."""


def export_qonnx(
    model: nn.Module,
    export_path: str | os.PathLike[str] | None = None,
    *,
    args: Tensor,
    multiplier_bits: int = 24,
    dynamo: bool = False,
) -> ModelWrapper:
    """Exports ``model`` through Brevitas, cleans it up, brings it to integer form and checks it.

    Args:
        model: a Brevitas model in float32 on the CPU with at least one enabled quantizer; it is put
            into evaluation mode for the export and restored, module by module.
        export_path: file to write (whole or not at all); None writes nothing.
        args: example input, float32 of shape [batch, …]; it fixes the shapes of the graph (see
            :func:`set_batch_size`) and is the check's input.
        multiplier_bits: bits of the integer multipliers that stand for scales that are not dyadic
            (see :mod:`dhq_brevitas.export.passes.integer_form`).
        dynamo: use PyTorch's dynamo exporter instead of TorchScript; the graph is the same.

    Returns the QONNX graph: shapes, datatypes and readable names annotated, integers exact.

    Raises TypeError and ValueError for a model or example input of another type or device or
    without an axis of samples, FileNotFoundError if there is no such folder, ValueError if the
    model has no enabled quantizer or an activation scale was never calibrated, and ExportError if
    the graph's output on ``args`` is not the model's. Codes may differ at rounding boundaries when
    scales are float; with power-of-two or dyadic scales the two are equal.
    """
    if export_path is not None:
        check_folder_of(export_path)
    _check_arguments(model, args)
    args = args.detach()
    _check_model(model)
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            expected = model(args)
        if isinstance(expected, QuantTensor):
            expected = expected.value
        graph = _brevitas_export(model, args, dynamo)
    finally:
        for module, mode in training.items():
            module.training = mode
    graph = cleanup_model(graph).transform(GatherNDToGather())
    graph = to_integer_form(graph, multiplier_bits)
    _check_output(graph, args.numpy(), expected.numpy())
    if export_path is not None:
        save_model(graph, export_path)
    return graph


def save_model(model: ModelWrapper, path: str | os.PathLike[str]) -> None:
    """Writes an ONNX file whole or not at all."""
    with atomic_path(path) as partial:
        model.save(str(partial))


def set_batch_size(model: ModelWrapper, batch_size: int) -> ModelWrapper:
    """Copy of a QONNX graph for inputs of ``batch_size`` samples along the first axis."""
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} must be at least 1")
    model = ModelWrapper(model.model, make_deepcopy=True)
    graph_input = model.graph.input[0].name
    shape = model.get_tensor_shape(graph_input)
    del model.graph.value_info[:]
    for tensor in (model.graph.input[0], model.graph.output[0]):
        tensor.type.tensor_type.shape.dim[0].dim_value = batch_size
    model.set_tensor_shape(graph_input, [batch_size, *shape[1:]])
    return model.transform(InferShapes())


def with_exact_sums(model: ModelWrapper) -> ModelWrapper:
    """Copy of a QONNX graph that adds up the products of a MatMul with a constant in float64.

    For integers these are the sums that hardware has; in float32 those beyond 24 bits would be
    rounded. A sum goes on in float64 where a Cast takes it, as the integer form has it for large
    ones, or another such MatMul, and in float32 elsewhere; :func:`exact_tensor` finds it. Shapes
    must be annotated and nodes sorted.
    """
    model = ModelWrapper(model.model, make_deepcopy=True)
    graph = model.graph
    widened: set[str] = set()  # tensors with a twin in float64
    nodes = []
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in widened:
            node.input[0] += WIDE_SUFFIX
        weight = model.get_initializer(node.input[1]) if node.op_type == "MatMul" else None
        if weight is None:
            nodes.append(node)
            continue
        source, total = node.input[0], node.output[0]
        if source not in widened:
            nodes.append(_cast(source, source + WIDE_SUFFIX, TensorProto.DOUBLE))
        for name in {source, total} - widened:
            shape = model.get_tensor_shape(name)
            twin = helper.make_tensor_value_info(name + WIDE_SUFFIX, TensorProto.DOUBLE, shape)
            graph.value_info.append(twin)
        widened |= {source, total}
        model.set_initializer(node.input[1], weight.astype(np.float64))
        node.input[0] += WIDE_SUFFIX
        node.output[0] += WIDE_SUFFIX
        nodes += [node, _cast(total + WIDE_SUFFIX, total, TensorProto.FLOAT)]
    before = len(graph.node)
    graph.node.extend(nodes)
    del graph.node[:before]
    return model


def _cast(source: str, target: str, dtype: int) -> NodeProto:
    return helper.make_node("Cast", [source], [target], to=dtype)


def exact_tensor(context: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """The tensor ``name`` of an execution of a graph that :func:`with_exact_sums` made."""
    return context.get(name + WIDE_SUFFIX, context[name])


def run_qonnx(model: ModelWrapper, inputs: np.ndarray) -> np.ndarray:
    """Output of a QONNX graph with one input and one output, for any number of samples.

    float32 as :func:`execute_onnx` gives it, but for sums (:func:`with_exact_sums`).
    """
    model = with_exact_sums(set_batch_size(model, len(inputs)))
    outputs = execute_onnx(model, {model.graph.input[0].name: inputs.astype(np.float32)})
    return outputs[model.graph.output[0].name]


def _check_arguments(model: nn.Module, args: Tensor) -> None:
    if not isinstance(args, Tensor):
        raise TypeError(f"args must be one torch.Tensor, the example input, not {type(args)}")
    if args.dim() < 2 or args.numel() == 0:
        raise ValueError(
            f"args has shape {list(args.shape)}; the first axis is that of samples: give at least "
            "one, as [1, …]"
        )
    tensors = {"args": args, **dict(model.named_parameters()), **dict(model.named_buffers())}
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise TypeError(f"{name} is {tensor.dtype}; export model.float() with float32 args")
        if tensor.device.type != "cpu":
            raise ValueError(f"{name} is on {tensor.device}; export model.cpu() with args.cpu()")
    if not args.is_floating_point():
        raise TypeError(f"args is {args.dtype}; give a float32 example input")


def _check_model(model: nn.Module) -> None:
    proxies = [m for m in model.modules() if isinstance(m, QuantProxyFromInjector)]
    if not any(proxy.is_quant_enabled for proxy in proxies):
        raise ValueError(
            f"{type(model).__name__} has no enabled quantizer, so there is nothing to export as "
            "QONNX; build it from brevitas.nn layers with weight_quant / input_quant / act_quant"
        )
    for name, module in model.named_modules():
        if isinstance(module, ParameterFromRuntimeStatsScaling) and module.counter == 0:
            layer = name.split(".fused_activation_quant_proxy")[0]
            raise ValueError(
                f"{layer}: the activation scale was never calibrated; run a forward pass in "
                "training mode (or load a trained state_dict) before the export"
            )


def _brevitas_export(model: nn.Module, args: Tensor, dynamo: bool) -> ModelWrapper:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # Deprecations inside torch.onnx that a user of this function can do nothing about.
        warnings.simplefilter("ignore")
        path = str(Path(folder) / "model.onnx")
        brevitas.export.export_qonnx(model, args=args, export_path=path, dynamo=dynamo)
        return ModelWrapper(path)


def _check_output(graph: ModelWrapper, inputs: np.ndarray, expected: np.ndarray) -> None:
    actual = execute_onnx(graph, {graph.graph.input[0].name: inputs})[graph.graph.output[0].name]
    difference = np.sqrt(np.mean((actual - expected) ** 2))
    reference = np.sqrt(np.mean(expected**2))
    if not difference <= MAX_RELATIVE_DIFFERENCE * max(reference, np.finfo(np.float32).tiny):
        raise ExportError(
            f"the exported graph differs from the model by {difference:.3g} (root mean square, "
            f"output {reference:.3g}) on the example input; please report the model"
        )
