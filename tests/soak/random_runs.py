# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Random runs of ``dhq`` for a given time: killed, on full disks, through to the Verilog.

    python tests/soak/random_runs.py --minutes 120 --out runs/soak
    python tests/soak/random_runs.py --seed 17 --out runs/again      (one configuration, again)

A run in a folder is interrupted at random moments and finished; then another one in a folder of
the same name goes through undisturbed. Both must leave the same files. A configuration may be
refused with one sentence. Everything else is a failure: a traceback, an error of dhq, a code that
differs between two levels, a file that differs, more than half an hour.

OUT/summary.json counts; OUT/failures/SEED holds the commands, what they printed, both folders.
"""

import argparse
import filecmp
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from configurations import STAGES, Command, Configuration, Disk, Kill, draw

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 1800.0
# What differs between two equal runs: times, and folders that FINN deleted again.
TIMES = ("seconds", "rtl_samples_per_second", "samples_per_second")
FOLDERS = ("code_gen_dir_ipgen", "ipgen_path", "ip_path", "gen_top_module")
BAD = ("Traceback", "an error of dhq", "Exception ignored", "Aborted", "Segmentation")
LOG_TIME = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ ", re.MULTILINE)
#: Makes the folder $1 a disk of $2 KiB, runs the rest, and leaves what it wrote there in $3.
ON_A_SMALL_DISK = """\
mount -t tmpfs -o size="$2"k none "$1" || exit 99
cp -a "$3"/. "$1"/ || exit 98
disk=$1; left=$3; shift 3
"$@"; status=$?
rm -rf "$left"; cp -a "$disk" "$left"
exit $status
"""
NO_SMALL_DISKS = (98, 99)


class Fault(Exception):
    """What must not be."""


@dataclass
class Finished:
    """A command that ended: how, and what it printed."""

    status: int
    output: str
    errors: str
    seconds: float

    def refusal(self) -> str:
        """The sentence with which it refused, "" if it did all; Fault for anything else."""
        text = self.output + self.errors
        for mark in (
            "Traceback",
            "an error of dhq",
            "Exception ignored",
            "Aborted",
            "Segmentation",
        ):
            if mark in text:
                raise Fault(mark)
        if self.status == 0:
            return ""
        lines = [line for line in self.errors.splitlines() if line.startswith("dhq: error: ")]
        if self.status not in (1, 2) or len(lines) != 1:
            raise Fault(f"status {self.status} with {len(lines)} sentences")
        return lines[0]

    def stage(self, command: Command) -> str:
        """The stage it was at."""
        if command.name != "run":
            return command.name
        done = re.findall(r"^(\w+): (?:\d+ s|unchanged, skipped)$", self.output, re.MULTILINE)
        return next((stage for stage in STAGES if stage not in done), "comparison")


@dataclass
class Soak:
    """The folders of a soak, and what it counts."""

    out: Path
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    failures: list[dict[str, Any]] = field(default_factory=list)
    # Seconds that the commands take, the last undisturbed one counting for a third.
    usual: dict[str, float] = field(default_factory=lambda: defaultdict(lambda: 20.0))
    # Of the configuration that runs.
    log: list[str] = field(default_factory=list)
    kills: int = 0

    @property
    def folder(self) -> Path:
        return self.out / "run"

    def environment(self) -> dict[str, str]:
        """Caches and temporary files of its own, so that what is left of them is seen."""
        return os.environ | {
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "TMPDIR": str(self.out / "temporary"),
            "XDG_CACHE_HOME": str(self.out / "cache"),
        }

    def configuration(self, chosen: Configuration) -> str:
        """Runs one; "done", or the sentence that refused it. Fault for what must not be."""
        for name in ("run", "interrupted", "temporary"):
            shutil.rmtree(self.out / name, ignore_errors=True)
        (self.out / "temporary").mkdir(parents=True)
        (self.out / "cache").mkdir(exist_ok=True)
        interrupted = [self.with_trouble(command) for command in chosen.commands]
        if self.folder.exists():
            self.folder.rename(self.out / "interrupted")
        refused = [self.undisturbed(command) for command in chosen.commands]
        if refused != interrupted:
            raise Fault(f"refused otherwise behind an interruption: {interrupted}")
        differing = differences(self.out / "interrupted", self.folder)
        if differing:
            raise Fault(f"differs behind an interruption: {', '.join(differing)}")
        self.check_codes()
        self.check_temporary()
        return next((f"refused: {text}" for text in refused if text), "done")

    def with_trouble(self, command: Command) -> str:
        """Kills it, and lets it finish then; its refusal."""
        for trouble in command.trouble:
            if isinstance(trouble, Kill):
                self.killed(command, trouble)
            else:
                self.on_full_disk(command, trouble)
        return self.undisturbed(command, measured=False)

    def undisturbed(self, command: Command, measured: bool = True) -> str:
        finished = self.run(self.arguments(command))
        if measured:
            self.usual[command.name] += (finished.seconds - self.usual[command.name]) / 3
        self.counts["commands"][command.name] += 1
        return finished.refusal()

    def killed(self, command: Command, kill: Kill) -> None:
        seconds = kill.share * self.usual[command.name]
        number = signal.Signals[kill.signal]
        finished = self.run(self.arguments(command), (seconds, number, kill.children))
        stopped = finished.status == -number or "interrupted" in finished.refusal()
        if stopped:
            self.kills += 1
            self.counts[kill.signal][finished.stage(command)] += 1

    def on_full_disk(self, command: Command, disk: Disk) -> None:
        """One of its folders in a small file system of memory, and what is left of it kept."""
        folder = self.folder if disk.folder == "out" else self.out / disk.folder
        left = self.out / "left"
        shutil.rmtree(left, ignore_errors=True)
        left.mkdir()
        if disk.folder == "out" and folder.exists():
            shutil.copytree(folder, left, dirs_exist_ok=True, symlinks=True)
        folder.mkdir(exist_ok=True)
        shell = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK]
        shell += ["sh", str(folder), str(disk.kib), str(left)]
        finished = self.run([*shell, *self.arguments(command)])
        if finished.status in NO_SMALL_DISKS:
            self.counts["small disks"]["not possible"] += 1
        else:
            refusal = finished.refusal()
            full = "disk is full" in refusal or "No space left" in refusal
            full = full or "KiB are free in" in refusal
            if refusal and not full and not self.refused_anyway(command, refusal):
                raise Fault(f"a full disk is not named: {refusal}")
            self.counts["small disks"][f"{disk.folder}, {'full' if full else 'enough'}"] += 1
        if disk.folder == "out" and finished.status not in NO_SMALL_DISKS:
            shutil.rmtree(folder)
            left.rename(folder)
        if not any(folder.iterdir()):
            folder.rmdir()

    def refused_anyway(self, command: Command, refusal: str) -> bool:
        return self.run(self.arguments(command)).refusal() == refusal

    def arguments(self, command: Command) -> list[str]:
        program = [sys.executable, "-m", "dhq_brevitas.run"]
        return [*program, *command.arguments, "--out", str(self.folder), "--quiet"]

    def run(
        self, arguments: Sequence[str], kill: tuple[float, signal.Signals, bool] | None = None
    ) -> Finished:
        """Runs a command, at most half an hour; sends it (or its group) a signal."""
        (self.out / "temporary").mkdir(exist_ok=True)
        start = time.monotonic()
        with (
            open(self.out / "stdout", "w+") as output,
            open(self.out / "stderr", "w+") as errors,
        ):
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=self.environment(),
                start_new_session=True,
            )
            status = wait_or_kill(process, kill)
            output.seek(0)
            errors.seek(0)
            finished = Finished(status, output.read(), errors.read(), time.monotonic() - start)
        how = "" if kill is None else f"  # {kill[1].name} after {kill[0]:.2f} s"
        self.log += [f"$ {shlex.join(arguments)}{how}", finished.output + finished.errors]
        self.log.append(f"[status {status}, {finished.seconds:.1f} s]")
        return finished

    def check_codes(self) -> None:
        """Every code that was compared is the same, and counted."""
        path = self.folder / "summary.json"
        summary = json.loads(path.read_text()) if path.exists() else {}
        total = summary.get("codes_compared", 0)
        compared = {"quant_qonnx": total, "qonnx_finn": total}
        compared["finn_rtl"] = summary.get("rtl_codes_compared", 0)
        for name, codes in compared.items():
            differing = summary.get(f"mismatch_{name}")
            if differing is None:
                continue
            self.counts["codes compared"][name] += codes
            self.counts["codes differing"][name] += differing
            if differing:
                raise Fault(f"mismatch_{name}: {differing} of {codes}")
        nodes = [node for node in summary.get("nodes", []) if node.get("mismatches")]
        if nodes:
            raise Fault(f"nodes that differ: {nodes}")

    def check_temporary(self) -> None:
        left = [name for name in os.listdir(self.out / "temporary") if name.startswith("dhq_")]
        if left:
            raise Fault(f"temporary files are left: {left}")

    def keep(self, chosen: Configuration, fault: Fault) -> None:
        """A folder with all that is known of a failure."""
        folder = self.out / "failures" / str(chosen.seed)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "log.txt").write_text("\n".join([*self.log, f"fault: {fault}", ""]))
        for name in ("run", "interrupted"):
            if (self.out / name).exists():
                shutil.copytree(self.out / name, folder / name, symlinks=True)
        self.failures.append({"seed": chosen.seed, "fault": str(fault)})

    def write(self, seconds: float) -> dict[str, Any]:
        """summary.json."""
        summary: dict[str, Any] = {"seconds": round(seconds)}
        summary |= {name: dict(sorted(counter.items())) for name, counter in self.counts.items()}
        summary["failures"] = self.failures
        partial = self.out / "summary.partial"
        partial.write_text(json.dumps(summary, indent=2) + "\n")
        partial.replace(self.out / "summary.json")
        return summary


def wait_or_kill(
    process: subprocess.Popen[bytes], kill: tuple[float, signal.Signals, bool] | None
) -> int:
    """Exit status; Fault behind half an hour."""
    if kill is not None:
        seconds, number, children = kill
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            (os.killpg if children else os.kill)(process.pid, number)
    try:
        return process.wait(LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise Fault(f"not done after {LIMIT_SECONDS:.0f} s") from None


def differences(first: Path, second: Path) -> list[str]:
    """Names of files that are in one folder only, or not the same in both."""
    names = [
        {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
        for folder in (first, second)
    ]
    found = sorted(names[0] ^ names[1])
    return found + [n for n in sorted(names[0] & names[1]) if not same(first / n, second / n)]


def same(first: Path, second: Path) -> bool:
    """Whether two files are equal, but for times and deleted folders."""
    if filecmp.cmp(first, second, shallow=False):
        return True
    if first.suffix == ".json":
        return _without_times(first) == _without_times(second)
    if first.suffix == ".log":
        return LOG_TIME.sub("", first.read_text()) == LOG_TIME.sub("", second.read_text())
    if first.suffix == ".onnx":
        return _without_folders(first) == _without_folders(second)
    if first.suffix == ".npz":
        with np.load(first) as a, np.load(second) as b:
            return set(a) == set(b) and all(np.array_equal(a[n], b[n]) for n in a)
    return False


def _without_times(path: Path) -> Any:
    def pruned(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: pruned(v) for name, v in value.items() if name not in TIMES}
        return [pruned(v) for v in value] if isinstance(value, list) else value

    return pruned(json.loads(path.read_text()))


def _without_folders(path: Path) -> bytes:
    model = onnx.load(path)
    for node in model.graph.node:
        for attribute in [a for a in node.attribute if a.name in FOLDERS]:
            node.attribute.remove(attribute)
    return model.SerializeToString(deterministic=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="random_runs")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long")
    parser.add_argument("--first", type=int, default=0, help="seed of the first configuration")
    parser.add_argument("--seed", type=int, help="only this configuration")
    parser.add_argument("--out", type=Path, default=Path("runs/soak"), help="folder")
    options = parser.parse_args()
    soak, start = Soak(options.out.absolute()), time.monotonic()
    soak.out.mkdir(parents=True, exist_ok=True)
    seed = options.first if options.seed is None else options.seed
    while True:
        chosen, soak.log = draw(seed), []
        try:
            soak.kills = 0
            result = soak.configuration(chosen)
            soak.counts["kills"]["resumed to the same bytes"] += soak.kills
        except Fault as fault:
            soak.counts["kills"]["in failures"] += soak.kills
            soak.keep(chosen, fault)
            result = f"FAILED: {fault}"
        soak.counts["configurations"][result.split(":")[0]] += 1
        seconds = time.monotonic() - start
        print(f"{seconds:.0f} s, seed {seed}: {result}", flush=True)
        summary = soak.write(seconds)
        seed += 1
        if options.seed is not None or seconds > 60 * options.minutes:
            break
    print(json.dumps(summary, indent=2))
    return 1 if soak.failures else 0


if __name__ == "__main__":
    sys.exit(main())
