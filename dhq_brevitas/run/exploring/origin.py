# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``dhq run --from FOLDER:TRIAL``: a run as a trial of an exploration was."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dhq_brevitas.run.records import RunFolder, UntrustedCodeError
from dhq_brevitas.util.files import START_OVER, read_json
from dhq_brevitas.util.plugins import code_files

__all__ = ["copy_trial", "trial_settings"]


def trial_settings(origin: str, trust_code: bool = False) -> dict[str, Any]:
    """The options of ``dhq run`` that make the design of a trial.

    ValueError if ``origin`` is no FOLDER:TRIAL of a design that was measured; UntrustedCodeError if
    its options name Python files, unless they are trusted.
    """
    folder, number = _parts(origin)
    record = read_json(folder / "trials" / f"{number}.json", START_OVER)
    if record is None:
        problem = "names no finished trial: the table of dhq explore, and front.csv, have those"
        raise ValueError(f"--from {origin!r} {problem}")
    if record["given_up"]:
        problem = f"names a trial that was given up: {record['given_up']}"
        raise ValueError(f"--from {origin!r} {problem}")
    settings: dict[str, Any] = record["settings"]
    for file in code_files(settings.values()):
        if not trust_code:
            raise UntrustedCodeError(
                f"{folder} names the Python file {file}, which would be executed: add --trust-code "
                "if you trust it"
            )
    return settings


def copy_trial(origin: str, run: RunFolder, say: Callable[[str], None]) -> None:
    """Copies what was computed for a trial to a run folder without results.

    So nothing is computed twice, nor differs, as it may with another number of threads.
    """
    folder, number = _parts(origin)
    source = folder / "trials" / str(number)
    with run.locked(say):
        if source.is_dir() and not run.chain():
            shutil.copytree(source, run.path, dirs_exist_ok=True)


def _parts(origin: str) -> tuple[Path, int]:
    folder, separator, number = origin.rpartition(":")
    if not separator or not number.isdecimal():
        problem = "is not FOLDER:TRIAL: write the folder of dhq explore and a number of its table"
        raise ValueError(f"--from {origin!r} {problem}")
    return Path(folder), int(number)
