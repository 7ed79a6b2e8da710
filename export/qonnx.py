# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``export_qonnx``: a trained Brevitas model to a clean, checked QONNX graph in integer form."""

import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import brevitas.export
import numpy as np
import torch
from brevitas.core.scaling import ParameterFromRuntimeStatsScaling
from brevitas.proxy.quant_proxy import QuantProxyFromInjector
from brevitas.quant_tensor import QuantTensor
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.cleanup import cleanup_model
from torch import Tensor, nn

from dhq_brevitas.export.execute import run_qonnx
from dhq_brevitas.export.passes.gather_tables import GatherNDToGather
from dhq_brevitas.export.passes.integer_form import to_integer_form
from dhq_brevitas.inr.layers import called
from dhq_brevitas.quantization.post_training import check_finite
from dhq_brevitas.util.files import atomic_path, check_folder_of
from dhq_brevitas.util.hooks import evaluating

# Root mean square difference, relative to that of the output, above which an export is wrong
# rather than rounded differently.
MAX_RELATIVE_DIFFERENCE = 0.05


class ExportError(RuntimeError):
    """The exported graph does not compute what the model computes."""


def export_qonnx(
    model: nn.Module,
    *positional: Tensor | str | os.PathLike[str] | None,
    args: Tensor | None = None,
    export_path: str | os.PathLike[str] | None = None,
    multiplier_bits: int = 24,
    dynamo: bool = False,
) -> ModelWrapper:
    """Exports ``model`` through Brevitas, cleans it up, brings it to integer form and checks it.

    Args:
        model: a Brevitas model in float32 on the CPU with at least one enabled quantizer; it is put
            into evaluation mode for the export and restored, module by module.
        positional: ``args`` and ``export_path`` in either order, told apart by their types; so
            Brevitas's ``export_qonnx(model, args, export_path)`` is a call of this function.
        args: example input, float32 of shape [batch, …]; it fixes the shapes of the graph (see
            :func:`~dhq_brevitas.export.set_batch_size`) and is the check's input.
        export_path: file to write (whole or not at all); None writes nothing.
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
    example, export_path = _example_and_path(positional, args, export_path)
    if export_path is not None:
        check_folder_of(export_path)
    _check_arguments(model, example)
    example = example.detach()
    _check_model(model)
    with evaluating(model):
        with torch.no_grad():
            expected = called(model, example)
        plain = model
        if isinstance(expected, QuantTensor):
            expected, plain = expected.value, _PlainOutput(model)
        graph = _brevitas_export(plain, example, dynamo)
    graph = cleanup_model(graph).transform(GatherNDToGather())
    graph = to_integer_form(graph, multiplier_bits)
    _check_output(graph, example.numpy(), expected.numpy())
    if export_path is not None:
        save_model(graph, export_path)
    return graph


class _PlainOutput(nn.Module):
    """``model`` with the values of its output, without their scale and bit width."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        output = self.model(x)  # under dynamo a tensor
        return getattr(output, "value", output)


def save_model(model: ModelWrapper, path: str | os.PathLike[str]) -> None:
    """Writes an ONNX file whole or not at all."""
    with atomic_path(path) as partial:
        model.save(str(partial))


def _example_and_path(
    positional: Sequence[Any], args: Any, export_path: Any
) -> tuple[Tensor, str | os.PathLike[str] | None]:
    """(args, export_path) of a call of :func:`export_qonnx`; TypeError for anything else."""
    values = [v for v in (*positional, args, export_path) if v is not None]
    examples = [value for value in values if isinstance(value, Tensor)]
    paths = [value for value in values if isinstance(value, str | os.PathLike)]
    for value in values:
        if not isinstance(value, Tensor | str | os.PathLike):
            raise TypeError(
                "args must be one torch.Tensor, the example input, and export_path a path; "
                f"{type(value).__name__} is neither"
            )
    if len(examples) != 1 or len(paths) > 1:
        raise TypeError(
            f"{len(examples)} tensors and {len(paths)} paths given; give one example input, args, "
            "and at most one export_path"
        )
    return examples[0], paths[0] if paths else None


def _check_arguments(model: nn.Module, args: Tensor) -> None:
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


def _brevitas_export(model: nn.Module, args: Tensor, dynamo: bool) -> ModelWrapper:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # Deprecations inside torch.onnx that a user of this function can do nothing about.
        warnings.simplefilter("ignore")
        path = str(Path(folder) / "model.onnx")
        brevitas.export.export_qonnx(model, args=args, export_path=path, dynamo=dynamo)
        return ModelWrapper(path)


def _check_output(graph: ModelWrapper, inputs: np.ndarray, expected: np.ndarray) -> None:
    difference = np.sqrt(np.mean((run_qonnx(graph, inputs) - expected) ** 2))
    reference = np.sqrt(np.mean(expected**2))
    if not difference <= MAX_RELATIVE_DIFFERENCE * max(reference, np.finfo(np.float32).tiny):
        raise ExportError(
            f"the exported graph differs from the model by {difference:.3g} (root mean square, "
            f"output {reference:.3g}) on the example input; please report the model"
        )
