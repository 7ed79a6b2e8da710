# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``dhq pack`` and ``dhq unpack``: the quantized network of a run as one small file, and back.

The file (:mod:`dhq_brevitas.inr.packed`) holds the network, the points of the signal, what the task
needs to show it, the options that are not the defaults, and a digest of the output codes. It does
not hold the signal, nor the float network. A folder that was unpacked is a run folder from the
quantized network on: ``dhq export``, ``build``, ``simulate`` and ``synth`` go on from there.
"""

from __future__ import annotations

import importlib.metadata
import math
import typing
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dhq_brevitas.run.folder import SIGNAL
from dhq_brevitas.run.records import RunFolder
from dhq_brevitas.run.stage import Chosen, Stage
from dhq_brevitas.run.stages.fit import FitOptions
from dhq_brevitas.run.stages.quantize import QuantizeOptions
from dhq_brevitas.util.files import (
    atomic_path,
    check_folder_of,
    check_regular_file,
    file_digest,
    text_digest,
)
from dhq_brevitas.util.plugins import code_files
from dhq_brevitas.util.tables import text_table

if TYPE_CHECKING:
    import numpy as np

    from dhq_brevitas.inr.integers import Reference
    from dhq_brevitas.inr.packed import Unpacked
    from dhq_brevitas.inr.quantized import QuantInr
    from dhq_brevitas.signals.tasks import Problem, Task

__all__ = ["NETWORK", "PackedSize", "UnpackOptions", "pack_run", "unpack_run"]

NETWORK = "network.dhq"
PACKAGE = "dhq-brevitas"
#: Bytes of the largest file that is read.
MAX_FILE = 1 << 28
#: Most points, and most multiplications for all of them, of a signal that is unpacked.
MAX_POINTS, MAX_MULTIPLICATIONS = 1 << 24, 1 << 42
#: Points that are evaluated at once.
CHUNK = 1 << 14
#: Options that a file does not hold: what the header says anyway, and files of whoever packed.
LEFT_OUT = {
    "fit": ("device", "signal", "task", "family", "hidden", "layers", "parameters"),
    "quantize": ("device", "plan"),
}


@dataclass(frozen=True)
class PackedSize:
    """Of one network.

    Attributes:
        path, bytes: of the file.
        parameters: trained weights and biases; weights: without the biases.
        points: of the signal.
    """

    path: Path
    bytes: int
    parameters: int
    weights: int
    points: int

    def text(self) -> str:
        """A table: the file beside the parameters as floats."""
        rows = [["", "bytes", "bits a sample", "bits a weight"]]
        sizes = {"float32": 4 * self.parameters, "float16": 2 * self.parameters}
        for name, size in {**sizes, str(self.path): self.bytes}.items():
            per_point, per_weight = 8 * size / self.points, 8 * size / self.weights
            rows.append([name, str(size), f"{per_point:.3f}", f"{per_weight:.2f}"])
        return text_table(rows)


@dataclass(frozen=True)
class UnpackOptions:
    """Where to, and the Python files that define a family or a task that is not ours."""

    out: Path
    family: str | None = None
    task: str | None = None
    progress: bool = True


# -- to a file -------------------------------------------------------------------------------------


def pack_run(folder: RunFolder, path: Path | None = None) -> PackedSize:
    """Writes the quantized network of a run to ``path``, by default network.dhq in its folder.

    MissingStageError without one; ValueError where what was unpacked would not be the same.
    """
    from dhq_brevitas.inr.packed import digest_of, is_packed, pack_network
    from dhq_brevitas.run.networks import load_quantized
    from dhq_brevitas.signals.grid import regularity
    from dhq_brevitas.signals.tasks import Problem, get_task

    folder.require("quantize", "a packed file")
    chosen, target = folder.chosen(), folder.file(NETWORK) if path is None else path
    check_folder_of(target)
    if target.exists() and not is_packed(target):
        raise ValueError(f"{target} is something else than a packed network; choose another name")
    fit, problem = chosen.get(FitOptions), Problem.load(folder.file(SIGNAL))
    model = load_quantized(folder, fit, problem)
    grid = regularity(problem.codes, problem.shape)
    about = {
        "signal": {
            "task": get_task(fit.task).name,
            "name": Path(problem.name).name,  # not where it lies on this machine
            "shape": problem.shape,
            "grid": grid,
            "details": problem.details,
        },
        "outputs": digest_of([folder.array("quant.npz", "codes")]),
        "psnr": _finite(folder.summary().get("psnr_quant")),
        "options": {
            name: _not_default(chosen.get(kind), LEFT_OUT[name]) for name, kind in _KINDS.items()
        },
    }
    data = pack_network(model, about, [] if grid else [problem.codes.T])
    with atomic_path(target) as temporary:
        temporary.write_bytes(data)
    weights = [linear.weight.numel() for linear in model.linears]
    biases = [linear.bias.numel() for linear in model.linears]
    encoding = 0 if model.spec.encoding is None else weights[0] + biases[0]
    parameters = sum(weights) + sum(biases) - encoding
    return PackedSize(target, len(data), parameters, sum(weights), len(problem.codes))


_KINDS = {"fit": FitOptions, "quantize": QuantizeOptions}


def _not_default(options: Any, left_out: tuple[str, ...]) -> dict[str, Any]:
    defaults = {given.name: given.default for given in fields(options)}
    return {
        name: value
        for name, value in asdict(options).items()
        if name not in left_out and value != defaults[name]
    }


def _finite(value: Any) -> Any:
    return value if isinstance(value, float) and math.isfinite(value) else None


# -- from a file -----------------------------------------------------------------------------------


def unpack_run(path: Path, options: UnpackOptions, say: Callable[[str], None]) -> None:
    """Makes a run folder of a file: the network, and the reconstruction of the signal.

    ValueError for what is no such file, damaged, or does not give the output codes that it was
    packed with; and for a folder that holds another run.
    """
    from dhq_brevitas.inr.packed import digest_of, unpack_network

    check_regular_file(path, MAX_FILE)
    data = path.read_bytes()
    unpacked = unpack_network(data, str(path), options.family)
    try:
        if "signal" not in unpacked.about:
            raise ValueError("it holds no signal of a run: read it with dhq_brevitas.unpack")
        signal = _entry(unpacked.about, "signal", dict)
        task = _task(signal, options.task)
        shape, codes = _points(signal, unpacked)
        reference = _evaluate(unpacked.model, codes, options.progress)
        if digest_of([reference.accumulators]) != unpacked.about.get("outputs"):
            raise ValueError("its network gives other output codes here than it was packed with")
        problem = _problem(signal, shape, codes, unpacked.model, reference)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{path} cannot be unpacked: {error}") from error
    folder, key = RunFolder(options.out), text_digest([PACKAGE, data.hex()])
    with folder.locked(say):
        if folder.file("fit.json").exists() and folder.holds("fit", key) is None:
            raise ValueError(
                f"the output folder {folder.path} holds another run; choose a new or an empty one"
            )
        try:
            shown = _stage(folder, options, task, problem, say).save_outputs(
                "quant", reference.outputs, reference.accumulators
            )
        except OSError:
            raise
        except Exception as error:  # of many kinds: what the file says does not suit the task
            raise ValueError(
                f"{path} cannot be unpacked: the task {task.name} cannot show it: {error}"
            ) from error
        _write(folder, key, unpacked, options, task, problem, reference.dtype, shown)
    say(f"unpacked {problem.name}: {folder.file(shown[-1])}, the network in {folder.path}")


def _stage(
    folder: RunFolder,
    options: UnpackOptions,
    task: Task,
    problem: Problem,
    say: Callable[[str], None],
) -> Stage:
    import torch

    return Stage(folder, Chosen(), problem, task, torch.device("cpu"), options.progress, say)


def _entry(values: Mapping[str, Any], name: str, kind: Any) -> Any:
    value = values.get(name)
    if not isinstance(value, kind):
        raise ValueError(f"its {name} is {str(value)[:60]!r}, which is none")
    return value


def _task(signal: Mapping[str, Any], given: str | None) -> Task:
    from dhq_brevitas.signals.tasks import TASKS, get_task

    name = _entry(signal, "task", str)
    if given is None and name not in TASKS:  # such as a Python file, which would be executed
        raise ValueError(
            f"its task {name[:60]!r} is not one of dhq's: name the Python file that defines it "
            "with --task"
        )
    task = get_task(name if given is None else given)
    if task.name != name:
        raise ValueError(f"its task is {name[:60]!r}, and {given} defines {task.name!r}")
    return task


def _points(signal: Mapping[str, Any], unpacked: Unpacked) -> tuple[tuple[int, ...], np.ndarray]:
    """(shape of the grid, codes int64 [N, d])"""
    import numpy as np

    from dhq_brevitas.signals.grid import code_bits, regular_codes

    model, axes = unpacked.model, unpacked.model.spec.in_features
    shape = _integers(_entry(signal, "shape", list), 1, MAX_POINTS)
    weights = sum(linear.weight.numel() for linear in model.linears)
    count = math.prod(shape)
    if count > MAX_POINTS or count * weights > MAX_MULTIPLICATIONS:
        raise ValueError(
            f"its {count} points are too many: at most {MAX_POINTS}, and "
            f"{MAX_MULTIPLICATIONS // weights} for a network of {weights} weights"
        )
    grid = signal.get("grid")
    if grid is None:
        codes = unpacked.reader.read(axes, count).T
    else:
        start, spacing = _grid(grid)
        if not len(shape) == len(start) == len(spacing) == axes:
            raise ValueError(f"its grid {str(grid)[:60]!r} has not {axes} axes")
        # Refused by its corners, before the other points are made.
        ends = np.array(start) + np.array(spacing) * (np.array(shape) - 1)
        codes = np.array([start, ends])
    if code_bits(codes) > model.coordinate_bits:
        raise ValueError(
            f"its points need {code_bits(codes)} bits, and the network takes "
            f"{model.coordinate_bits}"
        )
    return shape, codes if grid is None else regular_codes(shape, start, spacing)


def _grid(grid: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(first code, spacing) of every axis"""
    from dhq_brevitas.inr.layer_plan import MAX_COORDINATE_BITS

    if not isinstance(grid, list) or len(grid) != 2 or not all(isinstance(g, list) for g in grid):
        raise ValueError(f"its grid is {str(grid)[:60]!r}, which is none")
    most = 1 << MAX_COORDINATE_BITS
    return _integers(grid[0], -most, most), _integers(grid[1], 1, most)


def _integers(values: list[Any], low: int, high: int) -> tuple[int, ...]:
    if not all(type(value) is int and low <= value <= high for value in values) or not values:
        raise ValueError(f"it has {str(values)[:60]!r} where integers of {low} to {high} belong")
    return tuple(values)


def _evaluate(model: QuantInr, codes: np.ndarray, progress: bool) -> Reference:
    """As :func:`dhq_brevitas.inr.integers.evaluate`, which is exact, in pieces."""
    import numpy as np
    import torch
    from tqdm import tqdm

    from dhq_brevitas.inr.integers import Reference, evaluate

    parts = [
        evaluate(model, chunk)
        for chunk in tqdm(
            torch.from_numpy(codes).float().split(CHUNK), desc="unpack", disable=not progress
        )
    ]
    return Reference(
        np.concatenate([part.accumulators for part in parts]),
        np.concatenate([part.outputs for part in parts]),
        max(part.dtype for part in parts),
    )


def _problem(
    signal: Mapping[str, Any],
    shape: tuple[int, ...],
    codes: np.ndarray,
    model: QuantInr,
    reference: Reference,
) -> Problem:
    import numpy as np

    from dhq_brevitas.signals.tasks import Problem

    return Problem(
        _entry(signal, "task", str),
        _entry(signal, "name", str),
        codes,
        np.clip(reference.outputs, -1, 1),
        shape,
        model.coordinate_step,
        details=_entry(signal, "details", dict),
        notes=("unpacked from a file, which does not hold the signal itself",),
        reference=False,
    )


def _write(
    folder: RunFolder,
    key: str,
    unpacked: Unpacked,
    options: UnpackOptions,
    task: Task,
    problem: Problem,
    dtype: str,
    shown: list[str],
) -> None:
    """The other files of the stages fit and quantize, and last their records."""
    from dhq_brevitas.run.networks import save_quantized

    spec, about = unpacked.model.spec, unpacked.about
    numbers = {name: value for name, value in spec.parameters.items() if value is not None}
    fit = replace(
        FitOptions(problem.name, **_options("fit", about)),
        device="cpu",
        task=options.task or task.name,
        family=options.family or str(spec.family),
        hidden=spec.hidden,
        layers=spec.layers,
        parameters=",".join(f"{name}={value!r}" for name, value in numbers.items()),
    )
    quantize = replace(QuantizeOptions(**_options("quantize", about)), device="cpu")
    problem.save(folder.file(SIGNAL))
    files = [*save_quantized(folder, unpacked.model), *shown]
    found = {
        "task": problem.task,
        "name": problem.name,
        "shape": list(problem.shape),
        "channels": problem.channels,
        "notes": list(problem.notes),
    }
    versions = {PACKAGE: importlib.metadata.version(PACKAGE)}
    code = {str(file): file_digest(file) for file in code_files(vars(fit).values())}
    folder.write("fit", key, asdict(fit), {"signal": found}, [SIGNAL], 0.0, versions, code)
    results: dict[str, Any] = {"reference_dtype": dtype}
    if _finite(about.get("psnr")) is not None:
        results["psnr_quant"] = about["psnr"]
    folder.write("quantize", key, asdict(quantize), results, files, 0.0, versions)


def _options(stage: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a file that this version has, where their types are right."""
    given, kind = about.get("options"), _KINDS[stage]
    values = given.get(stage) if isinstance(given, dict) else None
    hints = typing.get_type_hints(kind)
    return {
        name: value
        for name, value in (values if isinstance(values, dict) else {}).items()
        if name in hints
        and name not in LEFT_OUT[stage]
        and type(value) in (typing.get_args(hints[name]) or (hints[name],))
    }
