# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Ranges: of what tables are addressed with, and of what they give."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dhq_brevitas.nn.activations import PERIOD_TOLERANCE
from dhq_brevitas.signals.grid import CoordinateGrid
from dhq_brevitas.tracing.expressions import Expression, period_of
from dhq_brevitas.tracing.nodes import Node, evaluate

__all__ = ["Domain", "domain_of", "full_ranges", "measured", "power_of_two", "rounded_up"]

CHUNK = 8192
LIMIT_MANTISSA_BITS = 5
POINTS = 1 << 13
# Of the measured range, on either side: quantized layers give slightly other values.
MARGIN = 1 / 32
# Where a function stays within this part of its peak, it is constant for a table of 12 bits.
FLAT = 2.0**-14


def measured(nodes: Sequence[Node], inputs: Sequence[Tensor]) -> dict[Node, tuple[float, float]]:
    """Lowest and highest value of each node on ``inputs`` [samples, width]."""
    found: dict[Node, tuple[float, float]] = {}

    def note(node: Node, value: Tensor) -> None:
        low, high = found.get(node, (math.inf, -math.inf))
        found[node] = (min(low, float(value.min())), max(high, float(value.max())))

    for start in range(0, len(inputs[0]), CHUNK):
        evaluate(nodes, [x[start : start + CHUNK].double() for x in inputs], note)
    return found


@dataclass(frozen=True)
class Domain:
    """Where a function is tabulated, and what it gives there.

    Attributes:
        period: None if it is not periodic.
        middle, half: its range is middle ± half.
        low, high: of its values.
    """

    period: float | None
    middle: float
    half: float
    low: float
    high: float

    @property
    def unit(self) -> float:
        """What one period, or half of the range, is in units of x."""
        return self.half if self.period is None else self.period


def domain_of(fn: Expression, low: float, high: float, where: str) -> Domain:
    """The domain of a function whose variable was measured between ``low`` and ``high``.

    Periodic, if its structure shows a period and its values repeat; else the measured range and a
    margin, without the ends where the function is constant. Raises ValueError, naming the module
    ``where``, for values that are not finite.
    """
    period = period_of(fn)
    if period and _repeats(fn, period):
        y = _values(fn, torch.linspace(0, period, POINTS, dtype=torch.float64), where)
        return Domain(period, 0.0, period / 2, float(y.min()), float(y.max()))
    margin = MARGIN * (high - low) or max(abs(high), 1.0)
    x = torch.linspace(low - margin, high + margin, POINTS, dtype=torch.float64)
    if low >= 0 > float(x[0]) and not bool(torch.isfinite(fn(x[:1])).all()):
        x = torch.linspace(max(low, 0.5 / POINTS * high), high + margin, POINTS).double()
    y = _values(fn, x, where)
    tolerance = FLAT * float(y.abs().max())
    left = _steady((y - y[0]).abs() <= tolerance)
    right = _steady(((y - y[-1]).abs() <= tolerance).flip(0))
    if left + right < POINTS:
        x = x[max(left - 1, 0) : POINTS - max(right - 1, 0)]
    start, end = float(x[0]), float(x[-1])
    return Domain(None, (start + end) / 2, (end - start) / 2, float(y.min()), float(y.max()))


def _steady(same: Tensor) -> int:
    """How many entries are true before the first that is not."""
    return int(torch.cumprod(same.to(torch.int64), dim=0).sum())


def _repeats(fn: Expression, period: float) -> bool:
    x = torch.linspace(-period, period, POINTS, dtype=torch.float64)
    y = fn(x)
    return bool(
        torch.isfinite(y).all()
        and (fn(x + period) - y).abs().max() <= PERIOD_TOLERANCE * y.abs().max()
    )


def _values(fn: Expression, x: Tensor, where: str) -> Tensor:
    y = fn(x).to(torch.float64)
    if not bool(torch.isfinite(y).all()):
        at = float(x[~torch.isfinite(y)][0])
        raise ValueError(
            f"{where}: {fn} is not finite at x = {at:g}, which its inputs come near to; clamp it "
            "before"
        )
    return y


def power_of_two(value: float) -> float:
    """The smallest that is at least ``value``."""
    return 2.0 ** math.ceil(math.log2(value or 1.0))


def rounded_up(limit: float) -> float:
    """``limit`` rounded up to LIMIT_MANTISSA_BITS bits: a sum's last bit does not move it."""
    mantissa, exponent = math.frexp(limit)
    steps = math.ceil(mantissa * 2**LIMIT_MANTISSA_BITS)
    return math.ldexp(max(steps, 1), exponent - LIMIT_MANTISSA_BITS)


def full_ranges(grid: CoordinateGrid, rows: np.ndarray) -> np.ndarray:
    """What 1 stands for on each axis: 2^(bits - 1) spacings, halved while the codes still fit."""
    codes = np.abs(np.rint((rows - grid.origin) / grid.spacing)).max(axis=0)
    spare = np.floor(np.log2((2.0 ** (grid.bits - 1)) / np.maximum(codes, 1)))
    factor = grid.spacing * 2.0 ** (grid.bits - 1 - np.maximum(spare, 0))
    constant = codes == 0
    if constant.any():
        factor[constant] = 1.0 if constant.all() else factor[~constant].max()
    return factor
