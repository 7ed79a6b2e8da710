# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Tasks on pictures: fitting, super-resolution, denoising, inpainting."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dhq_brevitas.signals.grid import grid_codes, grid_step
from dhq_brevitas.signals.metrics import psnr
from dhq_brevitas.signals.pictures import (
    Picture,
    load_image,
    save_comparison,
    save_image,
)
from dhq_brevitas.signals.tasks.base import Problem, Request, Task

__all__ = ["DENOISING", "INPAINTING", "PICTURE", "SUPER_RESOLUTION", "compare", "write"]

SOURCE = "picture file, or a name such as astronaut"


def write(problem: Problem, outputs: np.ndarray, stem: Path) -> Path:
    """The picture as .png."""
    path = stem.with_suffix(".png")
    save_image(path, problem.grid(outputs))
    return path


def compare(path: Path, problem: Problem, panels: Sequence[tuple[str, np.ndarray]]) -> None:
    """Original, what was given if that is a picture, reconstructions, difference."""
    shown = [(title, problem.grid(outputs)) for title, outputs in panels]
    given = problem.details.get("given")
    if given is not None:
        shown.insert(0, (given, problem.grid(_given(problem))))
    save_comparison(path, problem.grid(problem.values), shown)


def _given(problem: Problem) -> np.ndarray:
    """What was given, in the places of the reference; missing pixels are grey."""
    assert problem.fit_values is not None
    if problem.fit_codes is None:
        return problem.fit_values
    if len(problem.fit_values) == problem.details.get("repeat"):
        rows, columns = problem.details["coarse"]
        coarse = problem.fit_values.reshape(rows, columns, -1)
        return coarse.repeat(2, axis=0).repeat(2, axis=1).reshape(len(problem.codes), -1)
    shown = np.zeros_like(problem.values)
    shown[problem.details["kept"]] = problem.fit_values
    return shown


def _picture(request: Request) -> tuple[Picture, np.ndarray, np.ndarray]:
    """The picture, its codes and its values [H·W, C]."""
    picture = load_image(request.source, request.size, request.grey)
    return picture, grid_codes(picture.shape), picture.pixels.reshape(-1, picture.channels)


def load_picture(request: Request) -> Problem:
    """Every pixel is given."""
    picture, codes, values = _picture(request)
    step = grid_step(picture.shape)
    return Problem("picture", picture.name, codes, values, picture.shape, step, notes=picture.notes)


def load_noisy(request: Request) -> Problem:
    """Every pixel is given with normal noise of standard deviation ``noise`` (of a range of 2)."""
    sigma = request.parameters["noise"]
    if not sigma > 0:
        raise ValueError(f"noise={sigma} must be positive: the standard deviation, range 2")
    picture, codes, values = _picture(request)
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


def load_inpainting(request: Request) -> Problem:
    """A random part ``kept`` of the pixels is given."""
    part = request.parameters["kept"]
    if not 0 < part < 1:
        raise ValueError(f"kept={part} must be between 0 and 1: the part of the pixels given")
    picture, codes, values = _picture(request)
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
        details={"given": "given", "kept": kept.tolist()},
        notes=picture.notes,
    )


def load_super_resolution(request: Request) -> Problem:
    """Means of 2 x 2 pixels are given; codes count half pixels, so that their centres have codes.

    Pixel i of a side of n has the code 2i + 1 - n, block j of two pixels 4j + 2 - n. An odd last
    row or column is left out.
    """
    picture, _, _ = _picture(request)
    rows, columns = (side // 2 for side in picture.shape)
    pixels = picture.pixels[: 2 * rows, : 2 * columns]
    shape = (2 * rows, 2 * columns)
    coarse = pixels.reshape(rows, 2, columns, 2, -1).mean(axis=(1, 3))
    fine_codes = _centred(shape, 2)
    return Problem(
        "super-resolution",
        picture.name,
        fine_codes,
        pixels.reshape(-1, picture.channels),
        shape,
        1.0 / max(shape),
        fit_codes=_centred((rows, columns), 4),
        fit_values=coarse.reshape(-1, picture.channels),
        results={"psnr_given": psnr(pixels, coarse.repeat(2, axis=0).repeat(2, axis=1))},
        details={"given": "given", "coarse": [rows, columns], "repeat": rows * columns},
        notes=picture.notes,
    )


def _centred(shape: tuple[int, int], spacing: int) -> np.ndarray:
    """Codes of grid points ``spacing`` apart with 0 in the middle."""
    indices = np.indices(shape).reshape(2, -1).T
    return indices * spacing - (np.array(shape) - 1) * (spacing // 2)


PICTURE = Task("picture", SOURCE, 128, load_picture, write, compare)
DENOISING = Task("denoising", SOURCE, 128, load_noisy, write, compare, parameters={"noise": 0.2})
INPAINTING = Task(
    "inpainting", SOURCE, 128, load_inpainting, write, compare, parameters={"kept": 0.5}
)
SUPER_RESOLUTION = Task("super-resolution", SOURCE, 128, load_super_resolution, write, compare)
