# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A float module as a graph of ATen operators, by ``torch.export`` on a few samples.

Each operator comes with the path of the module that called it and its line of code.
"""

import logging
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export.graph_signature import InputKind, OutputKind
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.nn.parameter import is_lazy
from torch.utils import _pytree as pytree

from dhq_brevitas.tracing.calling import Calling
from dhq_brevitas.util.errors import first_line
from dhq_brevitas.util.hooks import evaluating

__all__ = ["Captured", "capture", "check_module", "unwrapped", "where"]

QUANTIZED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torchao.")
LIBRARIES = ("site-packages", "dist-packages", "lib/python", "<string>", "<frozen")


@dataclass(frozen=True)
class Captured:
    """A module's graph.

    Attributes:
        nodes: in order; call_function nodes of ATen operators among them.
        constants: of placeholders for parameters, buffers and constants, by name, on the CPU.
        inputs: names of the placeholders of the inputs, in order.
        outputs: names of the nodes that are outputs, in order; a value that is none is a constant.
        structure: of the outputs.
        names: of the parameters and buffers, by placeholder.
    """

    nodes: list[fx.Node]
    constants: dict[str, Any]
    inputs: list[str]
    outputs: list[Any]
    structure: pytree.TreeSpec
    names: dict[str, str]


def unwrapped(module: nn.Module) -> nn.Module:
    """What DataParallel and ``torch.compile`` were given.

    TypeError for TorchScript, exported programs, and for what is no module.
    """
    while True:
        if isinstance(module, DataParallel | DistributedDataParallel):
            module = module.module
        elif isinstance(getattr(module, "_orig_mod", None), nn.Module):
            module = module._orig_mod  # type: ignore[assignment]
        elif isinstance(module, torch.jit.ScriptModule):
            raise TypeError(
                f"module is TorchScript ({module.original_name}), which cannot be rebuilt; hand "
                "over the nn.Module that it was made from"
            )
        elif isinstance(module, fx.GraphModule) and not _evaluates(module):
            raise TypeError(
                "module is an exported program, whose mode is fixed; hand over the nn.Module that "
                "it was made from"
            )
        elif isinstance(module, nn.Module):
            return module
        else:
            raise TypeError(f"model must be a torch.nn.Module, not {type(module)}")


def _evaluates(module: nn.Module) -> bool:
    try:
        with evaluating(module):
            return True
    except NotImplementedError:
        return False


def check_module(module: nn.Module) -> None:
    """ValueError, naming it, for a parameter or buffer that is not finite or has no memory, and for
    a module that PyTorch has quantized."""
    for name, part in module.named_modules():
        if type(part).__module__.startswith(QUANTIZED):
            raise ValueError(
                f"{name or 'module'} ({type(part).__name__}) is quantized by PyTorch already; hand "
                "over the float module that it was made from"
            )
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if is_lazy(tensor):
            raise ValueError(f"{name} has no shape yet; call the module once with an input")
        if tensor.is_meta:
            raise ValueError(f"{name} is on the meta device, without values; load the weights")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ValueError(
                f"{name} holds NaN or infinity, as after a training that diverged; train it anew "
                "with a smaller learning rate"
            )


def capture(module: nn.Module, inputs: Sequence[Tensor], calling: Calling) -> Captured:
    """The graph of ``module`` in evaluation mode on ``inputs``.

    Raises ValueError, with the line of code, where the module cannot be traced.
    """
    args, named = calling.arguments(inputs)
    with evaluating(module), torch.no_grad():
        try:
            module(*args, **named)
        except Exception as error:
            shapes = ", ".join(str(list(x.shape)) for x in inputs)
            raise ValueError(
                f"{type(module).__name__} does not run on inputs of shape {shapes}: {error}"
            ) from error
        try:
            with _quiet():
                program = torch.export.export(module, args, named, strict=False)
                program = program.run_decompositions({})
        except Exception as error:
            raise ValueError(_untraceable(module, error)) from error
    signature = program.graph_signature
    tensors = {**dict(program.state_dict), **dict(program.constants)}
    constants, given, names = {}, [], {}
    for spec in signature.input_specs:
        name = spec.arg.name
        if spec.kind == InputKind.USER_INPUT:
            given.append(name)
        else:
            value = tensors[spec.target]
            names[name] = str(spec.target)
            constants[name] = value.detach().cpu() if isinstance(value, Tensor) else value
    outputs = [
        getattr(spec.arg, "name", getattr(spec.arg, "value", None))
        for spec in signature.output_specs
        if spec.kind == OutputKind.USER_OUTPUT
    ]
    nodes = list(program.graph.nodes)
    return Captured(nodes, constants, given, outputs, program.call_spec.out_spec, names)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings and graphs that the exporter prints of itself."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _untraceable(module: nn.Module, error: Exception) -> str:
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not _of_library(frame.filename)
    ]
    ours = str(Path(__file__).parent.parent)
    here = next((f for f in reversed(frames) if not f.filename.startswith(ours)), None)
    line = f", line {here.lineno} of {here.filename}: `{here.line}`" if here else ""
    kind = type(error).__name__
    if "DataDependent" in kind or "data-dependent" in str(error):
        reason = "what it does there depends on values of its inputs; compute both sides and "
        reason += "choose with torch.where"
    elif "not a known type" in str(error):
        reason = "it returns an object; return tensors, or tuples, lists and dictionaries of them"
    elif "fake tensor" in str(error):
        reason = "it takes a derivative, or keeps a tensor from one call for the next; do that "
        reason += "outside of forward"
    else:
        reason = f"{kind}: {first_line(error)}; use PyTorch operations on tensors only"
    return f"{type(module).__name__} cannot be traced{line}: {reason}"


def where(node: fx.Node) -> str:
    """The user's module that called an operator, and its class: ``blocks.0.norm (LayerNorm)``."""
    path, kind = owner(node)
    return f"{path} ({kind})" if path else kind


def owner(node: fx.Node) -> tuple[str, str]:
    """Path and class name of the module that called an operator."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack:
        return "", "the module"
    path, kind = stack[-1]
    name = kind.rsplit(".", 1)[-1] if isinstance(kind, str) else kind.__name__
    return str(path).split(".parametrizations")[0], name


def line_of_code(node: fx.Node) -> str:
    """The line that called an operator, or ""."""
    lines = (node.meta.get("stack_trace") or "").strip().splitlines()
    frames = zip(lines[::2], lines[1::2], strict=False)
    own = [code.strip() for frame, code in frames if not _of_library(frame)]
    return own[-1] if own else ""


def _of_library(text: str) -> bool:
    return any(part in text for part in LIBRARIES)
