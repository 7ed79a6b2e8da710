# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``dhq run FOLDER/``: a run for each file of a folder, and a table of them all."""

from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dhq_brevitas.run.records import RunFolder
from dhq_brevitas.run.sentences import sentence
from dhq_brevitas.util.files import claim_folder
from dhq_brevitas.util.tables import shown, text_table, write_csv

__all__ = ["is_folder", "run_many"]

KIND = "runs"
TABLE = "runs.csv"
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

    Each has a folder of its name in ``arguments.out``. ``run_one``: as for one signal. What fails
    does not stop the others; it is named at the end, and the status is 1. Hidden files and folders
    are passed over. Prints the table, and writes it to ``runs.csv``. ValueError for a folder
    without files, or within which the results would be.
    """
    source, out = Path(arguments.signal), Path(arguments.out)
    files = sorted(p for p in source.iterdir() if p.is_file() and not p.name.startswith("."))
    if not files:
        raise ValueError(f"{source} holds no files: name a folder with pictures, sounds or meshes")
    if out.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"--out {out} is in {source}, whose files are the signals: choose another")
    claim_folder(out, KIND)
    rows, failures = [], {}
    for number, file in enumerate(files, start=1):
        say(f"{file.name}, {number} of {len(files)}")
        given = {**vars(arguments), "signal": str(file), "out": str(out / file.name)}
        reason = _failure(run_one, Namespace(**given))
        if reason:
            failures[file.name] = reason
        rows.append(_row(file.name, {} if reason else RunFolder(out / file.name).summary(), reason))
    write_csv(out / TABLE, ["signal", *COLUMNS, "failure"], rows)
    there = [name for name in COLUMNS if any(row[name] != "" for row in rows)]
    table = [["signal", *(COLUMNS[name] for name in there)]]
    table += [[row["signal"], *(shown(row[name]) for name in there)] for row in rows]
    say(f"\n{text_table(table)}\n\n{len(rows)} signals, in {out / TABLE}, too")
    for name, reason in failures.items():
        say(f"{name} failed: {reason}")
    return 1 if failures else 0


def _failure(run_one: Callable[[Namespace], int], arguments: Namespace) -> str:
    """Why a run failed; "" if it did not."""
    from dhq_brevitas.inr.training import Interrupted

    try:
        status = run_one(arguments)
    except Interrupted:
        raise
    except Exception as error:
        return sentence(error)
    return f"exit status {status}, see above" if status else ""


def _row(name: str, summary: Mapping[str, Any], failure: str) -> dict[str, Any]:
    figures = {key: summary.get(key, "") for key in COLUMNS}
    return {"signal": name, **figures, "failure": failure}
