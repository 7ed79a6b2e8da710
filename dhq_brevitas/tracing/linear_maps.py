# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Linear operators on values: each a matrix for the channels of one sample."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import torch
from torch import Tensor

from dhq_brevitas.tracing.algebra import Algebra
from dhq_brevitas.tracing.values import MAX_PATTERNS, MixedSamples, Value, by_slot

__all__ = ["LINEAR"]

FIRST_SPARE = 945  # letters of einsum equations that users do not write


def contracted(
    algebra: Algebra, value: Value, axis: int, weight: Tensor, bias: Tensor | None = None
) -> Value:
    """y[…, j, …] = Σ_i weight[j, i] · x[…, i, …] + bias[j] along ``axis``; weight [m, n].

    Raises MixedSamples if the axis is not within a sample. Where several rows belong to a sample,
    as for x [N, groups, n], all are layers side by side.
    """
    index = value.index.movedim(axis, -1)
    samples, places = index // value.width, index % value.width
    if not torch.equal(samples, samples[..., :1].expand_as(samples)):
        raise MixedSamples("adds up over samples, along an axis that is not that of the channels")
    rows, which = torch.unique(places.reshape(-1, places.shape[-1]), dim=0, return_inverse=True)
    outputs = len(weight)
    if len(rows) * outputs > MAX_PATTERNS * max(outputs, 1) or len(rows) > MAX_PATTERNS:
        raise MixedSamples("does not treat all samples alike")
    full = torch.zeros(len(rows) * outputs, value.width).double()
    for number, row in enumerate(rows):
        full[number * outputs : (number + 1) * outputs].index_add_(1, row, weight.double())
    offset = torch.zeros(outputs).double() if bias is None else bias.double()
    codes = which.reshape(samples.shape[:-1])[..., None] * outputs + torch.arange(outputs)
    made = samples[..., :1] * len(full) + codes
    return algebra.linear(value, full, offset.repeat(len(rows)), made.movedim(-1, axis))


def _linear(algebra: Algebra, x: Any, weight: Any, bias: Any = None) -> Value | None:
    if not isinstance(x, Value) or isinstance(weight, Value) or isinstance(bias, Value):
        return None
    return contracted(algebra, x, -1, weight, bias)


def _matmul(algebra: Algebra, a: Any, b: Any) -> Value | None:
    if isinstance(a, Value) and isinstance(b, Value):
        return None
    behind = isinstance(a, Value)
    value, matrix = (a, b) if behind else (b, a)
    while matrix.ndim > 2 and matrix.shape[0] == 1:
        matrix = matrix[0]
    if matrix.ndim > 2:
        return None
    axis = -1 if behind or value.index.ndim == 1 else -2
    if matrix.ndim == 1:
        return _without(contracted(algebra, value, axis, matrix[None]), axis)
    return contracted(algebra, value, axis, matrix.T if behind else matrix)


def _without(value: Value, axis: int) -> Value:
    return replace(value, index=value.index.squeeze(axis))


def _addmm(
    algebra: Algebra, bias: Any, a: Any, b: Any, beta: float = 1, alpha: float = 1
) -> Value | None:
    product = _matmul(algebra, a, b)
    if product is None or isinstance(bias, Value) or beta != 1 or alpha != 1:
        return None
    product, vector = by_slot(product, bias.double())
    return algebra.affine(product, torch.ones_like(vector), vector)


def _convolution(
    algebra: Algebra,
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value | None:
    """1 x 1 only; None for any other."""
    if not isinstance(x, Value) or isinstance(weight, Value):
        return None
    strides = [stride] if isinstance(stride, int) else list(stride)
    paddings = [padding] if isinstance(padding, int) else list(padding)
    no_padding = padding == "same" or padding == "valid" or not any(paddings)
    if any(size != 1 for size in weight.shape[2:]) or set(strides) != {1} or not no_padding:
        return None
    matrix = weight.reshape(len(weight), -1)
    if groups > 1:
        matrix = torch.block_diag(*matrix.chunk(groups))
    return contracted(algebra, x, 1 - weight.ndim, matrix, bias)


def _summed(
    algebra: Algebra, x: Value, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Value:
    return _reduced(algebra, x, dim, keepdim, mean=False)


def _mean(
    algebra: Algebra, x: Value, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Value:
    return _reduced(algebra, x, dim, keepdim, mean=True)


def _reduced(algebra: Algebra, x: Value, dim: Any, keepdim: bool, mean: bool) -> Value:
    axes = (
        range(x.index.ndim) if dim is None or dim == [] else [dim] if isinstance(dim, int) else dim
    )
    for axis in sorted((a % x.index.ndim for a in axes), reverse=True):
        size = x.index.shape[axis]
        row = torch.full((1, size), 1 / size if mean else 1.0).double()
        x = contracted(algebra, x, axis, row)
        x = x if keepdim else _without(x, axis)
    return x


def _einsum(
    algebra: Algebra, equation: str, tensors: Sequence[Any], **options: Any
) -> Value | None:
    """One value and one constant that share the letters added up, and no others."""
    inputs, _, output = equation.replace(" ", "").partition("->")
    names = inputs.split(",")
    values = [place for place, tensor in enumerate(tensors) if isinstance(tensor, Value)]
    if len(tensors) != 2 or len(values) != 1 or not output:
        return None
    value, matrix = tensors[values[0]], tensors[1 - values[0]]
    mine, other = names[values[0]], names[1 - values[0]]
    dots = value.index.ndim - len(mine.replace("...", ""))
    spare = [chr(code) for code in range(FIRST_SPARE, FIRST_SPARE + dots)]
    mine, output = (text.replace("...", "".join(spare)) for text in (mine, output))
    summed = [letter for letter in mine if letter in other and letter not in output]
    kept = [letter for letter in mine if letter not in summed]
    fresh = [letter for letter in other if letter not in mine]
    if not summed or len(other) != len(fresh) + len(summed) or set(kept) - set(output):
        return None
    weight = matrix.permute([other.index(letter) for letter in [*fresh, *summed]])
    sizes = weight.shape[: len(fresh)]
    weight = weight.reshape(prod(sizes), -1)
    value = _permuted(value, mine, "".join([*kept, *summed]))
    value = replace(value, index=value.index.flatten(len(kept)))
    made = contracted(algebra, value, -1, weight)
    made = replace(made, index=made.index.reshape(*made.index.shape[:-1], *sizes))
    return _permuted(made, "".join([*kept, *fresh]), output)


def _permuted(value: Value, have: str, want: str) -> Value:
    return replace(value, index=value.index.permute([have.index(letter) for letter in want]))


LINEAR: dict[str, Callable[..., Value | None]] = {
    "linear": _linear,
    "matmul": _matmul,
    "mm": _matmul,
    "mv": _matmul,
    "bmm": _matmul,
    "dot": _matmul,
    "addmm": _addmm,
    "conv1d": _convolution,
    "conv2d": _convolution,
    "conv3d": _convolution,
    "sum": _summed,
    "mean": _mean,
    "einsum": _einsum,
}
