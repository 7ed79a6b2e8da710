# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Grids: coordinates as exact integers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dhq_brevitas.inr.layer_plan import MAX_CODE_BITS, MAX_COORDINATE_BITS

__all__ = [
    "CoordinateGrid",
    "code_bits",
    "grid_codes",
    "grid_step",
    "points_of",
    "regular_codes",
    "regularity",
]

SCATTERED_BITS = 12
# Coordinates this far from a grid point, in units of the spacing, are still taken to be on it; of
# float32 numbers those a unit in the last place away, but no further than the second.
GRID_TOLERANCE, MAX_TOLERANCE = 1e-3, 0.25
# Of a grid of more than MAX_CODE_BITS bits, one of so many points must occur: any float32 numbers
# are multiples of some spacing.
SPARSEST = 16


def grid_codes(shape: Sequence[int]) -> np.ndarray:
    """Integer coordinates of every point of a grid, last axis fastest: int64 [points, axes].

    Column i is index - shape[i]//2. The float coordinate of a code is code · :func:`grid_step`.
    """
    _check_shape(shape)
    indices = np.indices(tuple(shape)).reshape(len(shape), -1).T
    return indices - np.array([side // 2 for side in shape])


def grid_step(shape: Sequence[int]) -> float:
    """Distance between grid points, 2 / max(shape): the longest side spans [-1, 1)."""
    _check_shape(shape)
    return 2.0 / max(shape)


def code_bits(codes: np.ndarray) -> int:
    """Signed bits that hold every code, 2 at least."""
    low, high = int(codes.min()), int(codes.max())
    return max(2, 1 + max(max(high, 0).bit_length(), max(-low - 1, 0).bit_length()))


def _check_shape(shape: Sequence[int]) -> None:
    if len(shape) == 0 or min(shape) < 1:
        raise ValueError(f"shape={tuple(shape)}: every side must be at least 1")


@dataclass(frozen=True)
class CoordinateGrid:
    """Coordinates as integers: code = round((coordinate - origin) / spacing), for each axis.

    Attributes:
        origin, spacing: float64 [d].
        step: float coordinate of the network for one code: the longest axis spans about [-1, 1].
        bits: signed bits that hold the codes it was made for.
        rounding: largest distance of a coordinate from its grid point, in spacings; 0 on a grid.
    """

    origin: np.ndarray
    spacing: np.ndarray
    step: float
    bits: int
    rounding: float

    @classmethod
    def of(cls, coordinates: np.ndarray, scattered_bits: int = SCATTERED_BITS) -> "CoordinateGrid":
        """The grid of coordinates [N, d].

        An axis whose values are multiples of one spacing keeps them, exactly. Scattered values are
        rounded to ``scattered_bits`` bits, and so are those that lie on a grid of more than 16
        bits at less than one of 16 of its points, or of more than 24 bits.
        """
        axes = [_axis(column, scattered_bits) for column in coordinates.T]
        origin, spacing, held = (np.array(part) for part in zip(*axes, strict=True))
        exact = (coordinates - origin) / spacing
        codes = np.rint(exact).astype(np.int64)
        extent = int((codes.max(axis=0) - codes.min(axis=0)).max()) + 1
        rounding = float(np.abs(exact - codes)[:, ~held].max(initial=0.0))
        return cls(
            origin,
            spacing,
            2.0 / extent,
            code_bits(codes),
            0.0 if rounding <= GRID_TOLERANCE else rounding,
        )

    def codes(self, coordinates: np.ndarray) -> np.ndarray:
        """int64 [N, d]; ValueError if one does not fit ``bits``."""
        points = points_of(coordinates)
        if points.shape[1] != len(self.origin):
            raise ValueError(
                f"coordinates of shape {np.shape(coordinates)} have {points.shape[1]} axes, the "
                f"network has {len(self.origin)}"
            )
        codes = np.rint((points - self.origin) / self.spacing).astype(np.int64)
        if code_bits(codes) > self.bits:
            low, high = (
                self.origin + self.spacing * end
                for end in (-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1)
            )
            raise ValueError(
                f"coordinates leave the range of the network, {low.tolist()} to {high.tolist()}"
            )
        return codes


def as_array(values: Any) -> np.ndarray:
    """As NumPy's, a tensor that takes part in differentiation, too."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def points_of(coordinates: np.ndarray) -> np.ndarray:
    """Coordinates as float64 [N, d]; ValueError for anything else."""
    array = as_array(coordinates)
    points = array[:, None] if array.ndim == 1 else array
    if points.ndim != 2 or points.size == 0 or array.dtype.kind not in "iuf":
        raise ValueError(
            f"coordinates of shape {array.shape} and type {array.dtype} must be numbers [N] or "
            "[N, axes], a row for each sample"
        )
    points = points.astype(np.float64)
    if not np.isfinite(points).all():
        raise ValueError("coordinates hold NaN or infinity; remove those samples")
    return points


def _axis(values: np.ndarray, scattered_bits: int) -> tuple[float, float, bool]:
    """(origin, spacing, whether the values are its multiples); the middle has code 0."""
    distinct = np.unique(values)
    if len(distinct) == 1:
        return float(distinct[0]), 1.0, True
    extent, gaps = float(distinct[-1] - distinct[0]), np.diff(distinct)
    # From many gaps and the whole extent, so that the rounding of one does not add up.
    points = int(np.rint(gaps / gaps[gaps < 1.5 * gaps.min()].mean()).sum())
    most = MAX_COORDINATE_BITS if points <= SPARSEST * len(distinct) else MAX_CODE_BITS
    if points < 2**most:
        spacing, tolerance = extent / points, GRID_TOLERANCE
        if np.array_equal(distinct.astype(np.float32), distinct):
            last_place = float(np.spacing(np.float32(np.abs(distinct[[0, -1]]).max())))
            tolerance = max(tolerance, min(last_place / spacing, MAX_TOLERANCE))
        steps = (distinct - distinct[0]) / spacing
        if np.abs(steps - np.rint(steps)).max() <= tolerance:
            return float(distinct[0] + spacing * ((points + 1) // 2)), spacing, True
    spacing = extent / (2**scattered_bits - 1)
    return float(distinct[0] + spacing * 2 ** (scattered_bits - 1)), spacing, False


def regularity(codes: np.ndarray, shape: Sequence[int]) -> tuple[list[int], list[int]] | None:
    """(first code, spacing) of every axis, for :func:`regular_codes` to give ``codes`` [N, d].

    None where they are no such grid of ``shape``; the spacings are at least 1.
    """
    if len(shape) != codes.shape[1]:
        return None
    strides = np.cumprod([1, *shape[:0:-1]])[::-1]
    start = codes[0]
    spacing = [
        int(codes[stride, axis] - start[axis]) if shape[axis] > 1 else 1
        for axis, stride in enumerate(strides)
    ]
    found = start.tolist(), spacing
    regular = min(spacing) > 0 and np.array_equal(regular_codes(shape, *found), codes)
    return found if regular else None


def regular_codes(shape: Sequence[int], start: Sequence[int], spacing: Sequence[int]) -> np.ndarray:
    """start + spacing · index of every point of a grid, last axis fastest: int64 [points, axes]."""
    indices = np.indices(tuple(shape)).reshape(len(shape), -1).T
    return np.asarray(start) + np.asarray(spacing) * indices
