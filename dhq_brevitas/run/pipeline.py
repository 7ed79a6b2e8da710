# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Runs stages in a run folder: checks first, and never the same work twice."""

import importlib.metadata
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch

from dhq_brevitas.run.backends import check_finn
from dhq_brevitas.run.folder import SIGNAL
from dhq_brevitas.run.records import RunFolder, StageRecord
from dhq_brevitas.run.stage import (
    Chosen,
    DeviceOptions,
    Stage,
    StageKind,
    flag_of,
)
from dhq_brevitas.run.stages import STAGES
from dhq_brevitas.run.stages.fit import FitOptions
from dhq_brevitas.signals.tasks import Problem, get_task
from dhq_brevitas.util.device import resolve_device
from dhq_brevitas.util.errors import ArgumentError
from dhq_brevitas.util.plugins import code_digests, code_files

__all__ = ["check_inputs", "check_stages", "run_stage", "without_effect"]

# Part of what determines every result.
PACKAGE = "dhq-brevitas"


def check_stages(stages: Mapping[str, Any], done: Chosen) -> None:
    """Raises what is wrong with the options of ``stages``, by name, before any of them runs.

    ``done``: options of the stages that the folder holds. ValueError for options, and
    ModuleNotFoundError if FINN is needed and missing.
    """
    chosen = done.updated(stages.values())
    for name, options in stages.items():
        if isinstance(options, DeviceOptions):
            resolve_device(options.device)
        STAGES[name].check(options, chosen)
    for name in stages:
        if STAGES[name].needs_finn:
            check_finn(f"{name} needs FINN")


def check_inputs(stages: Mapping[str, Any], folder: RunFolder) -> None:
    """ArgumentError for an option that names, as input, a file that a stage would overwrite."""
    outputs = folder.path.resolve()
    for name, options in stages.items():
        for option, pattern in STAGES[name].inputs.items():
            path = Path(getattr(options, option) or "").resolve()
            if (
                path.is_file()
                and path.is_relative_to(outputs)
                and fnmatch(str(path.relative_to(outputs)), pattern)
            ):
                problem = (
                    f"is in {folder.path}, where results would overwrite it: copy it elsewhere"
                )
                raise ArgumentError(option, getattr(options, option), problem)


def without_effect(stages: Mapping[str, Any]) -> Iterator[str]:
    """A line for each option that is given, not as it is by default, and has no effect."""
    for stage, options in stages.items():
        reasons = STAGES[stage].unused(options)
        for given in fields(options):
            value = getattr(options, given.name)
            if given.name in reasons and value != given.default:
                shown = "" if value is True else f" {value}"
                yield f"note: {flag_of(given.name)}{shown} has no effect: {reasons[given.name]}"


def run_stage(
    folder: RunFolder,
    name: str,
    options: Any,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> tuple[StageRecord, bool]:
    """Runs stage ``name`` unless its result is there already.

    Returns its record and whether it ran. Waits as long as another process works in the folder.
    Raises MissingStageError if a stage that it builds on has no valid result, UntrustedCodeError if
    one has Python files that are not trusted, and what the stage raises.
    """
    folder.before(name)
    check_inputs({name: options}, folder)
    with folder.locked(say):
        return _run_stage(folder, name, options, progress, say)


def _run_stage(
    folder: RunFolder, name: str, options: Any, progress: bool, say: Callable[[str], None]
) -> tuple[StageRecord, bool]:
    kind = STAGES[name]
    device = torch.device("cpu")
    if isinstance(options, DeviceOptions):
        device = resolve_device(options.device)
        options = replace(options, device=str(device))
    if kind.prepare is not None:
        options = kind.prepare(
            options, folder, lambda other, asked: run_stage(folder, other, asked, progress, say)
        )
    chosen = folder.chosen([options])
    code = code_digests(code_files(vars(options).values()))
    stage = Stage(
        folder=folder,
        chosen=chosen,
        task=get_task(chosen.get(FitOptions).task),
        problem=kind.load(options) if kind.load else Problem.load(folder.file(SIGNAL)),
        device=device,
        progress=progress,
        say=say,
    )
    versions = {package: _version(package) for package in (*kind.packages, PACKAGE)}
    stage.key = folder.key(name, _determines(kind, stage, options, code), versions)
    record = folder.holds(name, stage.key)
    if record is not None:
        folder.write_summary()
        return record, False
    start = time.monotonic()
    results, files = kind.run(stage, options)
    seconds = time.monotonic() - start
    record = folder.write(name, stage.key, asdict(options), results, files, seconds, versions, code)
    return record, True


def _determines(
    kind: StageKind, stage: Stage, options: Any, code: Mapping[str, str]
) -> dict[str, Any]:
    """What the result depends on; devices differ in the last bits, and the CPU goes unnamed."""
    values = kind.determines(stage, options)
    if values.get("device") == "cpu":
        del values["device"]
    if code:
        values["code"] = list(code.values())
    return values


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
