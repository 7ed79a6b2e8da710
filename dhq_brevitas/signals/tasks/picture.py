# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A picture, all of it given; and what the other tasks on pictures share."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dhq_brevitas.signals.grid import grid_codes, grid_step
from dhq_brevitas.signals.pictures import Picture, load_image, save_comparison, save_image
from dhq_brevitas.signals.tasks.base import Problem, Request, Task

__all__ = ["SIZE", "SOURCE", "TASK", "compare", "picture_of", "write"]

SOURCE = "picture file, or a name such as astronaut"
SIZE = 128


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
    places = {tuple(code): place for place, code in enumerate(problem.codes.tolist())}
    shown = np.zeros_like(problem.values)
    shown[[places[tuple(code)] for code in problem.fit_codes.tolist()]] = problem.fit_values
    return shown


def picture_of(request: Request) -> tuple[Picture, np.ndarray, np.ndarray]:
    """The picture, its codes and its values [H·W, C]."""
    picture = load_image(request.source, request.size, request.grey)
    return picture, grid_codes(picture.shape), picture.pixels.reshape(-1, picture.channels)


def load(request: Request) -> Problem:
    """Every pixel is given."""
    picture, codes, values = picture_of(request)
    step = grid_step(picture.shape)
    return Problem("picture", picture.name, codes, values, picture.shape, step, notes=picture.notes)


TASK = Task("picture", SOURCE, SIZE, load, write, compare)
