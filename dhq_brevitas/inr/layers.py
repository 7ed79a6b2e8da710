# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The linear layers of any network of Brevitas layers, found by running it.

A layer is a ``QuantLinear`` that the network calls, in the order of the calls. What the layers fold
and what they quantize is read from them, so nothing here depends on the network's class.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.quant_tensor import QuantTensor
from torch import Tensor, nn

from dhq_brevitas.nn.activations import QuantLookupActivation
from dhq_brevitas.util.hooks import evaluating, hooked, pre_hooked

__all__ = [
    "Fold",
    "Layer",
    "called",
    "check_network",
    "fold_of",
    "is_chain",
    "layers_of",
    "set_fold",
]


@dataclass(frozen=True)
class Fold:
    """What a layer's weight and bias were multiplied with when other factors were folded in.

    Adam's steps have the size of the learning rate, whatever that of the weight, so rates of folded
    weights are multiplied with these.
    """

    weight: float = 1.0
    bias: float = 1.0


def set_fold(linear: Any, fold: Fold) -> None:
    """Notes on a layer what was folded into it."""
    linear.dhq_fold = fold


def fold_of(linear: nn.Module) -> Fold:
    """What :func:`set_fold` noted, or factors of 1."""
    return getattr(linear, "dhq_fold", None) or Fold()


@dataclass(frozen=True)
class Layer:
    """One linear layer and its surroundings.

    Attributes:
        name, linear: of the ``QuantLinear``.
        given: what it was called with, as values or as integers with their scale.
        feeder: index of the layer whose table makes ``given``, or None.
        of_inputs: ``given`` are the network's inputs, quantized ahead of all layers.
        activation, activation_name: the table behind it that later layers are fed with; None.
    """

    name: str
    linear: qnn.QuantLinear
    given: Any
    feeder: int | None = None
    of_inputs: bool = False
    activation: QuantLookupActivation | None = None
    activation_name: str = ""


def check_network(model: nn.Module, inputs: Any) -> Tensor:
    """``inputs``; TypeError or ValueError unless these are a module, and finite samples [N, …].

    A layer's own input may be a quantized tensor.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, not {type(model)}")
    given, inputs = inputs, getattr(inputs, "value", inputs)
    if not isinstance(inputs, Tensor):
        raise TypeError(f"inputs must be a torch.Tensor of samples [N, …], not {type(inputs)}")
    if not inputs.is_floating_point():
        raise TypeError(f"inputs are {inputs.dtype}; convert them with .float()")
    if inputs.ndim < 2 or inputs.numel() == 0:
        raise ValueError(f"inputs: calibration data of shape {tuple(inputs.shape)} must be [N, n]")
    if not bool(torch.isfinite(inputs).all()):
        raise ValueError("inputs: the calibration data hold NaN or infinity; remove those samples")
    return given


def called(model: nn.Module, *inputs: Tensor) -> Any:
    """``model(*inputs)``; ValueError where it fails, as it does for inputs of another shape."""
    try:
        return model(*inputs)
    except ValueError:
        raise
    except Exception as error:
        problem = " ".join(str(error).split())
        given = ", ".join(f"{list(x.shape)} and type {x.dtype}" for x in inputs)
        raise ValueError(
            f"{type(model).__name__} fails on inputs of shape {given}: {type(error).__name__}: "
            f"{problem}"
        ) from error


def layers_of(model: nn.Module, inputs: Tensor) -> list[Layer]:
    """The layers that ``model`` calls on ``inputs``, in evaluation mode.

    Raises ValueError, naming the module, for a layer that is called twice and for a network without
    layers.
    """
    found: list[Layer] = []
    codes: list[Any] = []
    # Tables that were called: name, module, output, and the layer called before.
    passed: list[tuple[str, QuantLookupActivation, Any, int]] = []

    def note_layer(name: str, linear: Any, args: tuple[Any, ...]) -> None:
        if any(layer.linear is linear for layer in found):
            raise ValueError(f"{name}: the network calls this layer twice; give each call its own")
        of_inputs = not found or any(_same(output, args[0]) for output in codes)
        found.append(Layer(name, linear, args[0], of_inputs=of_inputs))
        for table_name, table, output, index in passed:
            if _same(output, args[0]) and found[index].activation in (None, table):
                found[-1] = replace(found[-1], feeder=index)
                found[index] = replace(found[index], activation=table, activation_name=table_name)

    def note_table(name: str, table: Any, args: Any, output: Any) -> None:
        if found:
            passed.append((name, table, output, len(found) - 1))

    def note_codes(module: Any, args: Any, output: Any) -> None:
        if not found:
            codes.append(output)

    named = list(model.named_modules())
    layers = [(m, partial(note_layer, n)) for n, m in named if isinstance(m, qnn.QuantLinear)]
    tables = [(m, partial(note_table, n)) for n, m in named if isinstance(m, QuantLookupActivation)]
    quantizers = [(m, note_codes) for _, m in named if isinstance(m, qnn.QuantIdentity)]
    with evaluating(model), torch.no_grad(), pre_hooked(layers), hooked([*tables, *quantizers]):
        called(model, inputs)
    if not found:
        raise ValueError(
            f"{type(model).__name__} calls no QuantLinear layer: build it from brevitas.nn layers"
        )
    return found


def is_chain(model: nn.Module, inputs: Tensor) -> bool:
    """Whether ``model`` is layers and tables in a row, the last layer's sums its only output."""
    layers, sums = layers_of(model, inputs), []

    def note(module: Any, args: Any, output: Any) -> None:
        sums.append(output)

    with evaluating(model), torch.no_grad(), hooked([(layers[-1].linear, note)]):
        output = called(model, inputs)
    in_a_row = [layer.feeder for layer in layers[1:]] == list(range(len(layers) - 1))
    return in_a_row and isinstance(output, Tensor | QuantTensor) and _same(sums[0], output)


def _same(one: Any, other: Any) -> bool:
    """Whether a layer is fed with just this tensor."""
    pair = [x.value if isinstance(x, QuantTensor) else x for x in (one, other)]
    return pair[0].data_ptr() == pair[1].data_ptr() and pair[0].shape == pair[1].shape
