# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A radiance field: point to color and density, shown as views by volume rendering.

A pixel is what the samples i = 1 … n along its ray, with colors c and densities d at distances δ of
each other, let through (Mildenhall et al., arXiv:2003.08934, equation 3):

    color = Σ_i T_i (1 - exp(-d_i δ)) c_i + T_{n+1} · white,   T_i = exp(-Σ_{j<i} d_j δ)

The fourth value of a sample is d / DENSITY in the shapes and negative outside of them, where there
is nothing: small errors make no fog.

The network is fitted to color and density at the samples of the rays of ``views`` cameras around
the scene, and judged at those of two cameras between them, of which it saw nothing.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dhq_brevitas.signals.grid import grid_codes, grid_step
from dhq_brevitas.signals.metrics import psnr
from dhq_brevitas.signals.tasks import picture, shape
from dhq_brevitas.signals.tasks.base import Problem, Request, Task
from dhq_brevitas.util.errors import ArgumentError

__all__ = ["TASK", "render", "scene"]

MIN_SIDE, MAX_SIDE = 8, 64
MAX_VIEWS = 48
HELD_OUT = 2
# Points of the grid that samples are rounded to, on each axis of [-1, 1).
GRID = 256
# Of the cameras, from the middle of the scene; the rays are sampled from 1 before it to 1 behind.
DISTANCE, HEIGHT, FIELD = 3.0, 0.45, 0.26
# Inside of a shape, and how far from its surface it fades.
DENSITY, EDGE = 20.0, 0.06
SCENES = {
    "shapes": (
        # (distance from the surface, middle, size, color)
        (shape.torus, (-0.35, 0.0, 0.0), 0.9, (0.9, 0.45, 0.1)),
        (shape.sphere, (0.15, 0.0, 0.0), 0.45, (0.15, 0.35, 0.9)),
        (shape.box, (-0.5, 0.3, 0.45), 0.25, (0.2, 0.7, 0.3)),
    )
}


def scene(name: str, points: np.ndarray) -> np.ndarray:
    """Values of points [N, 3] in [-1, 1]³: float64 [N, 4], each in [-1, 1].

    Three are the color of the nearest shape, brighter towards the top (the first axis), black -1;
    the fourth is -tanh(distance / EDGE), negative outside.
    """
    shapes = SCENES[name]
    distances = np.stack(
        [of((points - middle) / size) * size for of, middle, size, _ in shapes], axis=1
    )
    nearest = distances.argmin(axis=1)
    light = 0.65 + 0.35 * np.clip(points[:, :1] + 0.3, -1, 1)
    colors = np.array([color for *_, color in shapes])[nearest] * light
    return np.column_stack([2 * colors - 1, -np.tanh(distances.min(axis=1) / EDGE)])


def rays(angle: float, side: int, samples: int) -> np.ndarray:
    """Points [side, side, samples, 3] of the pixels' rays of a camera at an angle around axis 0."""
    forward = -np.array([HEIGHT, np.cos(angle), np.sin(angle)])
    forward /= np.linalg.norm(forward)
    right = np.cross([1.0, 0.0, 0.0], forward)
    right /= np.linalg.norm(right)
    up = np.cross(forward, right)
    line = FIELD * (2 * (np.arange(side) + 0.5) / side - 1)
    ways = forward + line[:, None, None] * -up + line[None, :, None] * right
    ways /= np.linalg.norm(ways, axis=-1, keepdims=True)
    depths = DISTANCE - 1 + 2 * (np.arange(samples) + 0.5) / samples
    return -DISTANCE * forward + ways[:, :, None] * depths[:, None]


def render(values: np.ndarray) -> np.ndarray:
    """Colors [..., 3] in [0, 1] of samples [..., n, 4] in [-1, 1], as in the module docstring."""
    field = np.clip(values.astype(np.float64), -1, 1)
    optical = np.maximum(field[..., 3], 0) * DENSITY * 2 / values.shape[-2]
    through = np.exp(-np.cumsum(optical, axis=-1))
    before = np.concatenate([np.ones_like(through[..., :1]), through[..., :-1]], axis=-1)
    colors = ((before - through)[..., None] * (field[..., :3] + 1) / 2).sum(axis=-2)
    return colors + through[..., -1:]


def load(request: Request) -> Problem:
    """Samples of ``views`` cameras of size² pixels, and of two in between."""
    side, views = request.size, request.parameters["views"]
    if request.source not in SCENES:
        raise ArgumentError("signal", request.source, f"is no scene: use {', '.join(SCENES)}")
    if not MIN_SIDE <= side <= MAX_SIDE:
        raise ValueError(f"size={side} is out of range: use {MIN_SIDE} to {MAX_SIDE} for a view")
    if views != int(views) or not HELD_OUT <= views <= MAX_VIEWS:
        raise ValueError(f"views={views} must be a whole number, {HELD_OUT} to {MAX_VIEWS}")
    turn = 2 * np.pi / views
    given = _codes([number * turn for number in range(int(views))], side)
    apart = views // HELD_OUT
    codes = _codes([(0.5 + number * apart) * turn for number in range(HELD_OUT)], side)
    return Problem(
        "radiance",
        request.source,
        codes,
        _values(request.source, codes),
        (HELD_OUT, side, side, side),
        2 / GRID,
        fit_codes=given,
        fit_values=_values(request.source, given),
    )


def _codes(angles: Sequence[float], side: int) -> np.ndarray:
    points = np.concatenate([rays(angle, side, side).reshape(-1, 3) for angle in angles])
    return np.clip(np.rint(points * GRID / 2), -GRID // 2, GRID // 2 - 1).astype(np.int64)


def _values(name: str, codes: np.ndarray) -> np.ndarray:
    return scene(name, codes * 2 / GRID).astype(np.float32)


def views_of(problem: Problem, outputs: np.ndarray) -> np.ndarray:
    """The views side by side, float32 [side · views · side, 3] in [-1, 1]."""
    views = render(problem.grid(outputs))
    return (2 * np.concatenate(list(views), axis=1) - 1).reshape(-1, 3).astype(np.float32)


def _picture(problem: Problem) -> Problem:
    """The views as a picture."""
    views, side = problem.shape[:2]
    shown = (side, views * side)
    values = views_of(problem, problem.values)
    return Problem("picture", problem.name, grid_codes(shown), values, shown, grid_step(shown))


def write(problem: Problem, outputs: np.ndarray, stem: Path) -> Path:
    """The views as .png."""
    return picture.write(_picture(problem), views_of(problem, outputs), stem)


def compare(path: Path, problem: Problem, panels: Sequence[tuple[str, np.ndarray]]) -> None:
    """Views of the scene, of each reconstruction, and the difference."""
    shown = [(title, views_of(problem, outputs)) for title, outputs in panels]
    picture.compare(path, _picture(problem), shown)


def view_psnr(problem: Problem, outputs: np.ndarray) -> dict[str, float]:
    """PSNR of the views."""
    return {"psnr_views": psnr(views_of(problem, problem.values), views_of(problem, outputs))}


TASK = Task(
    "radiance",
    "shapes",
    24,
    load,
    write,
    compare,
    view_psnr,
    parameters={"views": 12.0},
)
