# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What ATen's operators do to values; whatever is not here is refused, with the user's module.

==============  ====================================================================================
operators       effect
==============  ====================================================================================
of constants    computed, in float64
moving          done on the index: view, permute, slice, expand, pixel_shuffle, …
linear          linear, mm, matmul, addmm, einsum, 1 x 1 convolutions, sum and mean over channels
affine          add, sub, mul, div, neg with constants; batch_norm in evaluation mode
elementwise     everything that PyTorch tags as pointwise; prelu, glu
two values      add, sub, mul, div; others only where both are functions of one variable
side by side    cat, stack
==============  ====================================================================================
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx

from dhq_brevitas.tracing.algebra import Algebra
from dhq_brevitas.tracing.capture import line_of_code, owner, where
from dhq_brevitas.tracing.expressions import Constant, Expression, X
from dhq_brevitas.tracing.linear_maps import LINEAR
from dhq_brevitas.tracing.refusals import remedy
from dhq_brevitas.tracing.values import (
    MixedSamples,
    Value,
    by_slot,
    in_lead,
    joined,
    plain,
    uniform,
)

__all__ = ["apply"]

SAME = frozenset(("alias", "clone", "contiguous", "detach", "dropout", "lift_fresh_copy", "lift"))
# fmt: off
MOVING = frozenset((
    "_reshape_alias", "_unsafe_view", "chunk", "diagonal", "expand", "expand_as", "flatten",
    "flip", "index_select", "movedim", "narrow", "numpy_T", "permute", "pixel_shuffle",
    "pixel_unshuffle", "repeat", "reshape", "roll", "select", "slice", "split",
    "split_with_sizes", "squeeze", "swapaxes", "t", "tile", "transpose", "unbind", "unflatten",
    "unsqueeze", "view",
))
LIKE = frozenset((
    "empty_like", "fill", "full_like", "new_empty", "new_full", "new_ones", "new_zeros",
    "ones_like", "zeros_like",
))
# Elementwise, but not tagged as that.
ELEMENTWISE = frozenset((
    "celu", "elu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "log_sigmoid",
    "mish", "prelu", "relu6", "rrelu", "selu", "softplus", "softshrink", "threshold",
))
# fmt: on
AFFINE = frozenset(("add", "sub", "rsub", "mul", "div", "neg"))


def apply(algebra: Algebra, node: fx.Node, args: Sequence[Any], options: dict[str, Any]) -> Any:
    """The result of one operator: a tensor, a :class:`Value`, or a tuple of them.

    ``args``, ``options``: of the operator, with values and float64 constants for the nodes. Raises
    ValueError, naming the user's module, for an operator that hardware has no layer for.
    """
    if node.target is operator.getitem:
        return args[0][args[1]]
    values = [arg for arg in _flat([*args, *options.values()]) if isinstance(arg, Value)]
    if not values:
        return node.target(*args, **options)  # type: ignore[operator]
    name = _name(node)
    if name.startswith(("_assert", "sym_constrain")):
        return None
    algebra.path = owner(node)[0]
    try:
        result = _result(algebra, node, name, args, options)
    except MixedSamples as error:
        raise MixedSamples(_message(node, name, str(error))) from None
    if result is None:
        raise ValueError(_message(node, name, remedy(name, node)))
    return result


def _result(
    algebra: Algebra, node: fx.Node, name: str, args: Sequence[Any], options: dict[str, Any]
) -> Any:
    produced = node.meta.get("val")
    if isinstance(produced, Tensor) and produced.is_complex():
        return None
    if name in SAME:
        return args[0]
    if name in LIKE:
        shape = args[0].index.shape
        return node.target(torch.zeros(shape).double(), *args[1:], **options)  # type: ignore[operator]
    if name == "_to_copy" or name == "to":
        return _converted(algebra, node, args[0])
    if name in MOVING and not any(isinstance(arg, Value) for arg in _flat(args[1:])):
        return _moved(node, args, options)
    if name in LINEAR:
        return LINEAR[name](algebra, *args, **options)
    if name in ("cat", "stack"):
        return _side_by_side(algebra, name, *args, **options)
    if name in OWN:
        return OWN[name](algebra, *args, **options)
    pointwise = torch.Tag.pointwise in node.target.tags  # type: ignore[union-attr]
    if pointwise or name in ELEMENTWISE:
        return _elementwise(algebra, node, name, args, options)
    return None


def _converted(algebra: Algebra, node: fx.Node, value: Value) -> Value:
    """To another type: whole numbers are cut off, and true and false become 1 and 0."""
    given, made = (n.meta.get("val") for n in (node.args[0], node))  # type: ignore[union-attr]
    if isinstance(given, Tensor) and given.dtype == torch.bool:
        return algebra.function(value, Expression("mul.Tensor", (X, 1.0)))
    if isinstance(made, Tensor) and made.is_floating_point():
        return value
    return algebra.function(value, Expression("trunc.default", (X,)))


def _name(node: fx.Node) -> str:
    schema = getattr(node.target, "_schema", None)
    return schema.name.split("::")[-1] if schema is not None else str(node.target)


def _message(node: fx.Node, name: str, problem: str) -> str:
    line = line_of_code(node)
    return f"{where(node)}: {name.strip('_')} {problem}" + (f" [{line}]" if line else "")


def _flat(args: Any) -> list[Any]:
    found: list[Any] = []
    for arg in args:
        found += _flat(arg) if isinstance(arg, list | tuple) else [arg]
    return found


def _moved(node: fx.Node, args: Sequence[Any], options: dict[str, Any]) -> Any:
    value = args[0]
    options = {k: v for k, v in options.items() if k != "memory_format"}
    if _name(node) in ("view", "_unsafe_view"):  # the index may lie otherwise in memory
        return replace(value, index=value.index.reshape(args[1]))
    moved = node.target(value.index, *args[1:], **options)  # type: ignore[operator]
    if isinstance(moved, Tensor):
        return replace(value, index=moved)
    return tuple(replace(value, index=index) for index in moved)


# -- element by element --------------------------------------------------------------------------


def _elementwise(
    algebra: Algebra, node: fx.Node, name: str, args: Sequence[Any], options: dict[str, Any]
) -> Value | None:
    values = [arg for arg in args if isinstance(arg, Value)]
    if any(isinstance(v, Value) for v in options.values()):
        return None
    if len(values) == 1:
        if name in AFFINE:
            found = _affine(algebra, name, args, options)
            if found is not None:
                return found
        return _function(algebra, node, args, options)
    if len(values) == 2 and len(args) == 2 and name in ("add", "sub", "rsub", "mul", "div"):
        return _arithmetic(algebra, name, values, options)
    found = _function(algebra, node, args, options)
    if found is None and name in ("maximum", "minimum"):  # a + relu(b - a), a - relu(a - b)
        one, other = values
        sign = 1 if name == "maximum" else -1
        difference = algebra.add(*((other, one) if sign > 0 else (one, other)), -1)
        rectified = algebra.function(difference, Expression("relu.default", (X,)))
        return algebra.add(one, rectified, sign)
    return found


def _affine(
    algebra: Algebra, name: str, args: Sequence[Any], options: dict[str, Any]
) -> Value | None:
    """With a constant; None for a constant divided by a value, or a division that rounds."""
    if name == "neg":
        minus = -torch.ones_like(args[0].scale)
        return algebra.affine(args[0], minus, torch.zeros_like(minus))
    first = isinstance(args[0], Value)
    value, constant = (args[0], args[1]) if first else (args[1], args[0])
    value, vector = by_slot(value, torch.as_tensor(constant, dtype=torch.float64))
    one, zero = torch.ones_like(vector), torch.zeros_like(vector)
    alpha = float(args[2] if len(args) > 2 else options.get("alpha", 1))
    # a + alpha·b, with b the value or the constant.
    mine, other = (1.0, alpha) if first else (alpha, 1.0)
    match name:
        case "mul":
            return algebra.affine(value, vector, zero)
        case "div" if first and not options.get("rounding_mode"):
            return algebra.affine(value, 1 / vector, zero)
        case "add":
            return algebra.affine(value, mine * one, other * vector)
        case "sub":
            sign = 1 if first else -1
            return algebra.affine(value, sign * mine * one, -sign * other * vector)
        case "rsub":  # b - alpha·a
            mine, other = (-alpha, 1.0) if first else (1.0, -alpha)
            return algebra.affine(value, mine * one, other * vector)
    return None


def _arithmetic(
    algebra: Algebra, name: str, values: Sequence[Value], options: dict[str, Any]
) -> Value | None:
    one, other = values
    alpha = float(options.get("alpha", 1))
    match name:
        case "add":
            return algebra.add(one, other, alpha)
        case "sub":
            return algebra.add(one, other, -alpha)
        case "rsub":
            return algebra.add(other, one, -alpha)
        case "mul":
            return algebra.multiply(one, other)
    if options.get("rounding_mode"):
        return None
    return algebra.multiply(one, algebra.function(other, Expression("reciprocal.default", (X,))))


def _function(
    algebra: Algebra, node: fx.Node, args: Sequence[Any], options: dict[str, Any]
) -> Value | None:
    """An operator whose values are all functions of one variable; None if they are not."""
    values = [arg for arg in args if isinstance(arg, Value)]
    index = values[0].index
    if len(values) > 1:
        first = values[0]
        matched: list[Value] = []
        for value in values[1:]:
            (again, value), index, _ = joined([first, value])
            if again.width != first.width:
                first, matched = again, []
            matched.append(value)
        if any(value.width != first.width for value in matched):
            return None
        values = [first, *matched]
    constants: dict[int, Any] = {}
    for place, arg in enumerate(args):
        if isinstance(arg, Tensor):
            wide, vector = by_slot(replace(values[0], index=index), arg.double())
            number = uniform(vector)
            if number is None or wide.width != values[0].width:
                raise MixedSamples(
                    "is another function in each channel, and one table serves them all; scale and "
                    "shift the channels ahead of one function instead"
                )
            index = wide.index
            constants[place] = Constant(number)
    found = algebra.one_variable(values)
    if found is None:
        return None
    variable, functions = found
    waiting = iter(functions)
    filled = tuple(
        next(waiting) if isinstance(arg, Value) else constants.get(place, arg)
        for place, arg in enumerate(args)
    )
    operator_name = str(node.target).removeprefix("aten.")
    fn = Expression(operator_name, filled, tuple(options.items()))
    return replace(variable, fn=fn, index=index, path=algebra.path)


def _prelu(algebra: Algebra, value: Value, weight: Tensor) -> Value:
    """max(x, 0) + a·min(x, 0); one a channel takes two ReLUs, x's and that of -x."""
    if weight.numel() > 1:
        weight = weight.reshape(1, -1, *[1] * (value.index.ndim - 2))
    value, slopes = by_slot(value, weight)
    slope = uniform(slopes)
    if slope is not None:
        return algebra.function(value, Expression("leaky_relu.default", (X, slope)))
    width = value.width
    eye, zero = torch.eye(width).double(), torch.zeros(width).double()
    both = algebra.linear(value, torch.cat([eye, -eye]), torch.cat([zero, zero]), value.index)
    rectified = algebra.function(both, Expression("relu.default", (X,)))
    weights = torch.cat([eye, -torch.diag(slopes)], dim=1)
    return algebra.linear(rectified, weights, zero, value.index)


def _glu(algebra: Algebra, value: Value, dim: int = -1) -> Value:
    """a · sigmoid(b) of the two halves."""
    halves = [replace(value, index=index).compact() for index in value.index.chunk(2, dim)]
    gate = algebra.function(halves[1], Expression("sigmoid.default", (X,)))
    return algebra.multiply(halves[0], gate)


def _batch_norm(
    algebra: Algebra,
    value: Value,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    momentum: float,
    eps: float,
) -> tuple[Value]:
    """(x - mean) / √(variance + eps) · weight + bias, along axis 1."""
    scale = torch.rsqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    shape = (1, -1, *[1] * (value.index.ndim - 2))
    value, scales = by_slot(value, scale.reshape(shape))
    value = algebra.affine(value, scales, torch.zeros_like(scales))
    value, shifts = by_slot(value, shift.reshape(shape))
    return (algebra.affine(value, torch.ones_like(shifts), shifts),)


OWN: dict[str, Callable[..., Any]] = {
    "prelu": _prelu,
    "glu": _glu,
    "_native_batch_norm_legit_no_training": _batch_norm,
}


# -- side by side --------------------------------------------------------------------------------


def _side_by_side(algebra: Algebra, name: str, tensors: Sequence[Any], dim: int = 0) -> Value:
    """cat and stack of values and constants."""
    if name == "stack":
        tensors = [
            replace(t, index=t.index.unsqueeze(dim)) if isinstance(t, Value) else t.unsqueeze(dim)
            for t in tensors
        ]
    tensors = [t.compact() if isinstance(t, Value) else t for t in tensors]
    values = [t for t in tensors if isinstance(t, Value)]
    lines = [replace(value, index=value.index.select(dim, 0)) for value in values]
    lead, samples = in_lead(lines)
    for value, line in zip(values, lines, strict=True):
        if not torch.equal(value.samples, line.samples.unsqueeze(dim).expand(value.index.shape)):
            raise MixedSamples("puts samples side by side")
    parts: list[Any] = []
    codes: list[Tensor] = []
    start = 0
    for tensor in tensors:
        if isinstance(tensor, Value):
            parts.append(algebra.node(tensor))
            codes.append(tensor.places + start)
            start += tensor.width
        else:
            numbers, which = torch.unique(tensor.double(), return_inverse=True)
            parts.append(numbers)
            codes.append(which + start)
            start += len(numbers)
    node = algebra.cat_node(parts, lead)
    places = torch.cat(codes, dim)
    index = samples.unsqueeze(dim).expand(places.shape) * start + places
    return plain(node, index)
