# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Inpainting: a picture from a part of its pixels."""

import numpy as np

from dhq_brevitas.signals.grid import grid_step
from dhq_brevitas.signals.tasks.base import Problem, Request, Task
from dhq_brevitas.signals.tasks.picture import SIZE, SOURCE, compare, picture_of, write

__all__ = ["TASK"]


def load(request: Request) -> Problem:
    """A random part ``kept`` of the pixels is given."""
    part = request.parameters["kept"]
    if not 0 < part < 1:
        raise ValueError(f"kept={part} must be between 0 and 1: the part of the pixels given")
    picture, codes, values = picture_of(request)
    order = np.random.default_rng(request.seed).permutation(len(codes))
    kept = np.sort(order[: max(1, round(part * len(codes)))])
    return Problem(
        "inpainting",
        picture.name,
        codes,
        values,
        picture.shape,
        grid_step(picture.shape),
        fit_codes=codes[kept],
        fit_values=values[kept],
        details={"given": "given"},
        notes=picture.notes,
    )


TASK = Task("inpainting", SOURCE, SIZE, load, write, compare, parameters={"kept": 0.5})
