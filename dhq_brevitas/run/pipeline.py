# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Runs stages in a run folder: checks first, and never the same work twice."""

import importlib.metadata
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
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
)
from dhq_brevitas.run.stages import STAGES
from dhq_brevitas.run.stages.fit import FitOptions
from dhq_brevitas.signals.tasks import Problem, get_task
from dhq_brevitas.util.device import resolve_device

__all__ = ["check_stages", "run_stage"]

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


def run_stage(
    folder: RunFolder,
    name: str,
    options: Any,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> tuple[StageRecord, bool]:
    """Runs stage ``name`` unless its result is there already.

    Returns its record and whether it ran. Raises MissingStageError if a stage that it builds on has
    no valid result, and what the stage raises.
    """
    kind = STAGES[name]
    folder.before(name)
    device = torch.device("cpu")
    if isinstance(options, DeviceOptions):
        device = resolve_device(options.device)
        options = replace(options, device=str(device))
    if kind.prepare is not None:
        options = kind.prepare(
            options, folder, lambda other, asked: run_stage(folder, other, asked, progress, say)
        )
    chosen = folder.chosen().updated([options])
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
    stage.key = folder.key(name, _determines(kind, stage, options), versions)
    record = folder.holds(name, stage.key)
    if record is not None:
        folder.write_summary()
        return record, False
    start = time.monotonic()
    results, files = kind.run(stage, options)
    seconds = time.monotonic() - start
    record = folder.write(name, stage.key, asdict(options), results, files, seconds, versions)
    return record, True


def _determines(kind: StageKind, stage: Stage, options: Any) -> dict[str, Any]:
    """What the result depends on; devices differ in the last bits, and the CPU goes unnamed."""
    values = kind.determines(stage, options)
    if values.get("device") == "cpu":
        del values["device"]
    return values


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
