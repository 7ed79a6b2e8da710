# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``dhq run FOLDER/``: a run for each file of a folder, and a table of them all."""

import contextlib
import io
import warnings
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dhq_brevitas.run.interrupts import handle_interrupts
from dhq_brevitas.run.records import RunFolder
from dhq_brevitas.run.sentences import sentence
from dhq_brevitas.util.errors import check_integer
from dhq_brevitas.util.files import claim_folder
from dhq_brevitas.util.processes import in_processes
from dhq_brevitas.util.tables import shown, text_table, write_csv

__all__ = ["is_folder", "run_many"]

KIND = "runs"
TABLE = "runs.csv"
#: Modules that all runs need.
PRELOADED = ("dhq_brevitas.run.pipeline", "dhq_brevitas.run.report")
COLUMNS = {
    "psnr_float": "float dB",
    "psnr_quant": "quantized dB",
    "psnr_qonnx": "QONNX dB",
    "cycles_per_sample_estimate": "cycles a sample",
    "lut_estimate": "LUT",
    "dsp_rtl_estimate": "DSP",
    "bram18_estimate": "BRAM18",
}


def is_folder(signal: str) -> bool:
    """Whether a folder is meant: without a slash it may be a name, such as camera."""
    return "/" in signal and Path(signal).is_dir()


def run_many(
    arguments: Namespace, run_one: Callable[[Namespace], int], say: Callable[[str], None]
) -> int:
    """Runs every file of the folder ``arguments.signal``; the exit status.

    Each has a folder of its name in ``arguments.out``. ``run_one``: as for one signal. There are
    ``arguments.workers`` at a time, of which, if there are several, only what came of it is said.
    What fails does not stop the others; it is named at the end, and the status is 1. Hidden files
    and folders are passed over. Prints the table, and writes it to ``runs.csv``. ValueError for a
    folder without files, or within which the results would be.
    """
    from dhq_brevitas.inr.training import Interrupted

    check_integer("workers", arguments.workers, 1)
    source, out = Path(arguments.signal), Path(arguments.out)
    files = sorted(p for p in source.iterdir() if p.is_file() and not p.name.startswith("."))
    if not files:
        raise ValueError(f"{source} holds no files: name a folder with pictures, sounds or meshes")
    if out.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"--out {out} is in {source}, whose files are the signals: choose another")
    claim_folder(out, KIND)
    jobs, alone = {}, arguments.workers == 1
    for number, file in enumerate(files, start=1):
        given = {**vars(arguments), "signal": str(file), "out": str(out / file.name)}
        heading = f"{file.name}, {number} of {len(files)}" if alone else ""
        jobs[file.name] = (run_one, Namespace(**given), heading)
    failures = {}
    for name, found in in_processes(_failure, jobs, arguments.workers, PRELOADED):
        if isinstance(found, Interrupted):
            raise found
        reason = sentence(found) if isinstance(found, Exception) else found
        if reason:
            failures[name] = reason
        if not alone:
            say(f"{name}: {'failed' if reason else 'done'}")
    rows = []
    for name in jobs:
        reason = failures.get(name, "")
        rows.append(_row(name, {} if reason else RunFolder(out / name).summary(), reason))
    write_csv(out / TABLE, ["signal", *COLUMNS, "failure"], rows)
    there = [name for name in COLUMNS if any(row[name] != "" for row in rows)]
    table = [["signal", *(COLUMNS[name] for name in there)]]
    table += [[row["signal"], *(shown(row[name]) for name in there)] for row in rows]
    say(f"\n{text_table(table)}\n\n{len(rows)} signals, in {out / TABLE}, too")
    for name, reason in sorted(failures.items()):
        say(f"{name} failed: {reason}")
    return 1 if failures else 0


def _failure(run_one: Callable[[Namespace], int], arguments: Namespace, heading: str) -> str:
    """Why a run failed; "" if it did not.

    Without a ``heading`` it is in a process of its own, beside others, and says nothing.
    """
    said = io.StringIO()
    with contextlib.ExitStack() as held:
        if heading:
            print(heading, flush=True)
        else:
            handle_interrupts()
            warnings.simplefilter("ignore")
            held.enter_context(contextlib.redirect_stdout(io.StringIO()))
            held.enter_context(contextlib.redirect_stderr(said))
        status = run_one(arguments)
    why = said.getvalue().strip().splitlines()[-1:] or ["see above"]
    return f"exit status {status}, {why[0]}" if status else ""


def _row(name: str, summary: Mapping[str, Any], failure: str) -> dict[str, Any]:
    figures = {key: summary.get(key, "") for key in COLUMNS}
    return {"signal": name, **figures, "failure": failure}
