# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""How near a reconstruction is."""

import numpy as np

__all__ = ["psnr"]


def psnr(reference: np.ndarray, other: np.ndarray, value_range: float = 2.0) -> float:
    """Peak signal-to-noise ratio 10·log10(range² / mean((reference - other)²)) in dB.

    Any two arrays of one shape; the mean is over all samples and channels, in float64.
    ``value_range`` is the full range of the signal, 2 for values in [-1, 1]. Equal arrays
    give infinity.
    """
    if reference.shape != other.shape:
        raise ValueError(f"shapes differ: reference {reference.shape}, other {other.shape}")
    error = np.mean((reference.astype(np.float64) - other.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(value_range**2 / error))
