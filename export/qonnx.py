# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``export_qonnx``: a trained Brevitas model to a clean, checked QONNX graph in integer form."""

import copy
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import brevitas.export
import torch
from brevitas.core.scaling import ParameterFromRuntimeStatsScaling
from brevitas.nn.mixin.base import QuantLayerMixin
from brevitas.proxy.quant_proxy import QuantProxyFromInjector
from brevitas.quant_tensor import QuantTensor
from qonnx.core.modelwrapper import ModelWrapper
from torch import Tensor, nn

from dhq_brevitas.export.output_check import check_output, samples_around
from dhq_brevitas.export.passes.clean_up import clean_up
from dhq_brevitas.export.passes.gather_tables import GatherNDToGather
from dhq_brevitas.export.passes.integer_form import to_integer_form
from dhq_brevitas.export.passes.merge_equal_nodes import MergeEqualNodes
from dhq_brevitas.export.passes.separate_equal_inputs import SeparateEqualInputs
from dhq_brevitas.inr.layers import called
from dhq_brevitas.quantization.post_training import check_finite
from dhq_brevitas.quantization.supported import check_quantizers
from dhq_brevitas.tracing.capture import unwrapped
from dhq_brevitas.util.files import atomic_path, check_folder_of
from dhq_brevitas.util.hooks import evaluating, pre_hooked


def export_qonnx(
    model: nn.Module,
    *positional: Tensor | Sequence[Tensor] | str | os.PathLike[str] | None,
    args: Tensor | Sequence[Tensor] | None = None,
    export_path: str | os.PathLike[str] | None = None,
    multiplier_bits: int = 24,
    dynamo: bool = False,
    check_inputs: Tensor | Sequence[Tensor] | None = None,
) -> ModelWrapper:
    """Exports ``model`` through Brevitas, cleans it up, brings it to integer form and checks it.

    Args:
        model: a Brevitas model in float32 on the CPU with at least one enabled quantizer; it is put
            into evaluation mode for the export and restored, module by module.
        positional: ``args`` and ``export_path`` in either order, told apart by their types; so
            Brevitas's ``export_qonnx(model, args, export_path)`` is a call of this function.
        args: example input, float32 of shape [batch, …], or a tuple of the inputs of a model that
            takes several; it fixes the shapes of the graph (see
            :func:`~dhq_brevitas.export.set_batch_size`) and is the check's input.
        export_path: file to write (whole or not at all); None writes nothing.
        multiplier_bits: bits of the integer multipliers that stand for scales that are not dyadic
            (see :mod:`dhq_brevitas.export.passes.integer_form`).
        dynamo: use PyTorch's dynamo exporter instead of TorchScript; the graph is the same.
        check_inputs: samples, as the model takes them, on which the graph is compared with the
            model beside ``args``; None: 256 around ``args``.

    Returns the QONNX graph: shapes, datatypes and readable names annotated, integers exact. A model
    may give a tensor, or a tuple, list or dictionary of them: the outputs of the graph in that
    order.

    Raises TypeError and ValueError for a model or example input of another type or device or
    without an axis of samples, FileNotFoundError if there is no such folder, ValueError if the
    model has no enabled quantizer or an activation scale was never calibrated, and ExportError if
    the graph's output is not the model's (:mod:`~dhq_brevitas.export.output_check`). Codes may
    differ at rounding boundaries when scales are float; with power-of-two or dyadic scales the two
    must be equal. Layers and quantizers that the model never calls are left out.
    """
    model = unwrapped(model)
    examples, export_path = _examples_and_path(positional, args, export_path)
    if export_path is not None:
        check_folder_of(export_path)
    _check_arguments(model, examples)
    examples = tuple(example.detach() for example in examples)
    checked_on = samples_around(examples) if check_inputs is None else _tuple(check_inputs)
    model = _without_unused(model, examples)
    _check_model(model)
    graph = to_integer_form(_clean_graph(model, examples, dynamo), multiplier_bits)
    for inputs in (examples, checked_on):
        check_output(graph, model, inputs, _tensors, len(examples[0]))
    if export_path is not None:
        save_model(graph, export_path)
    return graph


def _clean_graph(model: nn.Module, examples: tuple[Tensor, ...], dynamo: bool) -> ModelWrapper:
    """As Brevitas exports it, cleaned up."""
    with evaluating(model):
        with torch.no_grad():
            outputs = called(model, *examples)
        _check_outputs(_tensors(outputs, examples))
        # Others leave the exporter in an order or a form of their own.
        plain = model if isinstance(outputs, Tensor) else _PlainOutputs(model)
        graph = _brevitas_export(plain, examples, dynamo)
    graph = graph.transform(MergeEqualNodes(), cleanup=False).transform(
        SeparateEqualInputs(), make_deepcopy=False, cleanup=False
    )
    return clean_up(graph).transform(GatherNDToGather())


def _check_outputs(tensors: Sequence[Tensor]) -> None:
    for number, tensor in enumerate(tensors):
        first = next(i for i, other in enumerate(tensors) if other is tensor)
        if first < number:
            raise ValueError(
                f"output {number} of the model is output {first} once more; return it once"
            )


def _tuple(inputs: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    for x in inputs:
        if not isinstance(x, Tensor) or x.dim() < 2 or len(x) != len(inputs[0]) or len(x) == 0:
            raise TypeError("check_inputs must be a tensor [samples, …], or one for each input")
    return tuple(x.detach().to(torch.float32) for x in inputs)


def _without_unused(model: nn.Module, examples: Sequence[Tensor]) -> nn.Module:
    """``model``, or a copy without the Brevitas layers that it does not call."""
    reached: set[nn.Module] = set()
    layers = {name: m for name, m in model.named_modules() if isinstance(m, QuantLayerMixin)}
    hooks = [(layer, lambda module, args: reached.add(module)) for layer in layers.values()]
    with evaluating(model), torch.no_grad(), pre_hooked(hooks):
        _tensors(called(model, *examples))
    unused = [name for name, layer in layers.items() if name and layer not in reached]
    if not unused:
        return model
    reduced = copy.deepcopy(model)
    for name in unused:
        parent, _, child = name.rpartition(".")
        setattr(reduced.get_submodule(parent), child, nn.Identity())
    try:
        with evaluating(reduced), torch.no_grad():
            reduced(*examples)
    except (AttributeError, RuntimeError, TypeError):
        return model  # it uses a part of them after all
    return reduced


class _PlainOutputs(nn.Module):
    """``model`` with its outputs as one tensor, or a tuple of them, without scales."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        tensors = _tensors(self.model(*inputs), inputs)
        return tensors[0] if len(tensors) == 1 else tuple(tensors)


def _tensors(outputs: Any, inputs: Sequence[Tensor] = ()) -> list[Tensor]:
    """The tensors in the output of a model, in order; TypeError for anything else.

    Inputs that are handed on as they are stay with the caller.
    """
    if inputs:
        tensors = _tensors(outputs)
        return [t for t in tensors if not any(t is x for x in inputs)] or tensors
    if isinstance(outputs, QuantTensor):
        return [outputs.value]
    if isinstance(outputs, Tensor):
        return [outputs]
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    if not isinstance(outputs, list | tuple) or not outputs:
        raise TypeError(
            f"the model returns {type(outputs).__name__}; return a tensor, or a tuple, list or "
            "dictionary of tensors"
        )
    return [tensor for output in outputs for tensor in _tensors(output)]


def save_model(model: ModelWrapper, path: str | os.PathLike[str]) -> None:
    """Writes an ONNX file whole or not at all."""
    with atomic_path(path) as partial:
        model.save(str(partial))


def _examples_and_path(
    positional: Sequence[Any], args: Any, export_path: Any
) -> tuple[tuple[Tensor, ...], str | os.PathLike[str] | None]:
    """(args, export_path) of a call of :func:`export_qonnx`; TypeError for anything else."""
    values = [v for v in (*positional, args, export_path) if v is not None]
    paths = [value for value in values if isinstance(value, str | os.PathLike)]
    examples = []
    for value in values:
        value = tuple(value.values()) if isinstance(value, dict) else value
        several = isinstance(value, list | tuple) and all(isinstance(x, Tensor) for x in value)
        if isinstance(value, Tensor) or (several and len(value)):
            examples.append(tuple(value) if several else (value,))
        elif not isinstance(value, str | os.PathLike):
            raise TypeError(
                "args must be one torch.Tensor, the example input, or a tuple of them, and "
                f"export_path a path; {type(value).__name__} is neither"
            )
    if len(examples) != 1 or len(paths) > 1:
        raise TypeError(
            f"{len(examples)} tensors and {len(paths)} paths given; give one example input, args "
            "(a tuple for a model of several inputs), and at most one export_path"
        )
    return examples[0], paths[0] if paths else None


def _check_arguments(model: nn.Module, examples: Sequence[Tensor]) -> None:
    names = ["args"] if len(examples) == 1 else [f"args[{i}]" for i in range(len(examples))]
    least = 1 if getattr(model, "takes_numbers", False) else 2
    for name, example in zip(names, examples, strict=True):
        if example.dim() < least or example.numel() == 0:
            raise ValueError(
                f"{name} has shape {list(example.shape)}; the first axis is that of samples: give "
                "at least one, as [1, …]"
            )
        if not example.is_floating_point():
            raise TypeError(f"{name} is {example.dtype}; give a float32 example input")
        if len(example) != len(examples[0]):
            raise ValueError(
                f"{name} has {len(example)} samples and {names[0]} {len(examples[0])}; give "
                "equally many"
            )
    tensors = dict(zip(names, examples, strict=True))
    tensors |= {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise TypeError(f"{name} is {tensor.dtype}; export model.float() with float32 args")
        if tensor.device.type != "cpu":
            raise ValueError(f"{name} is on {tensor.device}; export model.cpu() with args.cpu()")


def _check_model(model: nn.Module) -> None:
    check_quantizers(model)
    check_finite(model, scales=True)
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


def _brevitas_export(model: nn.Module, examples: tuple[Tensor, ...], dynamo: bool) -> ModelWrapper:
    args = examples if len(examples) > 1 else examples[0]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # Deprecations inside torch.onnx that a user of this function can do nothing about.
        warnings.simplefilter("ignore")
        path = str(Path(folder) / "model.onnx")
        brevitas.export.export_qonnx(model, args=args, export_path=path, dynamo=dynamo)
        graph = ModelWrapper(path)
    for node in graph.graph.node:  # kept where the clean-up renames nodes
        node.doc_string = _module_of(node.name, isinstance(model, _PlainOutputs))
    return graph


def _module_of(name: str, wrapped: bool) -> str:
    """Path of the module that TorchScript names a node by, such as /net/net.0/Gemm; or ""."""
    path = ""
    for part in name.split("/")[1:-1][1 if wrapped else 0 :]:
        if part.endswith("_quant") or part == "export_handler":
            break
        path = part if not path or part.startswith(f"{path}.") else f"{path}.{part}"
    return path
