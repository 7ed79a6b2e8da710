# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Functions of one variable, as trees of PyTorch's elementwise operators.

An expression is called with a tensor, in its precision and on its device, and differentiates as any
PyTorch code does. Of its structure two things are read: whether it is a·x + b, and its period.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import torch
from torch import Tensor

__all__ = ["Constant", "Expression", "X", "line_of", "period_of"]

# Of two periods whose ratio is p/q with q up to this, a common multiple is a period, too.
MAX_RATIO = 64


@dataclass(frozen=True)
class Constant:
    """A number where an operator wants a tensor."""

    value: float

    def __repr__(self) -> str:
        return repr(self.value)


@dataclass(frozen=True, eq=False)
class Expression:
    """``operator(*args, **options)``, elementwise; the variable itself has the operator "x".

    Attributes:
        operator: of ``torch.ops.aten``, with its overload, such as "sin.default".
        args: expressions, constants, and whatever else the operator takes.
        options: keyword arguments, as pairs.
    """

    operator: str = "x"
    args: tuple[Any, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()

    def __call__(self, x: Tensor) -> Tensor:
        return self._value(x, {}).to(x.dtype)  # a comparison gives bool

    def _value(self, x: Tensor, known: dict[int, Tensor]) -> Tensor:
        if self.operator == "x":
            return x
        if id(self) not in known:
            values = [
                arg._value(x, known)
                if isinstance(arg, Expression)
                else torch.tensor(arg.value, dtype=x.dtype, device=x.device)
                if isinstance(arg, Constant)
                else arg
                for arg in self.args
            ]
            known[id(self)] = _function(self.operator)(*values, **dict(self.options))
        return known[id(self)]

    @property
    def name(self) -> str:
        """The operator without its overload."""
        return self.operator.split(".")[0]

    def __repr__(self) -> str:
        """Such as ``sin(mul(x, 30))``."""
        if self.operator == "x":
            return "x"
        options = [f"{name}={value!r}" for name, value in self.options]
        return f"{self.name}({', '.join([*map(repr, self.args), *options])})"

    def of(self, inner: "Expression") -> "Expression":
        """This function of ``inner`` instead of x."""
        return self._replaced(inner, {})

    def _replaced(self, inner: "Expression", known: dict[int, "Expression"]) -> "Expression":
        if self.operator == "x":
            return inner
        if id(self) not in known:
            args = tuple(
                a._replaced(inner, known) if isinstance(a, Expression) else a for a in self.args
            )
            known[id(self)] = Expression(self.operator, args, self.options)
        return known[id(self)]

    def scaled(self, scale: float, shift: float) -> "Expression":
        """scale · self + shift."""
        result = self
        if scale != 1:
            result = Expression("mul.Tensor", (result, scale))
        if shift != 0:
            result = Expression("add.Tensor", (result, shift))
        return result


X = Expression()
"""The variable."""


@cache
def _function(operator: str) -> Callable[..., Tensor]:
    name, overload = operator.split(".")
    return getattr(getattr(torch.ops.aten, name), overload)


def _number(arg: Any) -> float | None:
    if isinstance(arg, Constant):
        return arg.value
    return float(arg) if isinstance(arg, int | float) else None


def line_of(fn: Any) -> tuple[float, float] | None:
    """(a, b) if ``fn`` is a·x + b; a constant has a = 0."""
    number = _number(fn)
    if number is not None:
        return 0.0, number
    if not isinstance(fn, Expression):
        return None
    if fn.operator == "x":
        return 1.0, 0.0
    lines = [line_of(arg) for arg in fn.args[:2]]
    if None in lines or fn.name not in ("mul", "add", "sub", "rsub", "div", "neg"):
        return None
    (a, b), (c, d) = (lines[0], lines[1] if len(lines) > 1 else (0.0, 0.0))  # type: ignore[misc]
    alpha = float(dict(fn.options).get("alpha", 1))
    match fn.name:
        case "neg":
            return -a, -b
        case "add":
            return a + alpha * c, b + alpha * d
        case "sub":
            return a - alpha * c, b - alpha * d
        case "rsub":
            return c - alpha * a, d - alpha * b
        case "mul" if a == 0 or c == 0:
            return a * d + b * c, b * d
        case "div" if c == 0 and d != 0 and len(fn.args) == 2 and not fn.options:
            return a / d, b / d
    return None


def period_of(fn: Any) -> float | None:
    """A period of ``fn`` that its structure shows: 0 for a constant, None if it shows none."""
    if not isinstance(fn, Expression):
        return 0.0
    if fn.operator == "x":
        return None
    line = line_of(fn.args[0]) if fn.args else None
    own = {"sin": 2 * math.pi, "cos": 2 * math.pi, "tan": math.pi, "frac": 1.0}.get(fn.name)
    if fn.name == "remainder":
        own = _number(fn.args[1])
    if own and line is not None and line[0] != 0 and (fn.name != "frac"):
        return abs(own / line[0])
    return _common([period_of(arg) for arg in fn.args])


def _common(periods: list[float | None]) -> float | None:
    """The least common multiple; None if one of them is none, or there is no such multiple."""
    result = 0.0
    for period in periods:
        if period is None:
            return None
        if period == 0 or result == 0:
            result = result or period
            continue
        ratio = Fraction(result / period).limit_denominator(MAX_RATIO)
        if abs(result / period - ratio) > 1e-9 * ratio or not 0 < ratio.numerator <= MAX_RATIO:
            return None
        result *= ratio.denominator
    return result
