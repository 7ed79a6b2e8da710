# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Denoising: a picture from itself with noise."""

import numpy as np

from dhq_brevitas.signals.grid import grid_step
from dhq_brevitas.signals.metrics import psnr
from dhq_brevitas.signals.tasks.base import Problem, Request, Task
from dhq_brevitas.signals.tasks.picture import SIZE, SOURCE, compare, picture_of, write

__all__ = ["TASK"]


def load(request: Request) -> Problem:
    """Every pixel is given with normal noise of standard deviation ``noise`` (of a range of 2)."""
    sigma = request.parameters["noise"]
    if not sigma > 0:
        raise ValueError(f"noise={sigma} must be positive: the standard deviation, range 2")
    picture, codes, values = picture_of(request)
    noise = np.random.default_rng(request.seed).normal(0, sigma, values.shape)
    noisy = np.clip(values + noise, -1, 1).astype(np.float32)
    return Problem(
        "denoising",
        picture.name,
        codes,
        values,
        picture.shape,
        grid_step(picture.shape),
        fit_values=noisy,
        results={"psnr_given": psnr(values, noisy)},
        details={"given": "given"},
        notes=picture.notes,
    )


TASK = Task("denoising", SOURCE, SIZE, load, write, compare, parameters={"noise": 0.2})
