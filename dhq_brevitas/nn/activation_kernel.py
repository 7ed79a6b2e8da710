# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What stands between two matrix products in training, as one operator: ``activation``.

    u = values[code(x)]          a function by its table (:class:`Table`), or u = x
    v = u R                      R = D (I ⊗ H) · factor, or v = u
    y = s · clip(round(v / s))   (:class:`Grid`); with ``after`` u is quantized, and then rotated

activation.cpp takes each block of numbers through all of it while that is in the cache, and keeps
nothing but x for the gradients, which pass straight through the rounding:

    dy/dv = 1 where the code is not clipped, or everywhere (``passes``), and 0 elsewhere
    dy/ds = clip(round(v / s)) - dy/dv · v / s;   du/dx = slopes[code(x)]

It is compiled like the transform's (:mod:`dhq_brevitas.nn.hadamard_kernel`). On CUDA
triton_kernels.py does the same.
"""

import ctypes
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dhq_brevitas.nn.hadamard_kernel import built, kernels_for, on_cuda
from dhq_brevitas.nn.rotation import Rotation

__all__ = ["FakeQuantize", "Grid", "Table", "activation", "in_kernel"]

SOURCE = Path(__file__).with_name("activation.cpp")
OPERATOR = "dhq_brevitas::activation"
STAGES = (
    "Tensor? values, Tensor? slopes, float[] table, Tensor? signs, int order, float factor, "
    "bool after, Tensor? scale, float[] grid"
)


@dataclass(frozen=True)
class Table:
    """A function that depends on x by its code ⌊x / unit · bins⌋ alone.

    ``values`` and ``slopes`` (of f in x) are float32 [2^P + 3]: at (code + offset) mod 2^P those of
    a code, and behind them those of all codes below ``least``, above ``most``, and of NaN.
    """

    values: Tensor
    slopes: Tensor
    unit: float
    bins: float
    least: float
    most: float
    offset: int

    @classmethod
    def of(
        cls,
        values: Tensor,
        slopes: Tensor,
        *,
        unit: float,
        bins: float,
        least: float,
        most: float,
        offset: int,
        passes: bool,
    ) -> "Table":
        """Of values and slopes [2^P] of all codes; the others are clipped to ``least``, ``most``.

        Clipped codes have gradients with ``passes``, else none.
        """
        ends = [int(least) + offset, int(most) + offset]
        ends = [end % len(values) for end in ends]
        outside = values.new_tensor([math.nan])
        kept = slopes[ends] if passes else torch.zeros_like(slopes[ends])
        values = torch.cat([values, values[ends], outside]).to(torch.float32)
        slopes = torch.cat([slopes, kept, outside]).to(torch.float32)
        if math.frexp(unit)[0] == 0.5:  # a power of two: the same numbers without a division
            unit, bins = 1.0, bins / unit
        return cls(values, slopes, unit, bins, least, most, offset)

    @property
    def numbers(self) -> list[float]:
        return [self.unit, self.bins, self.least, self.most, float(self.offset)]


@dataclass(frozen=True)
class Grid:
    """Codes ``low`` … ``high``; ``floors``: rounded downwards; ``passes``: see above."""

    low: float
    high: float
    floors: bool
    passes: bool

    @property
    def numbers(self) -> list[float]:
        return [self.low, self.high, float(self.floors), float(self.passes)]


def in_kernel(x: Tensor) -> bool:
    """Whether the operator takes ``x``; the first call in a process may compile it for seconds."""
    if x.dtype != torch.float32 or x.device.type not in ("cpu", "cuda"):
        return False
    return _usable() if x.device.type == "cpu" else on_cuda()


# A compiler that captures a graph takes the answer for a constant.
@torch.compiler.assume_constant_result
def _usable() -> bool:
    return _library() is not None


def activation(
    x: Tensor,
    *,
    table: Table | None = None,
    rotation: Rotation | None = None,
    after: bool = False,
    scale: Tensor | None = None,
    grid: Grid | None = None,
) -> Tensor:
    """y as above, a new contiguous tensor [..., n] like the float32 ``x``, on CPUs or CUDA.

    ``rotation`` acts on the last axis; ``scale`` holds one number, or (without ``rotation`` and
    ``table``) one for each of as many equal parts of ``x``. Compiles, and differentiates backwards.
    """
    rotation = Rotation() if rotation is None else rotation
    rotates = rotation.side.of_inputs and rotation.order > 1
    return torch.ops.dhq_brevitas.activation(
        x,
        *((None, None, []) if table is None else (table.values, table.slopes, table.numbers)),
        rotation.signs if rotates else None,
        rotation.order if rotates else 0,
        rotation.other_scale,
        after,
        scale,
        [] if grid is None else grid.numbers,
    )


class FakeQuantize(torch.autograd.Function):
    """The quantizer alone, in PyTorch: y = s·clip(round(x / s)), gradients as those above.

    ``apply(x, scale, grid)`` for floating-point ``x``, with a ``scale`` that broadcasts to it.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, grid: Grid) -> Tensor:
        ctx.save_for_backward(x, scale)
        ctx.grid = grid
        return _rounded(x / scale, grid).clamp(grid.low, grid.high) * scale

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (x, scale), grid = ctx.saved_tensors, ctx.grid
        ratio = x / scale
        codes = _rounded(ratio, grid)
        clipped = (codes < grid.low) | (codes > grid.high)
        passes = grad if grid.passes else torch.where(clipped, 0, grad)
        grad_scale = None
        if ctx.needs_input_grad[1]:
            terms = grad * codes.clamp(grid.low, grid.high) - passes * ratio
            grad_scale = terms.sum_to_size(scale.shape)
        return passes, grad_scale, None


def _rounded(x: Tensor, grid: Grid) -> Tensor:
    return torch.floor(x) if grid.floors else torch.round(x)


class _Stages(ctypes.Structure):
    """Of activation.cpp."""

    _fields_ = [
        ("values", ctypes.c_void_p),
        ("slopes", ctypes.c_void_p),
        *((name, ctypes.c_float) for name in ("unit", "bins", "least", "most")),
        ("offset", ctypes.c_int32),
        ("mask", ctypes.c_int32),
        ("signs", ctypes.c_void_p),
        ("order", ctypes.c_int64),
        ("period", ctypes.c_int64),
        ("factor", ctypes.c_float),
        ("after", ctypes.c_bool),
        ("scale", ctypes.c_void_p),
        ("scales", ctypes.c_int64),
        ("low", ctypes.c_float),
        ("high", ctypes.c_float),
        ("floors", ctypes.c_bool),
        ("passes", ctypes.c_bool),
    ]


def _channels(x: Tensor, *stages: Any) -> int:
    """Size of the last axis, which the stages have to fit."""
    values, _, _, signs, order, _, _, scale, _ = stages
    size = x.shape[-1] if x.ndim else 1
    if order and (size % order or (signs is not None and len(signs) != size)):
        raise ValueError(f"x has {size} channels, which do not fit a rotation of order {order}")
    alone = not order and values is None
    if scale is not None and (x.numel() % scale.numel() or not (alone or scale.numel() == 1)):
        raise ValueError(f"{scale.numel()} scales do not share out {x.numel()} numbers")
    return size


def _stages(x: Tensor, *stages: Any) -> tuple[_Stages, list[Tensor | None]]:
    """And what has to be kept while they are in use."""
    size = _channels(x, *stages)
    values, slopes, table, signs, order, factor, after, scale, grid = stages
    tensors = [
        None if t is None else t.to(torch.float32).contiguous()
        for t in (values, slopes, signs, scale)
    ]
    pointers = [None if t is None else t.data_ptr() for t in tensors]
    found = _Stages(signs=pointers[2], order=order, factor=factor, after=after, scale=pointers[3])
    found.period = size // order if order else 1
    if values is not None:
        found.values, found.slopes, found.mask = pointers[0], pointers[1], len(values) - 4
        found.unit, found.bins, found.least, found.most = table[:4]
        found.offset = int(table[4])
    if scale is not None:
        found.scales, found.low, found.high = scale.numel(), grid[0], grid[1]
        found.floors, found.passes = map(bool, grid[2:])
    return found, tensors


def _run(x: Tensor, *stages: Any) -> Tensor:
    library, x = _loaded(), x.contiguous()
    y = torch.empty(x.shape)
    if x.numel():
        found, _kept = _stages(x, *stages)
        pointers = ctypes.byref(found), x.data_ptr(), y.data_ptr()
        library.dhq_activation(*pointers, x.numel(), torch.get_num_threads())
    return y


def _run_backward(grad: Tensor, x: Tensor, *stages: Any) -> tuple[Tensor, Tensor]:
    library, x, grad = _loaded(), x.contiguous(), grad.contiguous()
    scale = stages[7]
    grads = torch.empty(x.shape), torch.zeros(() if scale is None else scale.shape)
    if x.numel():
        found, _kept = _stages(x, *stages)
        pointers = (t.data_ptr() for t in (x, grad, *grads))
        library.dhq_activation_backward(
            ctypes.byref(found), *pointers, x.numel(), torch.get_num_threads()
        )
    return grads


def _run_on_cuda(x: Tensor, *stages: Any) -> Tensor:
    _channels(x, *stages)
    y: Tensor = kernels_for(OPERATOR).activation(x, *stages)
    return y


def _run_backward_on_cuda(grad: Tensor, x: Tensor, *stages: Any) -> tuple[Tensor, Tensor]:
    _channels(x, *stages)
    grads: tuple[Tensor, Tensor] = kernels_for(OPERATOR).activation_backward(grad, x, *stages)
    return grads


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, values, slopes, ctx.table, signs, ctx.order, ctx.factor, ctx.after, scale, ctx.grid = inputs
    ctx.save_for_backward(x, values, slopes, signs, scale)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, values, slopes, signs, scale = ctx.saved_tensors
    rotation = signs, ctx.order, ctx.factor, ctx.after
    grad_x, grad_scale = torch.ops.dhq_brevitas.activation_backward(
        grad, x, values, slopes, ctx.table, *rotation, scale, ctx.grid
    )
    wants_scale = scale is not None and ctx.needs_input_grad[8]
    return grad_x, *[None] * 7, grad_scale if wants_scale else None, None


if not hasattr(torch.ops.dhq_brevitas, "activation"):  # this module may be imported anew
    torch.library.define("dhq_brevitas::activation", f"(Tensor x, {STAGES}) -> Tensor")
    torch.library.impl("dhq_brevitas::activation", "cpu", _run)
    torch.library.impl("dhq_brevitas::activation", "cuda", _run_on_cuda)
    torch.library.register_fake("dhq_brevitas::activation", lambda x, *_: x.new_empty(x.shape))
    torch.library.register_autograd("dhq_brevitas::activation", _backward, setup_context=_save)
    torch.library.define(
        "dhq_brevitas::activation_backward",
        f"(Tensor grad, Tensor x, {STAGES}) -> (Tensor, Tensor)",
    )
    torch.library.impl("dhq_brevitas::activation_backward", "cpu", _run_backward)
    torch.library.impl("dhq_brevitas::activation_backward", "cuda", _run_backward_on_cuda)
    torch.library.register_fake(
        "dhq_brevitas::activation_backward",
        lambda grad, x, *stages: (
            x.new_empty(x.shape),
            x.new_empty(() if stages[7] is None else stages[7].shape),
        ),
    )


def _loaded() -> ctypes.CDLL:
    library = _library()
    if library is None:
        raise RuntimeError("dhq_brevitas::activation was called without its compiled kernel")
    return library


@cache
def _library() -> ctypes.CDLL | None:
    library = built(SOURCE, "training of quantized networks", "about a third slower")
    if library is not None:
        pointers, sizes = [ctypes.c_void_p] * 5, [ctypes.c_int64, ctypes.c_int]
        library.dhq_activation.argtypes = [*pointers[:3], *sizes]
        library.dhq_activation_backward.argtypes = [*pointers, *sizes]
        library.dhq_activation.restype = library.dhq_activation_backward.restype = None
    return library
