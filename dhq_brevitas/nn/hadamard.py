# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The Walsh-Hadamard transform of the last axis of a tensor, and its integer reference.

:func:`hadamard_transform` (PyTorch) runs compiled code on CPUs and CUDA
(:mod:`dhq_brevitas.nn.hadamard_kernel`) or multiplies by the two factors of a Kronecker product
H = H_l ⊗ H_r. Both are tested exactly against :func:`hadamard_transform_int`, a butterfly in NumPy
int64.
"""

import math
import operator
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dhq_brevitas.nn import hadamard_kernel

__all__ = [
    "MAX_ORDER",
    "hadamard_matrix",
    "hadamard_transform",
    "hadamard_transform_int",
    "largest_order",
    "random_signs",
]

MAX_ORDER = 4096
"""Largest supported order."""

_FLOAT_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# Up to this order one dense GEMM is faster than two small ones.
_MAX_DENSE_ORDER = 64
# Larger CPU tensors go in pieces of this many elements: the memory of the intermediate product is
# then reused rather than mapped anew, which takes as long as the arithmetic. Smaller pieces gain
# nothing and synchronize the threads more often, which hurts where other programs want the cores.
_CHUNK_ELEMENTS = 1 << 22

_factors: dict[tuple[int, torch.dtype, torch.device], Tensor] = {}


def largest_order(size: int) -> int:
    """Largest power of two that divides ``size``, at most ``MAX_ORDER``: 96 -> 32, odd -> 1.

    Raises ValueError for ``size`` below 1.
    """
    size = _integer("size", size)
    if size < 1:
        raise ValueError(f"size={size} has no transform; give a size of at least 1")
    return min(size & -size, MAX_ORDER)


def random_signs(size: int, seed: int) -> Tensor:
    """Reproducible ±1 signs: float32 tensor of shape [size] on the CPU.

    Sign i is the top bit of raw output i of NumPy's PCG64 seeded with ``seed``, a stream that NumPy
    guarantees to be the same on every platform and in every version; PyTorch's global generator is
    neither read nor advanced. Raises ValueError for a negative ``size`` or ``seed``.
    """
    size, seed = _integer("size", size), _integer("seed", seed)
    if size < 0 or seed < 0:
        raise ValueError(f"size={size}, seed={seed}: both must be at least 0")
    top_bits = np.random.PCG64(seed).random_raw(size) >> np.uint64(63)
    return torch.from_numpy(1.0 - 2.0 * top_bits).to(torch.float32)


def hadamard_matrix(
    order: int,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> Tensor:
    """The ±1 Hadamard matrix of shape [order, order] in Sylvester (natural) order.

    H_1 = [1], H_2n = [[H_n, H_n], [H_n, -H_n]]; symmetric, H·H = order·I. Raises ValueError unless
    ``order`` is a power of two from 1 to ``MAX_ORDER``.
    """
    matrix = torch.ones(1, 1, dtype=dtype, device=device)
    for _ in range(_checked_order(order).bit_length() - 1):
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix


def hadamard_transform(
    x: Tensor,
    *,
    order: int | None = None,
    signs: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """Block-diagonal Walsh-Hadamard transform of the last axis.

        y = (x · D) (I ⊗ H) · scale

    with H the ±1 matrix of ``order`` in Sylvester order, D = diag(signs) and n/order blocks, n the
    size of the last axis. Without signs the default is an involution, and orthonormal with them:
    the inverse is ``hadamard_transform(y, order=order) * signs``.

    Args:
        x: float16, bfloat16, float32 or float64 tensor of shape [..., n]; leading axes may be
            missing or empty.
        order: block size, a power of two from 1 to 4096 that divides n. None means n, which must
            then be a power of two itself; ``order=largest_order(n)`` always works.
        signs: constant ±1 tensor of shape [n] (no gradient flows to it), None for all +1.
        scale: finite factor. None means 1/√order (orthonormal), 1.0 the unnormalized transform.

    Returns:
        A new tensor with the shape, dtype and device of ``x``.

    Accuracy: sums are taken in float32 (float64 for float64). For float32 inputs that are integers
    times one power of two and whose block sums stay below 2^24 the result is exact if ``scale`` is
    a power of two. float16 and bfloat16 are widened and rounded once, to nearest even: the result
    is within half a unit in the last place of the exact one, plus float32's own error, and
    overflows only if the result itself does. Autocast does not apply. Exactness ends where PyTorch
    is told to shorten float32 products (``torch.set_float32_matmul_precision`` not "highest").

    Differentiable any number of times and in forward mode; traceable by torch.compile(fullgraph),
    torch.export and torch.jit.trace. No row depends on the number of rows or threads, and CUDA
    gives what CPUs give; without a C++ compiler (CPU) or Triton (CUDA), and in exported programs,
    sums are taken in another order.

    Raises:
        TypeError: ``x`` or ``signs`` is no tensor of a floating-point dtype named above.
        ValueError: no last axis, bad ``order``, ``scale`` not finite, ``signs`` of another shape or
            with another value than ±1 (values are not looked at on CUDA, where that would stall the
            device, nor while tracing).
    """
    _check_float_tensor("x", x)
    order = _block_order(int(x.shape[-1]), order)
    if scale is None:
        scale = 1 / math.sqrt(order)
    elif not math.isfinite(scale):
        raise ValueError(f"scale={scale} is not finite; use None for 1/sqrt(order), or a number")
    if signs is not None:
        signs = _checked_signs(signs, x)
    tracing, compiled = _is_tracing(), _compiled_kernel(x)
    if tracing and compiled:
        return hadamard_kernel.transform(x, signs, None, order, scale)
    if not tracing and (compiled or _works_in_chunks(x, order)):
        return _EagerTransform.apply(x, signs, None, order, scale)
    return _transform(x, signs, order, scale)


def hadamard_transform_int(
    codes: np.ndarray, *, order: int | None = None, signs: np.ndarray | None = None
) -> np.ndarray:
    """Exact unnormalized transform (x · D) (I ⊗ H) of integers; the reference for all others.

    A butterfly in int64, sharing no arithmetic with :func:`hadamard_transform`.

    Args:
        codes: integer array of shape [..., n].
        order: as in :func:`hadamard_transform`.
        signs: ±1 integer array of shape [n], None for all +1.

    Returns:
        int64 array of the shape of ``codes``. b-bit signed codes grow to b + log2(order) bits.

    Raises:
        TypeError: ``codes`` or ``signs`` is not an integer NumPy array.
        ValueError: no last axis, bad ``order`` or ``signs``, or sums that could exceed int64.
    """
    for name, array in (("codes", codes), ("signs", signs)):
        if array is None and name == "signs":
            continue
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "iu":
            raise TypeError(
                f"{name} must be an integer NumPy array, got {_described(array)}; "
                "use hadamard_transform for floating-point tensors"
            )
    if codes.ndim == 0:
        raise ValueError("codes has no axis to transform; give an array of shape [..., n]")
    size = codes.shape[-1]
    order = _block_order(size, order)
    peak = max(abs(int(codes.min())), abs(int(codes.max()))) if codes.size else 0
    if peak * order >= 1 << 63:
        raise ValueError(f"codes up to {peak} with order={order} overflow int64; use fewer bits")
    y = codes.astype(np.int64)
    if signs is not None:
        if signs.shape != (size,) or not np.isin(signs, (-1, 1)).all():
            raise ValueError(f"signs must be [{size}] values -1 or +1, got shape {signs.shape}")
        y = y * signs.astype(np.int64)
    span = 1
    while span < order:
        pairs = y.reshape(-1, size // (2 * span), 2, span)
        y = np.stack([pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]], axis=2)
        span *= 2
    return y.reshape(codes.shape)


def _split(order: int) -> tuple[int, int]:
    """Orders (left, right) of the factors H = H_left ⊗ H_right; left is 1 for a dense product."""
    left = 1 if order <= _MAX_DENSE_ORDER else 1 << (order.bit_length() - 1) // 2
    return left, order // left


def _accumulator(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _transform(
    x: Tensor, signs: Tensor | None, order: int, scale: float, out: Tensor | None = None
) -> Tensor:
    """(x · D) (I ⊗ H_left ⊗ H_right) · scale in plain tensor operations.

    Rows of ``order`` elements are seen as [left, right] matrices X, so that the transform is
    H_left · X · H_right. The factors have entries ±1: every product is exact, and so is every sum
    of integers below 2^24. A power-of-two scale goes into H_right without harm; any other is
    applied once. ``out``, contiguous and of the accumulator's dtype, receives the result.
    """
    dtype = _accumulator(x.dtype)
    left, right = _split(order)
    scale_is_power_of_two = abs(math.frexp(scale)[0]) == 0.5

    autocast = torch.is_autocast_enabled(x.device.type)
    with torch.autocast(x.device.type, enabled=False) if autocast else nullcontext():
        y = x.to(dtype)
        if signs is not None:
            y = y * signs.to(dtype)
        if left > 1:
            y = y.reshape(-1, left, right)
            y = torch.bmm(_factor(left, dtype, y).expand(y.shape[0], left, left), y)
        factor = _factor(right, dtype, y)
        if scale_is_power_of_two:
            factor = factor * scale
        y = torch.mm(y.reshape(-1, right), factor, out=None if out is None else out.view(-1, right))
        if not scale_is_power_of_two:
            y = torch.mul(y, scale, out=None if out is None else y)
        return y.reshape(x.shape).to(x.dtype)


class _EagerTransform(torch.autograd.Function):
    """((x · before) (I ⊗ H) · scale) · behind by a faster route, and its derivatives.

    They are transforms again (H is symmetric), hence differentiable in their turn.
    """

    @staticmethod
    def forward(
        x: Tensor, before: Tensor | None, behind: Tensor | None, order: int, scale: float
    ) -> Tensor:
        if _compiled_kernel(x):
            return hadamard_kernel.transform(x, before, behind, order, scale)
        y = _in_chunks(x, before, order, scale)
        return y if behind is None else y * behind.to(y.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, before, behind, ctx.order, ctx.scale = inputs
        ctx.save_for_backward(before, behind)
        ctx.save_for_forward(before, behind)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        before, behind = ctx.saved_tensors
        grad = _EagerTransform.apply(grads[0], behind, before, ctx.order, ctx.scale)
        return grad, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        return _EagerTransform.apply(tangents[0], *ctx.saved_tensors, ctx.order, ctx.scale)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], x: Tensor, *rest: Any) -> tuple[Tensor, int]:
        return _EagerTransform.apply(x.movedim(in_dims[0], 0), *rest), 0


def _in_chunks(x: Tensor, signs: Tensor | None, order: int, scale: float) -> Tensor:
    """:func:`_transform` piece by piece."""
    size = x.shape[-1]
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    rows = max(1, _CHUNK_ELEMENTS // size)
    sources = x.reshape(-1, size).split(rows)
    for source, target in zip(sources, y.view(-1, size).split(rows), strict=True):
        if y.dtype == _accumulator(y.dtype):
            _transform(source, signs, order, scale, out=target)
        else:
            target.copy_(_transform(source, signs, order, scale))
    return y


def _is_tracing() -> bool:
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def _compiled_kernel(x: Tensor) -> bool:
    """Whether to run compiled code: on ordinary tensors, and in graphs that are not exported."""
    if _is_tracing():
        exporting = getattr(torch.compiler, "is_exporting", lambda: True)
        usable = not torch.jit.is_tracing() and not exporting()
    else:
        usable = type(x) in (Tensor, torch.nn.Parameter)
    if not usable or x.device.type not in ("cpu", "cuda"):
        return False
    return hadamard_kernel.on_cpu() if x.device.type == "cpu" else hadamard_kernel.on_cuda()


def _works_in_chunks(x: Tensor, order: int) -> bool:
    has_intermediate = _split(order)[0] > 1 or x.dtype != _accumulator(x.dtype)
    return x.device.type == "cpu" and x.numel() > _CHUNK_ELEMENTS and has_intermediate


def _factor(order: int, dtype: torch.dtype, like: Tensor) -> Tensor:
    """The cached ±1 matrix of ``order`` on the device of ``like``.

    Only ordinary tensors are shared between calls: under a tracer or fake tensors the matrix is
    built anew and belongs to the graph, and one made in inference mode could not serve training.
    """
    if _is_tracing() or type(like) not in (Tensor, torch.nn.Parameter):
        return hadamard_matrix(order, dtype, like.device)
    key = (order, dtype, like.device)
    if key not in _factors:
        with torch.inference_mode(False):
            _factors[key] = hadamard_matrix(order, dtype, like.device)
    return _factors[key]


def _integer(name: str, value: object) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name}={value!r} must be an integer") from None


def _checked_order(order: int) -> int:
    value = _integer("order", order)
    if value < 1 or value & (value - 1) or value > MAX_ORDER:
        raise ValueError(
            f"order={value} is not a power of two from 1 to {MAX_ORDER}; "
            "largest_order(size) gives one that divides size"
        )
    return value


def _block_order(size: int, order: int | None) -> int:
    """The order to use for a last axis of ``size``, or an error that says what to do."""
    if size < 1:
        raise ValueError("the last axis is empty; give it at least one element")
    if order is None:
        if size & (size - 1) or size > MAX_ORDER:
            raise ValueError(
                f"the last axis has size {size}, not a power of two up to {MAX_ORDER}; pass order= "
                f"for a block-diagonal transform, e.g. largest_order({size}) = "
                f"{largest_order(size)}"
            )
        return size
    order = _checked_order(order)
    if size % order:
        raise ValueError(
            f"order={order} does not divide the last axis of size {size}; "
            f"the largest that does is largest_order({size}) = {largest_order(size)}"
        )
    return order


def _check_float_tensor(name: str, value: object) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {_described(value)}")
    if value.dtype not in _FLOAT_DTYPES:
        raise TypeError(
            f"{name} has dtype {value.dtype}; use float16, bfloat16, float32 or float64, "
            "or hadamard_transform_int for integer arrays"
        )
    if value.dim() == 0:
        raise ValueError(f"{name} has no axis to transform; give a tensor of shape [..., n]")


def _checked_signs(signs: Tensor, x: Tensor) -> Tensor:
    _check_float_tensor("signs", signs)
    size = x.shape[-1]
    if signs.shape != (size,):
        raise ValueError(f"signs must have shape [{size}], got {list(signs.shape)}")
    signs = signs.detach()
    readable = not _is_tracing() and signs.device.type == "cpu" and type(signs) is Tensor
    if readable and not bool((signs.abs() == 1).all()):
        raise ValueError(f"signs must be -1 or +1 throughout, got {signs[signs.abs() != 1][0]}")
    return signs


def _described(value: object) -> str:
    dtype = getattr(value, "dtype", None)
    return type(value).__name__ + (f" of {dtype}" if dtype is not None else "")
