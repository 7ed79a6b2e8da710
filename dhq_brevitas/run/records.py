# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Run folders: what each stage left, whether it still holds, and the summary of all of it.

A stage writes ``<stage>.json`` last, after all its files. It names the stage that it builds on by
digest: a record counts as long as its files are unchanged and the record that it builds on counts
and is still that one. Interrupting a stage therefore loses at most that stage.
"""

import contextlib
import math
import os
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dhq_brevitas.run.folder import Folder
from dhq_brevitas.run.stage import Chosen
from dhq_brevitas.run.stages import STAGES, stages_before
from dhq_brevitas.util.files import (
    START_OVER,
    claim_folder,
    file_digest,
    read_json,
    remove_partial_files,
    text_digest,
    write_json,
)
from dhq_brevitas.util.plugins import code_files

__all__ = ["MissingStageError", "RunFolder", "StageRecord", "UntrustedCodeError"]

SUMMARY = "summary.json"
KIND = "run"
MARK = f".dhq-{KIND}"
# Part of every key: raise it when a stage computes something else from the same options.
FORMAT = 4


class MissingStageError(ValueError):
    """What a stage makes is asked for, and is not there."""


class UntrustedCodeError(ValueError):
    """A folder names a Python file that would be executed, and nobody said that it may be."""


@dataclass(frozen=True)
class StageRecord:
    """What ``<stage>.json`` holds.

    Attributes:
        key: digest of all that determines the result (options, earlier stages, versions).
        previous: digest of the record that it builds on, "" for the first.
        options: the stage's options.
        results: values for the summary, and whatever else the stage found.
        files: digest of every file it wrote, by path relative to the folder.
        seconds: time it took.
        versions: of the packages that did the work.
        code: digest of every Python file that its options name, and of the user's files that these
            import, by absolute path.
    """

    stage: str
    key: str
    previous: str
    options: dict[str, Any]
    results: dict[str, Any]
    files: dict[str, str]
    seconds: float
    versions: dict[str, str] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Identity of the result."""
        return text_digest([self.key, self.files])

    @property
    def typed_options(self) -> Any:
        """The options as the stage takes them; TypeError if it has other ones now."""
        return STAGES[self.stage].options(**self.options)


class RunFolder(Folder):
    """The folder ``--out`` of one run, with the records of its stages.

    Args:
        path: of the folder.
        trust_code: whether Python files that its records name may be executed. Those that options
            given in this process name may be, whatever it is.
    """

    def __init__(self, path: str | os.PathLike[str], trust_code: bool = False) -> None:
        super().__init__(path)
        self.trust_code = trust_code
        self._named: set[Path] = set()
        self._lock: FileLock | None = None

    @property
    def marked(self) -> bool:
        """Whether it is marked as a run's."""
        return self.file(MARK).exists()

    def check_exists(self) -> None:
        """FileNotFoundError unless it is empty or a run's, marked or of earlier versions."""
        names = {path.name for path in self.path.iterdir()} if self.path.is_dir() else {""}
        if names and not names & {MARK, "fit.json"}:
            raise FileNotFoundError(f"there is no run folder {self.path}: make one with dhq run")

    @contextlib.contextmanager
    def locked(self, say: Callable[[str], None]) -> Iterator[None]:
        """Makes the folder, and keeps other processes from writing to it.

        Waits as long as one does, which ``say`` is told. ValueError if the folder holds other files
        than a run's.
        """
        if self._lock is None:
            self._lock = FileLock(claim_folder(self.path, KIND, ["fit.json"]))
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            say(f"waiting for another dhq, which is at work in {self.path}")
            self._lock.acquire()
        try:
            remove_partial_files(self.path)
            yield
        finally:
            self._lock.release()

    def chain(self) -> dict[str, StageRecord]:
        """The records that hold, each behind the one it builds on."""
        records: dict[str, StageRecord] = {}
        for stage, kind in STAGES.items():
            if kind.after and kind.after not in records:
                continue
            record = self._read(stage)
            previous = records[kind.after].digest if kind.after else ""
            if record is not None and record.previous == previous and self._intact(record):
                records[stage] = record
        return records

    def chosen(self, given: Iterable[Any] = ()) -> Chosen:
        """Options of the stages whose records hold; ``given`` instead of those of their classes.

        Python files that ``given`` names may be executed from now on. UntrustedCodeError for one
        that only a record names.
        """
        given = list(given)
        for options in given:
            self._named.update(code_files(vars(options).values()))
        kinds = {type(options) for options in given}
        recorded = [record.typed_options for record in self.chain().values()]
        for options in recorded:
            if not self.trust_code and type(options) not in kinds:
                self._check_code(options)
        return Chosen(recorded).updated(given)

    def _check_code(self, options: Any) -> None:
        for file in code_files(vars(options).values()):
            if file not in self._named:
                raise UntrustedCodeError(
                    f"the folder {self.path} names the Python file {file}, which would be "
                    "executed: add --trust-code (in Python, trust_code=True) if you trust it"
                )

    def before(self, stage: str) -> dict[str, StageRecord]:
        """The records that ``stage`` builds on; MissingStageError if one of them does not hold."""
        needed = stages_before(stage)
        chain = self.chain() if needed else {}
        for name in needed:
            if name not in chain:
                raise self._missing(stage, name)
        return {name: chain[name] for name in needed}

    def require(self, stage: str, what: str) -> None:
        """MissingStageError that names ``what``, unless the record of ``stage`` holds."""
        chain = self.chain()
        for name in (*stages_before(stage), stage):
            if name not in chain:
                raise self._missing(what, name)

    def _missing(self, what: str, stage: str) -> MissingStageError:
        signal = "" if STAGES[stage].after else " SIGNAL"
        return MissingStageError(
            f"{what} needs the result of {stage}, which {self.path} does not hold (or not any "
            f"more): run dhq {stage}{signal} --out {self.path} first"
        )

    def key(self, stage: str, determines: Any, versions: Mapping[str, str]) -> str:
        """Key of ``stage`` from what determines its result beside the stages before it."""
        return text_digest([FORMAT, stage, self._previous(stage), determines, dict(versions)])

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
        code: dict[str, str] | None = None,
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
            code=code or {},
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
        after = STAGES[stage].after
        return self.before(stage)[after].digest if after else ""

    def _read(self, stage: str) -> StageRecord | None:
        values = read_json(self.file(f"{stage}.json"), START_OVER)
        if values is None:
            return None
        try:
            record = StageRecord(**values)
            _check_types(record)
            _check_types(record.typed_options)
            texts = [*record.files.values(), *record.versions.values(), *record.code.values()]
            return record if record.stage == stage and all(map(_is_text, texts)) else None
        except TypeError:  # of another version, or edited
            return None

    def _intact(self, record: StageRecord) -> bool:
        files = {self.file(name): digest for name, digest in record.files.items()}
        files |= {Path(name): digest for name, digest in record.code.items()}
        return all(path.is_file() and file_digest(path) == files[path] for path in files)


def _check_types(values: Any) -> None:
    """TypeError for a field of a dataclass that is not of the type it is annotated with."""
    for name, annotation in typing.get_type_hints(type(values)).items():
        kind = typing.get_origin(annotation) or annotation
        kind = annotation if kind is types.UnionType else kind
        given = getattr(values, name)
        whole = isinstance(given, int) and isinstance(0.0, kind)  # JSON has 1 for 1.0
        if not isinstance(given, kind) and not whole:
            raise TypeError(f"{name}={given!r}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


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
