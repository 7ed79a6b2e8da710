# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The operators ``hadamard`` and ``activation`` on CUDA, in Triton.

What they compute is said in :mod:`dhq_brevitas.nn.hadamard_kernel` and
:mod:`dhq_brevitas.nn.activation_kernel`; here each step is the one of hadamard.cpp and
activation.cpp, in the same order, so that the numbers are the same. Only a scale's gradient is
added up in another order, in each block and then over blocks: the same at each run.

Import this module only where Triton is installed. Nothing waits for the device, so that CUDA
graphs can be captured.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["activation", "activation_backward", "transform"]

# Numbers that a program takes at least, and how many of them each thread holds.
BLOCK, PER_THREAD = 1024, 8
# Compiled once for all of these.
OF_EVERY_SIZE = ["chunks", "offset", "last"]
# From here on float32 has integers alone.
ALL_INTEGERS = tl.constexpr(2.0**23)


@triton.jit
def _butterfly(x, NUMBERS: tl.constexpr, SPAN: tl.constexpr, ORDER: tl.constexpr):
    """x (I ⊗ H) of flat [NUMBERS] in blocks of ORDER, of which spans below SPAN are done."""
    if SPAN < ORDER:
        pairs = tl.permute(tl.reshape(x, (NUMBERS // (2 * SPAN), 2, SPAN)), (0, 2, 1))
        first, second = tl.split(pairs)
        pairs = tl.permute(tl.join(first + second, first - second), (0, 2, 1))
        x = _butterfly(tl.reshape(pairs, (NUMBERS,)), NUMBERS, 2 * SPAN, ORDER)
    return x


@triton.jit
def _columns(start, lanes, channels, ORDER: tl.constexpr):
    """The last axis's index of numbers start + lanes, start being a block's first."""
    period = channels // ORDER
    first = ((start // ORDER) % period).to(tl.int32)
    return (first + lanes // ORDER) % period * ORDER + lanes % ORDER


@triton.jit
def _rotated(x, before, behind, columns, factor, NUMBERS: tl.constexpr, ORDER: tl.constexpr):
    """((x · before) (I ⊗ H) · factor) · behind, signs being read at ``columns``."""
    if before is not None:
        x = x * tl.load(before + columns).to(x.dtype)
    x = _butterfly(x, NUMBERS, 1, ORDER) * factor
    if behind is not None:
        x = x * tl.load(behind + columns).to(x.dtype)
    return x


@triton.jit
def _rounded(x, FLOORS: tl.constexpr):
    """⌊x⌋, or x to the nearest integer, halves to even; -0 and NaN stay what they are.

    In sums, since instructions of the card for it take numbers below 2^-126 for 0.
    """
    size = tl.abs(x)
    near = (size + ALL_INTEGERS) - ALL_INTEGERS
    near = tl.where(x < 0, near * -1.0, near)
    near = tl.where((size > 0) & (size < ALL_INTEGERS), near, x)
    return tl.where(near > x, near - 1.0, near) if FLOORS else near


@triton.jit
def _clipped(code, low, high):
    code = tl.where(code < low, low, code)
    return tl.where(code > high, high, code)


@triton.jit
def _entries(x, unit, bins, least, most, offset, last, DIVIDES: tl.constexpr):
    """Where in a table (:class:`dhq_brevitas.nn.activation_kernel.Table`) the value of x is."""
    if DIVIDES:
        x = tl.div_rn(x, unit)
    code = _rounded(x * bins, True)
    above = tl.where(code > least, code, least)
    held = tl.where(above > most, most, above)
    entry = (held.to(tl.int32) + offset) & last
    entry = tl.where(code < least, last + 1, entry)
    entry = tl.where(code > most, last + 2, entry)
    return tl.where(code != code, last + 3, entry)


@triton.jit
def _transform_kernel(
    x, y, before, behind, size, channels, scale,
    NUMBERS: tl.constexpr, ORDER: tl.constexpr, TYPE: tl.constexpr,
):  # fmt: skip
    start = tl.program_id(0).to(tl.int64) * NUMBERS
    lanes = tl.arange(0, NUMBERS)
    inside = lanes < size - start
    columns = _columns(start, lanes, channels, ORDER)
    value = tl.load(x + start + lanes, mask=inside, other=0.0).to(TYPE)
    value = _rotated(value, before, behind, columns, scale, NUMBERS, ORDER)
    tl.store(y + start + lanes, value.to(y.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=OF_EVERY_SIZE)
def _activation_kernel(
    x, y, values, unit, bins, least, most, offset, last, signs, channels, factor, scale, low, high,
    share, chunks,
    NUMBERS: tl.constexpr, ORDER: tl.constexpr, DIVIDES: tl.constexpr, AFTER: tl.constexpr,
    FLOORS: tl.constexpr,
):  # fmt: skip
    row, start = tl.program_id(0) // chunks, (tl.program_id(0) % chunks).to(tl.int64) * NUMBERS
    lanes = tl.arange(0, NUMBERS)
    inside = lanes < share - start
    columns = _columns(start, lanes, channels, max(ORDER, 1))
    at = row.to(tl.int64) * share + start + lanes
    value = tl.load(x + at, mask=inside, other=0.0)
    if values is not None:
        value = tl.load(values + _entries(value, unit, bins, least, most, offset, last, DIVIDES))
    if ORDER > 0 and not AFTER:
        value = _rotated(value, signs, None, columns, factor, NUMBERS, ORDER)
    if scale is not None:
        step = tl.load(scale + row)
        value = _clipped(_rounded(tl.div_rn(value, step), FLOORS), low, high) * step
    if ORDER > 0 and AFTER:
        value = _rotated(value, signs, None, columns, factor, NUMBERS, ORDER)
    tl.store(y + at, value, mask=inside)


@triton.jit(do_not_specialize=OF_EVERY_SIZE)
def _activation_backward_kernel(
    x, grad, grad_x, sums, values, slopes, unit, bins, least, most, offset, last, signs, channels,
    factor, scale, low, high, share, chunks,
    NUMBERS: tl.constexpr, ORDER: tl.constexpr, DIVIDES: tl.constexpr, AFTER: tl.constexpr,
    FLOORS: tl.constexpr, PASSES: tl.constexpr,
):  # fmt: skip
    row, start = tl.program_id(0) // chunks, (tl.program_id(0) % chunks).to(tl.int64) * NUMBERS
    lanes = tl.arange(0, NUMBERS)
    inside = lanes < share - start
    columns = _columns(start, lanes, channels, max(ORDER, 1))
    at = row.to(tl.int64) * share + start + lanes
    given = tl.load(grad + at, mask=inside, other=0.0)
    if ORDER > 0 and AFTER:
        given = _rotated(given, None, signs, columns, factor, NUMBERS, ORDER)
    value = tl.load(x + at, mask=inside, other=0.0)
    if values is not None:
        entries = _entries(value, unit, bins, least, most, offset, last, DIVIDES)
    if scale is not None:
        if values is not None:
            value = tl.load(values + entries)
        if ORDER > 0 and not AFTER:
            value = _rotated(value, signs, None, columns, factor, NUMBERS, ORDER)
        step = tl.load(scale + row)
        ratio = tl.div_rn(value, step)
        code = _rounded(ratio, FLOORS)
        kept = _clipped(code, low, high)
        through = given
        if not PASSES:
            through = tl.where(kept == code, given, 0.0)
        terms = tl.where(inside, given * kept - through * ratio, 0.0)
        tl.store(sums + tl.program_id(0), tl.sum(terms, 0))
        given = through
    if ORDER > 0 and not AFTER:
        given = _rotated(given, None, signs, columns, factor, NUMBERS, ORDER)
    if values is not None:
        given = given * tl.load(slopes + entries)
    tl.store(grad_x + at, given, mask=inside)


def transform(
    x: Tensor, before: Tensor | None, behind: Tensor | None, order: int, scale: float
) -> Tensor:
    """``dhq_brevitas::hadamard``."""
    x = x.contiguous()
    y, wide = torch.empty(x.shape, dtype=x.dtype, device=x.device), x.dtype == torch.float64
    if x.numel():
        numbers, options = _launched(order)
        # Numbers are handed over as float32.
        factor = 1.0 if wide else scale
        with torch.cuda.device_of(x):
            _transform_kernel[(triton.cdiv(x.numel(), numbers),)](
                x, y, _held(before, x), _held(behind, x), x.numel(), x.shape[-1], factor,
                NUMBERS=numbers, ORDER=order, TYPE=tl.float64 if wide else tl.float32, **options,
            )  # fmt: skip
    return y.mul_(scale) if wide else y


def activation(x: Tensor, *stages: Any) -> Tensor:
    """``dhq_brevitas::activation`` of stages that fit ``x``."""
    x = x.contiguous()
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    if x.numel():
        grid, values, _, named = _arguments(x, *stages)
        del named["PASSES"]
        with torch.cuda.device_of(x):
            _activation_kernel[grid](x, y, values, **named)
    return y


def activation_backward(grad: Tensor, x: Tensor, *stages: Any) -> tuple[Tensor, Tensor]:
    """``dhq_brevitas::activation_backward`` of stages that fit ``x``."""
    x, grad, scale = x.contiguous(), grad.contiguous(), stages[7]
    grad_x = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    if not x.numel():
        return grad_x, torch.zeros_like(x.new_zeros(()) if scale is None else scale)
    grid, values, slopes, named = _arguments(x, *stages)
    sums = None if scale is None else torch.empty(grid, dtype=torch.float32, device=x.device)
    with torch.cuda.device_of(x):
        _activation_backward_kernel[grid](x, grad, grad_x, sums, values, slopes, **named)
    if sums is None:
        return grad_x, x.new_zeros(())
    totals = sums.view(scale.numel(), -1).sum(1, dtype=torch.float64)
    return grad_x, totals.to(scale.device, torch.float32).view(scale.shape)


def _launched(order: int) -> tuple[int, dict[str, Any]]:
    """Numbers in a program, and how it is run: products are rounded before they are added."""
    numbers = max(order, BLOCK)
    warps = numbers // (32 * PER_THREAD)
    return numbers, {"num_warps": min(warps, 8), "enable_fp_fusion": False}


def _arguments(
    x: Tensor,
    values: Tensor | None,
    slopes: Tensor | None,
    table: list[float],
    signs: Tensor | None,
    order: int,
    factor: float,
    after: bool,
    scale: Tensor | None,
    grid: list[float],
) -> tuple[tuple[int], Tensor | None, Tensor | None, dict[str, Any]]:
    """The grid, values and slopes, and the other arguments by name."""
    numbers, options = _launched(order)
    share = x.numel() if scale is None else x.numel() // scale.numel()
    chunks = triton.cdiv(share, numbers)
    unit, bins, least, most, offset = table or [1.0, 1.0, 0.0, 0.0, 0.0]
    low, high, floors, passes = grid or [0.0, 0.0, 0.0, 0.0]
    named = {
        "unit": unit, "bins": bins, "least": least, "most": most, "offset": int(offset),
        "last": 0 if values is None else len(values) - 4,
        "signs": _held(signs, x), "channels": x.shape[-1] if x.ndim else 1, "factor": factor,
        "scale": _held(scale, x), "low": low, "high": high, "share": share, "chunks": chunks,
        "NUMBERS": numbers, "ORDER": order, "DIVIDES": unit != 1, "AFTER": after,
        "FLOORS": bool(floors), "PASSES": bool(passes),
    }  # fmt: skip
    rows = x.numel() // share
    return (rows * chunks,), _held(values, x), _held(slopes, x), named | options


def _held(numbers: Tensor | None, x: Tensor) -> Tensor | None:
    """Contiguous float numbers where ``x`` is."""
    if numbers is None:
        return None
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    return numbers.detach().to(x.device, dtype).contiguous()
