# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Run folders: what each stage left, whether it still holds, and the summary of all of it.

A stage writes ``<stage>.json`` last, after all its files. It names the stage before it by digest,
so records form a chain: a record counts as long as its files are unchanged and it follows on the
record before it. Interrupting a stage therefore loses at most that stage.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dhq_brevitas.util.files import file_digest, read_json, text_digest, write_json

__all__ = ["BRANCHES", "STAGES", "MissingStageError", "RunFolder", "StageRecord"]

STAGES = ("fit", "quantize", "export", "build", "simulate")
#: Stages beside that chain, which nothing builds on, and the stage each builds on.
BRANCHES = {"analyze": "fit", "plan": "fit", "synth": "build"}
SUMMARY = "summary.json"
# Part of every key: raise it when a stage computes something else from the same options.
FORMAT = 2


class MissingStageError(ValueError):
    """A stage was asked for before the one it builds on."""


@dataclass(frozen=True)
class StageRecord:
    """What ``<stage>.json`` holds.

    Attributes:
        key: digest of all that determines the result (options, earlier stages).
        previous: digest of the record before, "" for the first.
        options: the stage's options.
        results: values for the summary, and whatever else the stage found.
        files: digest of every file it wrote, by path relative to the folder.
        seconds: time it took.
        versions: of the packages that did the work.
    """

    stage: str
    key: str
    previous: str
    options: dict[str, Any]
    results: dict[str, Any]
    files: dict[str, str]
    seconds: float
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Identity of the result."""
        return text_digest([self.key, self.files])


class RunFolder:
    """The folder ``--out`` of one run."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def file(self, name: str) -> Path:
        """Path of a file in the folder."""
        return self.path / name

    def array(self, name: str, entry: str) -> np.ndarray:
        """One array of a ``.npz`` file in the folder."""
        with np.load(self.file(name)) as arrays:
            return arrays[entry]

    def chain(self) -> dict[str, StageRecord]:
        """The records that hold: in order up to the first missing or outdated, then branches."""
        records: dict[str, StageRecord] = {}
        previous = ""
        for stage in STAGES:
            record = self._read(stage)
            if record is None or record.previous != previous or not self._intact(record):
                break
            records[stage] = record
            previous = record.digest
        for stage, parent in BRANCHES.items():
            record = self._read(stage)
            if parent not in records or record is None or not self._intact(record):
                continue
            if record.previous == records[parent].digest:
                records[stage] = record
        return records

    def before(self, stage: str) -> dict[str, StageRecord]:
        """The records that ``stage`` builds on; MissingStageError if one of them does not hold."""
        chain = self.chain()
        needed = stages_before(stage)
        for name in needed:
            if name not in chain:
                signal = " SIGNAL" if name == "fit" else ""
                raise MissingStageError(
                    f"{stage} needs the result of {name}, which {self.path} does not hold (or not "
                    f"any more): run dhq {name}{signal} --out {self.path} first"
                )
        return {name: chain[name] for name in needed}

    def key(self, stage: str, determines: Any) -> str:
        """Key of ``stage`` from what determines its result beside the stages before it."""
        return text_digest([FORMAT, stage, self._previous(stage), determines])

    def holds(self, stage: str, key: str) -> StageRecord | None:
        """The record of ``stage`` if it has this key and its files are as it left them."""
        record = self._read(stage)
        if record is None or record.key != key or not self._intact(record):
            return None
        return record

    def write(
        self,
        stage: str,
        key: str,
        options: dict[str, Any],
        results: dict[str, Any],
        files: Sequence[str],
        seconds: float,
        versions: dict[str, str],
    ) -> StageRecord:
        """Writes ``<stage>.json`` and the summary; values that are not finite are left out."""
        record = StageRecord(
            stage=stage,
            key=key,
            previous=self._previous(stage),
            options=options,
            results=_finite(results),
            files={name: file_digest(self.file(name)) for name in files},
            seconds=round(seconds, 2),
            versions=versions,
        )
        write_json(self.file(f"{stage}.json"), asdict(record))
        self.write_summary()
        return record

    def summary(self) -> dict[str, Any]:
        """The merged results of all stages that hold, with their options, seconds and versions."""
        summary: dict[str, Any] = {}
        chain = self.chain()
        for record in chain.values():
            summary |= record.results
        summary["seconds"] = {stage: record.seconds for stage, record in chain.items()}
        summary["options"] = {stage: record.options for stage, record in chain.items()}
        summary["versions"] = {}
        for record in chain.values():
            summary["versions"] |= record.versions
        return summary

    def write_summary(self) -> None:
        """Writes ``summary.json``."""
        write_json(self.file(SUMMARY), self.summary())

    def _previous(self, stage: str) -> str:
        needed = stages_before(stage)
        return self.before(stage)[needed[-1]].digest if needed else ""

    def _read(self, stage: str) -> StageRecord | None:
        values = read_json(self.file(f"{stage}.json"))
        if values is None:
            return None
        try:
            return StageRecord(**values)
        except TypeError:  # of another version
            return None

    def _intact(self, record: StageRecord) -> bool:
        for name, digest in record.files.items():
            path = self.file(name)
            if not path.is_file() or file_digest(path) != digest:
                return False
        return True


def stages_before(stage: str) -> tuple[str, ...]:
    """The stages that ``stage`` builds on, in order."""
    if stage in BRANCHES:
        return STAGES[: STAGES.index(BRANCHES[stage]) + 1]
    return STAGES[: STAGES.index(stage)]


def _finite(value: Any) -> Any:
    """``value`` without the dictionary entries that are NaN or infinite, which JSON cannot hold."""
    if isinstance(value, dict):
        return {
            key: _finite(entry)
            for key, entry in value.items()
            if not (isinstance(entry, float) and not math.isfinite(entry))
        }
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return value
