# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A solid as its signed distance: point to distance from the surface, negative inside."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dhq_brevitas.signals.grid import grid_codes, grid_step
from dhq_brevitas.signals.samples import SOUND
from dhq_brevitas.signals.tasks.base import Problem, Request, Task
from dhq_brevitas.util import figures
from dhq_brevitas.util.files import check_regular_file, write_text

__all__ = ["SHAPES", "TASK", "iou", "mesh_of"]

MIN_SIDE, MAX_SIDE = 8, 128
# A mesh is scaled so that its longest side spans this part of the cube.
FILLED = 0.8


def sphere(points: np.ndarray) -> np.ndarray:
    """Radius 0.6."""
    return np.linalg.norm(points, axis=1) - 0.6


def torus(points: np.ndarray) -> np.ndarray:
    """Radii 0.5 and 0.22, around the first axis."""
    ring = np.linalg.norm(points[:, 1:], axis=1) - 0.5
    return np.hypot(ring, points[:, 0]) - 0.22


def box(points: np.ndarray) -> np.ndarray:
    """Half sides 0.5, 0.4 and 0.6."""
    beyond = np.abs(points) - np.array([0.5, 0.4, 0.6])
    outside = np.linalg.norm(np.maximum(beyond, 0), axis=1)
    return outside + np.minimum(beyond.max(axis=1), 0)


SHAPES = {"torus": torus, "sphere": sphere, "box": box}


def load(request: Request) -> Problem:
    """Distances on a grid of size³ points, divided by ``reach`` and clipped to [-1, 1]."""
    side, reach = request.size, request.parameters["reach"]
    if not MIN_SIDE <= side <= MAX_SIDE:
        raise ValueError(f"size={side} is out of range: use {MIN_SIDE} to {MAX_SIDE} for a shape")
    if not reach > 0:
        raise ValueError(f"reach={reach} must be positive: the distance that becomes 1")
    shape = (side, side, side)
    codes, step = grid_codes(shape), grid_step(shape)
    points = codes * step
    if request.source in SHAPES:
        distance = SHAPES[request.source](points)
    else:
        distance = _mesh_distance(Path(request.source), points)
    values = np.clip(distance / reach, -1, 1).astype(np.float32)[:, None]
    if not np.any(values < 0):
        raise ValueError(
            f"{request.source} holds none of the {side} x {side} x {side} grid points; use a "
            "larger size"
        )
    return Problem("shape", request.source, codes, values, shape, step)


def _mesh_distance(path: Path, points: np.ndarray) -> np.ndarray:
    """Signed distance [N] of points [N, 3] from a closed mesh, scaled into the cube."""
    if not path.is_file():
        raise ValueError(
            f"there is no shape {str(path)!r}: give a mesh file (STL, OBJ, PLY, OFF), or one of "
            f"{', '.join(SHAPES)}"
        )
    check_regular_file(path)
    try:
        import rtree  # noqa: F401  trimesh searches with it
        import trimesh
    except ImportError as error:
        raise ModuleNotFoundError(
            "mesh files need trimesh and rtree: pip install 'dhq-brevitas[signals]'"
        ) from error
    try:
        mesh: Any = trimesh.load(path, force="mesh")
    except Exception as error:  # of many kinds
        raise ValueError(
            f"cannot read the mesh {path}: it is damaged, or no STL, OBJ, PLY or OFF file "
            f"({type(error).__name__}: {error})"
        ) from error
    if not isinstance(mesh, trimesh.Trimesh) or mesh.is_empty:
        raise ValueError(f"cannot use {path}: it holds no triangles")
    if not mesh.is_watertight:
        raise ValueError(
            f"cannot use {path}: the mesh is not closed, so it has no inside; repair its holes "
            "first"
        )
    low, high = mesh.bounds
    scale = 2 * FILLED / (high - low).max()
    mesh.apply_translation(-(low + high) / 2)
    mesh.apply_scale(scale)
    # trimesh counts the inside as positive.
    return -trimesh.proximity.signed_distance(mesh, points)


def iou(problem: Problem, outputs: np.ndarray) -> dict[str, float]:
    """Intersection over union of the two insides on the grid."""
    a, b = problem.values < 0, outputs < 0
    return {"iou": float((a & b).sum() / (a | b).sum())}


def mesh_of(problem: Problem, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(vertices float [V, 3], triangles int [F, 3]) of the surface by marching cubes; or none."""
    from skimage.measure import marching_cubes

    volume = problem.grid(outputs)[..., 0]
    if not volume.min() < 0 < volume.max():
        return np.zeros((0, 3)), np.zeros((0, 3), dtype=int)
    vertices, triangles, _, _ = marching_cubes(volume, 0.0)
    return (vertices - np.array(problem.shape) // 2) * problem.step, triangles


def write(problem: Problem, outputs: np.ndarray, stem: Path) -> Path:
    """The surface as .obj."""
    path = stem.with_suffix(".obj")
    vertices, triangles = mesh_of(problem, outputs)
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices]
    lines += [f"f {a} {b} {c}" for a, b, c in triangles + 1]
    write_text(path, "\n".join(lines))
    return path


def compare(path: Path, problem: Problem, panels: Sequence[tuple[str, np.ndarray]]) -> None:
    """Renderings of the surfaces, and the last one's error in the middle slice."""
    shown = [("original", problem.values), *panels]
    figure = figures.new_figure((3.4 * (len(shown) + 1), 3.6))
    for column, (title, values) in enumerate(shown, start=1):
        axes: Any = figure.add_subplot(1, len(shown) + 1, column, projection="3d")
        vertices, triangles = mesh_of(problem, values)
        if len(triangles):
            axes.plot_trisurf(
                *vertices.T, triangles=triangles, color="tab:blue", linewidth=0, shade=True
            )
        axes.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))
        axes.set_box_aspect(None, zoom=1.5)
        axes.set_axis_off()
        share = "" if values is problem.values else f"\nIoU {iou(problem, values)['iou']:.4f}"
        axes.set_title(title + share, fontsize=10)
    middle = problem.shape[0] // 2
    error = problem.grid(panels[-1][1] - problem.values)[middle, ..., 0]
    axes = figure.add_subplot(1, len(shown) + 1, len(shown) + 1)
    largest = max(float(np.abs(error).max()), 1e-9)
    image = axes.imshow(error, cmap="RdBu", vmin=-largest, vmax=largest)
    figure.colorbar(image, ax=axes, shrink=0.7)
    axes.set_title(f"error of {panels[-1][0]},\nmiddle slice", fontsize=10)
    axes.set_axis_off()
    figures.save(figure, path, dpi=110)


TASK = Task(
    "shape",
    "mesh file (STL, OBJ, PLY, OFF), or torus, sphere or box",
    32,
    load,
    write,
    compare,
    iou,
    parameters={"reach": 1.0},
    samples=SOUND,
)
