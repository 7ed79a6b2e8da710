# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Grids: coordinates of every point as exact integers."""

from collections.abc import Sequence

import numpy as np


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
