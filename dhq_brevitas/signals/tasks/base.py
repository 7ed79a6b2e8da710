# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What a reconstruction task is: data to fit, a reference to compare with, and how to show it."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dhq_brevitas.inr.layer_plan import MAX_COORDINATE_BITS
from dhq_brevitas.signals.grid import code_bits
from dhq_brevitas.signals.samples import PIXELS, SampleFormat
from dhq_brevitas.util.files import START_OVER, atomic_path, text_digest
from dhq_brevitas.util.states import load_arrays

__all__ = ["Problem", "Request", "Task"]


@dataclass(frozen=True)
class Request:
    """What the user asks for: a file or name, a size, grey, a seed, and numbers of the task."""

    source: str
    size: int
    grey: bool = False
    seed: int = 0
    parameters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Problem:
    """Data of one reconstruction.

    The network maps a coordinate, code · step, to a sample of c values. It is fitted to
    ``fit_values`` and judged by ``values``.

    Attributes:
        task, name: of the task, and what was asked for.
        codes: int64 [N, d], the points of the reconstruction.
        values: float32 [N, c], the reference there, in [-1, 1].
        shape: sides of the grid that the N points are, row by row; their product is N.
        step: distance of neighboring codes; codes · step lie in about [-1, 1].
        fit_codes: int64 [M, d], the points that are given; None: all of ``codes``.
        fit_values: float32 [M, c], what is given there; None: ``values``.
        projection: (rows, columns, weights) of a sparse matrix P [K, M] where not the samples are
            given but ``fit_values`` = P · samples, float32 [K, c].
        results: numbers for the summary that do not depend on the network.
        details: what else the task needs to show a result (JSON).
        notes: a sentence for each thing done to the data on the way.
        reference: whether ``values`` are the signal. Of a network that was unpacked from a file,
            which does not hold the signal, they are its own output, and no quality is measured.

    Raises ValueError for shapes that do not fit, values that are not finite or beyond [-1, 1], and
    codes of more than 24 bits.
    """

    task: str
    name: str
    codes: np.ndarray
    values: np.ndarray
    shape: tuple[int, ...]
    step: float
    fit_codes: np.ndarray | None = None
    fit_values: np.ndarray | None = None
    projection: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    results: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    reference: bool = True

    def __post_init__(self) -> None:
        self._check_points("codes", self.codes)
        if self.values.ndim != 2 or len(self.values) != len(self.codes):
            raise ValueError(
                f"values of shape {self.values.shape} must be [{len(self.codes)}, channels], a row "
                "for each of the codes"
            )
        if int(np.prod(self.shape)) != len(self.codes):
            raise ValueError(f"shape={self.shape} does not hold {len(self.codes)} points")
        check_values("values", self.values)
        if not self.step > 0:
            raise ValueError(f"step={self.step} must be positive")
        if self.fit_codes is not None:
            self._check_points("fit_codes", self.fit_codes)
        given = self.fit_values if self.fit_values is not None else self.values
        points = self.codes if self.fit_codes is None else self.fit_codes
        if given.ndim != 2 or (self.projection is None and len(given) != len(points)):
            raise ValueError(
                f"fit_values of shape {given.shape} must be [{len(points)}, channels], a row for "
                "each point that is given"
            )
        if not np.isfinite(given).all():
            raise ValueError("fit_values hold NaN or infinity; remove those samples")

    def _check_points(self, name: str, codes: np.ndarray) -> None:
        if codes.ndim != 2 or codes.dtype.kind != "i" or len(codes) == 0:
            raise ValueError(
                f"{name} of shape {codes.shape} and type {codes.dtype} must be integers [points, "
                "axes]"
            )
        if code_bits(codes) > MAX_COORDINATE_BITS:
            raise ValueError(
                f"{name} need {code_bits(codes)} bits, more than the {MAX_COORDINATE_BITS} that "
                "hardware takes; use a smaller size"
            )

    @property
    def axes(self) -> int:
        """Coordinates of a point."""
        return self.codes.shape[1]

    @property
    def channels(self) -> int:
        """Values of a sample."""
        return self.values.shape[1]

    @property
    def bits(self) -> int:
        """Signed bits of the codes."""
        return max(code_bits(c) for c in (self.codes, self.fit_codes) if c is not None)

    @property
    def inputs(self) -> Tensor:
        """Codes of all points, float32 [N, d]."""
        return torch.from_numpy(self.codes).float()

    @property
    def fit_inputs(self) -> Tensor:
        """Codes of the points that are given, float32 [M, d]."""
        return self.inputs if self.fit_codes is None else torch.from_numpy(self.fit_codes).float()

    @property
    def fit_target(self) -> Tensor:
        """What is given, float32 [M, c], or [K, c] with a projection."""
        return torch.from_numpy(self.values if self.fit_values is None else self.fit_values)

    @property
    def project(self) -> Callable[[Tensor], Tensor] | None:
        """samples [M, c] -> P · samples [K, c], or None."""
        if self.projection is None:
            return None
        matrix = [torch.from_numpy(array) for array in self.projection]
        measurements = len(self.fit_target)

        def project(samples: Tensor) -> Tensor:
            # To the device of the samples once, not in every step.
            matrix[:] = (part.to(samples.device) for part in matrix)
            rows, columns, weights = matrix
            sums = samples.new_zeros(measurements, samples.shape[1])
            return sums.index_add(0, rows, weights.unsqueeze(1) * samples[columns])

        return project

    def digest(self) -> str:
        """SHA-256 of all data, in hexadecimal."""
        arrays = [self.codes, self.values, self.fit_codes, self.fit_values]
        arrays += self.projection or ()
        shapes = [None if a is None else [str(a.dtype), *a.shape] for a in arrays]
        digest = hashlib.sha256(text_digest([self.shape, self.step, shapes]).encode())
        for array in arrays:
            digest.update(b"" if array is None else np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def grid(self, values: np.ndarray) -> np.ndarray:
        """Values [N, c] on the grid: [*shape, c]."""
        return values.reshape(*self.shape, values.shape[1])

    def save(self, path: Path) -> None:
        """Writes everything to a .npz file, whole or not at all."""
        arrays: dict[str, Any] = {"codes": self.codes, "values": self.values}
        if self.fit_codes is not None:
            arrays["fit_codes"] = self.fit_codes
        if self.fit_values is not None:
            arrays["fit_values"] = self.fit_values
        if self.projection is not None:
            arrays |= dict(zip(_PROJECTION, self.projection, strict=True))
        others = {name: getattr(self, name) for name in _OTHERS}
        with atomic_path(path) as temporary:
            np.savez_compressed(temporary, others=json.dumps(others), **arrays)

    @classmethod
    def load(cls, path: Path) -> "Problem":
        """Inverse of :meth:`save`."""
        arrays: dict[str, Any] = load_arrays(path)
        try:
            others = json.loads(str(arrays.pop("others")))
            others |= {"shape": tuple(others["shape"]), "notes": tuple(others["notes"])}
            projection = tuple(arrays.pop(name) for name in _PROJECTION if name in arrays)
            return cls(**arrays, **others, projection=projection or None)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} holds no data of a task; {START_OVER}") from error


_OTHERS = ("task", "name", "shape", "step", "results", "details", "notes", "reference")
_PROJECTION = ("rows", "columns", "weights")


def check_values(name: str, values: np.ndarray) -> None:
    """ValueError unless all values are finite and in [-1, 1]."""
    if not np.isfinite(values).all():
        raise ValueError(f"{name} hold NaN or infinity; remove those samples")
    low, high = float(values.min()), float(values.max())
    if low < -1 or high > 1:
        raise ValueError(
            f"{name} span {low:g} to {high:g}, more than [-1, 1]; scale them, as "
            "dhq_brevitas.fit does"
        )


Panels = Sequence[tuple[str, np.ndarray]]


def _no_metrics(problem: Problem, outputs: np.ndarray) -> dict[str, float]:
    return {}


@dataclass(frozen=True)
class Task:
    """A kind of reconstruction.

    Attributes:
        name: what it is asked for by.
        source: what the user names: a file and its formats, or bundled examples; for help.
        size: the default size, and what it counts.
        load: request -> problem. Raises ValueError for what cannot be used.
        write: (problem, outputs [N, c], path without ending) -> the file it wrote, such as a
            picture or a sound.
        compare: (path of a .png, problem, [(title, outputs [N, c])]) writes reference, panels and
            the difference of the last one.
        metrics: (problem, outputs) -> numbers beside the PSNR.
        parameters: the task's own numbers, with defaults.
        family_parameters: family -> numbers that suit such signals better than its defaults.
        samples: how ``write`` stores a value; a self-contained engine gives such samples.
    """

    name: str
    source: str
    size: int
    load: Callable[[Request], Problem]
    write: Callable[[Problem, np.ndarray, Path], Path]
    compare: Callable[[Path, Problem, Panels], None]
    metrics: Callable[[Problem, np.ndarray], dict[str, float]] = _no_metrics
    parameters: Mapping[str, float] = field(default_factory=dict)
    family_parameters: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    samples: SampleFormat = PIXELS

    def problem(
        self,
        source: str,
        size: int | None = None,
        grey: bool = False,
        seed: int = 0,
        parameters: Mapping[str, float] | None = None,
    ) -> Problem:
        """Loads the data; ValueError for a parameter that the task does not have, or not finite."""
        given = parameters or {}
        for name, value in given.items():
            if name not in self.parameters:
                known = ", ".join(self.parameters) or "none"
                raise ValueError(f"{name}={value} is no parameter of {self.name}; it has: {known}")
            if not np.isfinite(value):
                raise ValueError(f"{name}={value} must be a finite number")
        numbers = {**self.parameters, **given}
        return self.load(Request(source, self.size if size is None else size, grey, seed, numbers))
