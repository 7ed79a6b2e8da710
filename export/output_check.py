# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Whether an exported graph computes what its model does, on more samples than the example.

Where all scales are powers of two or dyadic, and so are the units of the tables, every output must
be equal, unless the graph holds a function that is no table. Sums beyond the 24 bits of float32
round in PyTorch, not in QONNX: an output that differs is computed once more in float64, and either
will do. Behind the last quantizer, units that are not dyadic may change the last bits of float32.
Elsewhere codes may differ at rounding boundaries, and the root mean square of the difference must
be small.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from brevitas.proxy.parameter_quant import WeightQuantProxyFromInjectorBase
from brevitas.proxy.runtime_quant import ActQuantProxyFromInjectorBase
from qonnx.core.modelwrapper import ModelWrapper
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dhq_brevitas.export.execute import listed, run_qonnx
from dhq_brevitas.export.graph import constants, variables
from dhq_brevitas.nn.activations import QuantLookupActivation
from dhq_brevitas.util.hooks import evaluating

__all__ = ["ExportError", "check_output", "has_dyadic_scales", "samples_around"]

# Root mean square difference, relative to that of the output, above which an export is wrong
# rather than rounded differently.
MAX_RELATIVE_DIFFERENCE = 0.05
CHECKED_SAMPLES = 256
# Scales are dyadic with mantissas up to so many bits; float ones are settled with eight.
DYADIC_BITS = 4
# Of the largest output: what other factors and shifts behind the last integer may add up to.
LAST_BITS = 2.0**-22
# Operators that give the same in every tool. Others, such as Tanh behind the last quantizer, may
# differ in the last bit.
# fmt: off
EXACT = frozenset((
    "Add", "Cast", "Clip", "Concat", "Constant", "Expand", "Flatten", "Floor", "Gather",
    "HadamardTransform", "Identity", "MatMul", "Max", "Min", "Mul", "Neg", "Quant", "Relu",
    "Reshape", "Shape", "Slice", "Split", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Where",
))
# fmt: on
# Those that values pass behind the last integers.
TAIL = ("Add", "Concat", "Identity", "Mul", "Neg", "Reshape", "Squeeze", "Sub", "Transpose")


class ExportError(RuntimeError):
    """The exported graph does not compute what the model computes."""


def samples_around(examples: Sequence[Tensor]) -> list[Tensor]:
    """CHECKED_SAMPLES samples for each input, near its examples, always the same.

    Whole numbers stay whole numbers, up to 64 away; others are up to the largest magnitude away.
    """
    generator = torch.Generator().manual_seed(0)
    found = []
    for example in examples:
        rows = torch.arange(CHECKED_SAMPLES) % len(example)
        noise = torch.rand((CHECKED_SAMPLES, *example.shape[1:]), generator=generator) * 2 - 1
        if bool((example == example.round()).all()):
            noise = torch.round(noise * 64)
        else:
            noise = noise * example.abs().max()
        found.append(example[rows] + noise)
    return found


def check_output(
    graph: ModelWrapper,
    model: nn.Module,
    inputs: Sequence[Tensor],
    tensors: Callable[[Any, Sequence[Tensor]], list[Tensor]],
    batch: int,
) -> None:
    """ExportError unless the graph's outputs on ``inputs`` are the model's, as said above.

    ``tensors``: the outputs of the graph, of what the model returns. ``batch``: samples that the
    model takes for certain.
    """
    expected = _outputs(model, inputs, tensors, batch)
    found = listed(run_qonnx(graph, [x.numpy() for x in inputs]))
    exact = has_dyadic_scales(model) and all(n.op_type in EXACT for n in graph.graph.node)
    for number, (output, wanted) in enumerate(zip(found, expected, strict=True)):
        output = output.astype(np.float32)
        tail = 0.0 if _ends_dyadic(graph, number) else LAST_BITS
        if _problem(output, wanted, exact, tail) is None:
            continue
        wide = copy.deepcopy(model).double()
        again = _outputs(wide, [x.double() for x in inputs], tensors, batch)[number]
        nearer = np.where(np.abs(output - wanted) <= np.abs(output - again), wanted, again)
        if problem := _problem(output, nearer, exact, tail):
            raise ExportError(f"{problem}; please report the model")


def _problem(output: np.ndarray, wanted: np.ndarray, exact: bool, tail: float) -> str | None:
    """How an output differs from the model's by more than it may, or None.

    ``tail``: how much an ``exact`` one may differ, in parts of the largest.
    """
    difference = np.sqrt(np.mean((output - wanted) ** 2))
    reference = np.sqrt(np.mean(wanted**2))
    if not difference <= MAX_RELATIVE_DIFFERENCE * max(reference, np.finfo(np.float32).tiny):
        return (
            f"the exported graph differs from the model by {difference:.3g} (root mean square, "
            f"output {reference:.3g}) on {len(wanted)} samples"
        )
    differing = int(np.sum(np.abs(output - wanted) > tail * np.abs(wanted).max()))
    if exact and differing:
        return (
            f"{differing} of {wanted.size} outputs of the exported graph differ from the model's, "
            "although all scales are dyadic"
        )
    return None


def _outputs(
    model: nn.Module,
    inputs: Sequence[Tensor],
    tensors: Callable[[Any, Sequence[Tensor]], list[Tensor]],
    batch: int,
) -> list[np.ndarray]:
    """What the model gives, float32; in batches where it takes no others."""
    with evaluating(model), torch.no_grad():
        try:
            parts = [tensors(model(*inputs), inputs)]
            if any(len(tensor) != len(inputs[0]) for tensor in parts[0]):
                raise RuntimeError("the first axis is not that of the samples")
        except RuntimeError:
            chunks = zip(*(x.split(batch) for x in inputs), strict=True)
            parts = [tensors(model(*chunk), chunk) for chunk in chunks]
    return [torch.cat(list(same)).to(torch.float32).numpy() for same in zip(*parts, strict=True)]


def has_dyadic_scales(model: nn.Module) -> bool:
    """Whether all scales of a model, and the units of its tables, have short mantissas.

    Those of a BatchNorm have not."""
    found: list[Tensor] = []
    if any(isinstance(module, _BatchNorm) for module in model.modules()):
        return False
    for module in model.modules():
        if isinstance(module, QuantLookupActivation):
            found.append(torch.tensor(module.unit, dtype=torch.float64))
        elif isinstance(module, ActQuantProxyFromInjectorBase) and module.is_quant_enabled:
            scale = module.scale()
            found += [] if scale is None else [scale]
        elif isinstance(module, WeightQuantProxyFromInjectorBase) and module.is_quant_enabled:
            found += [module.tensor_quant(layer.weight)[1] for layer in module.tracked_module_list]
    return all(_is_dyadic(scale.detach().double()) for scale in found) and bool(
        getattr(model, "dyadic", True)
    )


def _ends_dyadic(graph: ModelWrapper, number: int) -> bool:
    """Whether all factors between the last integers and an output are products of two scales."""
    tensors = [graph.graph.output[number].name]
    while tensors:
        node = graph.find_producer(tensors.pop())
        if node is None or node.op_type not in TAIL:
            continue
        if node.op_type == "Mul":
            factors = constants(graph, node)
            if not all(_is_dyadic(torch.tensor(f), 2 * DYADIC_BITS) for f in factors):
                return False
        tensors += variables(graph, node)
    return True


def _is_dyadic(values: Tensor, bits: int = DYADIC_BITS) -> bool:
    mantissa = torch.frexp(values)[0] * 2**bits
    return bool((mantissa == mantissa.round()).all())
