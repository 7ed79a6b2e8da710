# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Float networks of pictures for benchmarks that need no run folder."""

from typing import Any

import numpy as np

import dhq_brevitas as dhq
from dhq_brevitas.signals.pictures import load_image


def fit_picture(picture: str, size: int, **options: Any) -> dhq.Fitted:
    """:func:`dhq_brevitas.fit` of a picture's pixels, ``size`` on the longer side."""
    pixels = load_image(picture, size=size).pixels
    points = np.indices(pixels.shape[:2]).reshape(2, -1).T
    return dhq.fit(points, pixels.reshape(len(points), -1), **options)
