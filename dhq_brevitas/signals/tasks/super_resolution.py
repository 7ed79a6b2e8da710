# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Super-resolution: a picture from one of half its size."""

import numpy as np

from dhq_brevitas.signals.metrics import psnr
from dhq_brevitas.signals.tasks.base import Problem, Request, Task
from dhq_brevitas.signals.tasks.picture import SIZE, SOURCE, compare, picture_of, write

__all__ = ["TASK"]


def load(request: Request) -> Problem:
    """Means of 2 x 2 pixels are given; codes count half pixels, so that their centers have codes.

    Pixel i of a side of n has the code 2i + 1 - n, block j of two pixels 4j + 2 - n. An odd last
    row or column is left out.
    """
    picture, _, _ = picture_of(request)
    rows, columns = (side // 2 for side in picture.shape)
    pixels = picture.pixels[: 2 * rows, : 2 * columns]
    shape = (2 * rows, 2 * columns)
    coarse = pixels.reshape(rows, 2, columns, 2, -1).mean(axis=(1, 3))
    fine_codes = _centerd(shape, 2)
    return Problem(
        "super-resolution",
        picture.name,
        fine_codes,
        pixels.reshape(-1, picture.channels),
        shape,
        1.0 / max(shape),
        fit_codes=_centerd((rows, columns), 4),
        fit_values=coarse.reshape(-1, picture.channels),
        results={"psnr_given": psnr(pixels, coarse.repeat(2, axis=0).repeat(2, axis=1))},
        details={"given": "given", "coarse": [rows, columns], "repeat": rows * columns},
        notes=picture.notes,
    )


def _centerd(shape: tuple[int, int], spacing: int) -> np.ndarray:
    """Codes of grid points ``spacing`` apart with 0 in the middle."""
    indices = np.indices(shape).reshape(2, -1).T
    return indices * spacing - (np.array(shape) - 1) * (spacing // 2)


TASK = Task("super-resolution", SOURCE, SIZE, load, write, compare)
