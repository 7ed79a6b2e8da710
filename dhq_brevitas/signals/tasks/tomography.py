# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Computed tomography: a slice from its line integrals at a few angles."""

import numpy as np

from dhq_brevitas.signals.grid import grid_codes, grid_step
from dhq_brevitas.signals.metrics import psnr
from dhq_brevitas.signals.pictures import load_image
from dhq_brevitas.signals.tasks.base import Problem, Request, Task
from dhq_brevitas.signals.tasks.picture import compare, write

__all__ = ["TASK", "radon_weights"]

MAX_ANGLES = 720


def radon_weights(side: int, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The Radon transform of a square picture as a sparse matrix [angles·side, side²].

    Rows (int64), columns (int64) and weights (float32) such that the sums are those of
    skimage.transform.radon(picture, angles, circle=True).T: the picture is turned by each angle (in
    degrees) around pixel side//2 with bilinear interpolation, zero outside, and its columns are
    summed.
    """
    center = side // 2
    down, right = np.mgrid[:side, :side]
    rows, columns, weights = [], [], []
    for index, angle in enumerate(np.deg2rad(angles)):
        cos, sin = np.cos(angle), np.sin(angle)
        x = cos * (right - center) + sin * (down - center) + center
        y = -sin * (right - center) + cos * (down - center) + center
        left, top = np.floor(x), np.floor(y)
        for column, x_part in ((left, left + 1 - x), (left + 1, x - left)):
            for row, y_part in ((top, top + 1 - y), (top + 1, y - top)):
                weight = x_part * y_part
                inside = (column >= 0) & (column < side) & (row >= 0) & (row < side) & (weight > 0)
                rows.append((index * side + right)[inside])
                columns.append((row * side + column)[inside].astype(np.int64))
                weights.append(weight[inside].astype(np.float32))
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(weights)


def load(request: Request) -> Problem:
    """A grey picture, cut to a disc, is given as its line integrals at ``angles`` angles."""
    from skimage.transform import iradon

    count = request.parameters["angles"]
    if count != int(count) or not 2 <= count <= MAX_ANGLES:
        raise ValueError(f"angles={count} must be a whole number, 2 to {MAX_ANGLES}")
    picture = load_image(request.source, request.size, grey=True)
    side = min(picture.shape)
    top, left = ((length - side) // 2 for length in picture.shape)
    density = (picture.pixels[top : top + side, left : left + side, 0].astype(np.float64) + 1) / 2
    notes = list(picture.notes)
    if picture.shape != (side, side):
        notes.append(f"{picture.name} is not square; its middle is used")
    density[np.hypot(*(np.mgrid[:side, :side] - side // 2)) > side // 2 - 1] = 0
    angles = np.linspace(0, 180, int(count), endpoint=False)
    # In units of the side, so that measurements are about as large as samples.
    rows, columns, weights = radon_weights(side, angles)
    weights = weights / np.float32(side)
    values = (density.reshape(-1, 1) * 2 - 1).astype(np.float32)
    measured = np.zeros(len(angles) * side)
    np.add.at(measured, rows, weights * values[columns, 0].astype(np.float64))
    density_sums = np.zeros(len(angles) * side)
    np.add.at(density_sums, rows, weights * density.reshape(-1)[columns] * side)
    back = iradon(density_sums.reshape(len(angles), side).T, theta=angles, circle=True)
    return Problem(
        "tomography",
        picture.name,
        grid_codes((side, side)),
        values,
        (side, side),
        grid_step((side, side)),
        fit_values=measured.astype(np.float32)[:, None],
        projection=(rows, columns, weights),
        # What filtered back-projection makes of the same measurements.
        results={"psnr_given": psnr(density, np.clip(back, 0, 1), value_range=1.0)},
        notes=tuple(notes),
    )


TASK = Task(
    "tomography",
    "picture file, or a name such as phantom",
    64,
    load,
    write,
    compare,
    parameters={"angles": 45.0},
)
