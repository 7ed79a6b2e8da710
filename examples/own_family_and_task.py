# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""An INR family and a task of one's own, in one file, used by the command line as it is.

    python examples/own_family_and_task.py --out runs/own

is short for

    dhq run ripples --out runs/own --family examples/own_family_and_task.py \
        --task examples/own_family_and_task.py

The family is the sinc network of Saratchandran et al., "A Sampling Theory Perspective on
Activations for Implicit Neural Representations", 2024, arXiv:2402.05427: f(z) = sin(ωz)/(ωz). The
task fits a vector field, the slope of water waves from two sources, and judges its direction, too.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dhq_brevitas.inr.families import Activation, Family, default_initialize
from dhq_brevitas.run import cli
from dhq_brevitas.signals.grid import grid_codes, grid_step
from dhq_brevitas.signals.pictures import save_comparison, save_image
from dhq_brevitas.signals.tasks import Problem, Request, Task

# -- the family ------------------------------------------------------------------------------------


def sinc(u: Tensor) -> Tensor:
    """sin(u) / u."""
    return torch.sinc(u / torch.pi)


def activation(parameters: Mapping[str, float], index: int) -> Activation:
    """sin(ωz) / (ωz); it is not periodic, and beyond ±30 it is below 1/30."""
    return Activation(sinc, gain=parameters["omega"], limit=30.0)


FAMILY = Family(
    name="sinc",
    paper="Saratchandran et al. 2024, arXiv:2402.05427",
    activation=activation,
    initialize=default_initialize,
    learning_rate=2e-3,
    parameters={"omega": 20.0},
)


# -- the task --------------------------------------------------------------------------------------


def load(request: Request) -> Problem:
    """The slope of the waves on a square grid: two values in [-1, 1] a point."""
    if request.source != "ripples":
        raise ValueError(f"there is no field {request.source!r}; this task knows 'ripples'")
    shape = (request.size, request.size)
    codes, step = grid_codes(shape), grid_step(shape)
    slope = np.zeros((len(codes), 2))
    for source in ((-0.5, -0.3), (0.4, 0.6)):
        offset = codes * step - np.array(source)
        distance = np.linalg.norm(offset, axis=1, keepdims=True) + 1e-9
        slope += np.cos(request.parameters["waves"] * distance) * offset / distance / 2
    return Problem("ripples", request.source, codes, slope.astype(np.float32), shape, step)


def direction(problem: Problem, outputs: np.ndarray) -> dict[str, float]:
    """Mean cosine of the angle between slope and reconstruction."""
    lengths = np.linalg.norm(problem.values, axis=1) * np.linalg.norm(outputs, axis=1)
    return {"cosine": float(((problem.values * outputs).sum(axis=1) / (lengths + 1e-9)).mean())}


def as_colors(problem: Problem, outputs: np.ndarray) -> np.ndarray:
    """The two slopes as red and green."""
    return problem.grid(np.concatenate([outputs, np.zeros_like(outputs[:, :1])], axis=1))


def write(problem: Problem, outputs: np.ndarray, stem: Path) -> Path:
    """The field as .png."""
    path = stem.with_suffix(".png")
    save_image(path, as_colors(problem, outputs))
    return path


def compare(path: Path, problem: Problem, panels: Sequence[tuple[str, np.ndarray]]) -> None:
    """Field, reconstructions, difference."""
    shown = [(title, as_colors(problem, outputs)) for title, outputs in panels]
    save_comparison(path, as_colors(problem, problem.values), shown)


TASK = Task(
    name="ripples",
    source="ripples",
    size=48,
    load=load,
    write=write,
    compare=compare,
    metrics=direction,
    parameters={"waves": 20.0},
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", default="runs/own", help="run folder")
    options, others = parser.parse_known_args()
    file = str(Path(__file__))
    fixed = ["run", "ripples", "--out", options.out, "--family", file, "--task", file]
    return cli.main([*fixed, *others])


if __name__ == "__main__":
    sys.exit(main())
