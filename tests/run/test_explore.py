# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``dhq explore``: each trial once, whatever happens; the front; ``dhq run --from``."""

import contextlib
import csv
import functools
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from browser import BROWSER, probed
from commands import failure, run
from PIL import Image

if find_spec("finn") is None or find_spec("optuna") is None:
    pytest.skip("explore needs FINN and Optuna", allow_module_level=True)

from dhq_brevitas.run.exploring import trial as trials
from dhq_brevitas.run.exploring.options import (
    DIRECTIONS,
    SEARCHED,
    ExploreOptions,
    cycles_per_sample,
    parse_range,
)
from dhq_brevitas.run.exploring.origin import trial_settings
from dhq_brevitas.run.exploring.study import Exploration
from dhq_brevitas.util.errors import ArgumentError

pytestmark = pytest.mark.filterwarnings("ignore")

PART = "xc7z020clg400-1"
TINY = ["camera", "--size", "16", "--part", PART, "--target-fps", "60", "--hidden", "8,16"]
TINY += ["--family", "siren", "--layers", "1", "--steps", "20", "--qat-steps", "0"]
TINY += ["--workers", "1"]
TRIALS = 3
OBJECTIVES = {name: DIRECTIONS[name] for name in ExploreOptions().judged_by()}
SPACE = {"family": ("siren",), "hidden": range(8, 65), "layers": (1,), "weight_bits": range(3, 9)}
SPACE |= {"act_bits": (8,), "phase_bits": (8,), "rotation": ("none",), "speed": (1,)}


def explore(folder, *arguments, number=TRIALS) -> int:
    return run("explore", *TINY, "--trials", number, "--out", folder, *arguments)


def records(folder) -> list[dict]:
    found = [json.loads(path.read_text()) for path in Path(folder, "trials").glob("*.json")]
    return sorted(found, key=lambda record: record["trial"])


def results(folder) -> list[tuple]:
    """(design, objectives) of each trial."""
    return [
        (record["design"], [record.get(name) for name in OBJECTIVES]) for record in records(folder)
    ]


def opened(folder, storage=None) -> Exploration:
    """The study of an exploration."""
    asked = json.loads(Path(folder, "exploration.json").read_text())["asked"]
    del asked["storage"]
    space = {name: asked.pop(name) for name in SEARCHED}
    objectives = asked.pop("objectives")
    return Exploration(Path(folder), asked, space, objectives, storage=storage)


def check_each_once(folder, number=TRIALS, storage=None) -> None:
    found = opened(folder, storage).trials()
    assert [trial.number for trial in found] == list(range(number))
    assert {trial.state.name for trial in found} <= {"COMPLETE", "PRUNED"}
    assert len({str(sorted(trial.params.items())) for trial in found}) == number
    known = records(folder)
    assert [record["trial"] for record in known] == list(range(number))
    for trial, record in zip(found, known, strict=True):
        assert trial.params == record["design"]
        assert trial.values == (
            None if record["given_up"] else [record[name] for name in OBJECTIVES]
        )


@pytest.fixture(scope="module")
def explored(tmp_path_factory):
    """A folder with a study that nobody interrupted, and what was printed."""
    folder = tmp_path_factory.mktemp("study") / "study"
    output = folder.parent / "output.txt"
    with output.open("w") as stream, contextlib.redirect_stdout(stream):
        assert explore(folder) == 0
    return folder, output.read_text()


# -- the front -------------------------------------------------------------------------------------


def better(one, other) -> bool:
    """Whether ``one`` is at least as good in everything, and better in something."""
    pairs = [
        (one[name], other[name]) if way == "maximize" else (other[name], one[name])
        for name, way in OBJECTIVES.items()
    ]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def test_front(explored):
    folder, text = explored
    known = records(folder)
    expected = [r["trial"] for r in known if not any(better(other, r) for other in known)]
    front = json.loads((folder / "front.json").read_text())["front"]
    assert sorted(record["trial"] for record in front) == expected
    assert [r["psnr"] for r in front] == sorted((r["psnr"] for r in front), reverse=True)
    with (folder / "front.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["trial"]) for row in rows] == [record["trial"] for record in front]
    assert [float(row["psnr"]) for row in rows] == [record["psnr"] for record in front]
    assert len((folder / "trials.csv").read_text().splitlines()) == TRIALS + 1
    with Image.open(folder / "front.png") as picture:
        assert picture.width > 2 * picture.height
    page = (folder / "front.html").read_text()
    assert "http" not in page
    assert f"{TRIALS} designs, 0 of them given up; {len(front)} on the front" in page
    assert page.count("<tr>") == 2 + len(front) + TRIALS
    best = front[0]
    assert f"{best['trial']:<5}  {best['psnr']:.2f}" in text
    assert f"dhq run --from {folder}:{best['trial']} --out DIR" in text
    check_each_once(folder)


def test_float_networks_are_shared(explored):
    folder, _ = explored
    pairs = {(r["design"]["family"], r["design"]["hidden"]) for r in records(folder)}
    assert len(list((folder / "floats").iterdir())) == len(pairs) < TRIALS


def test_from_builds_what_the_trial_promised(explored, tmp_path, capsys):
    """The copy of the trial, and the network computed anew, have its very PSNR."""
    folder, _ = explored
    best = json.loads((folder / "front.json").read_text())["front"][0]
    origin = f"{folder}:{best['trial']}"
    assert run("run", "--from", origin, "--until", "export", "--out", tmp_path / "a") == 0
    assert "quantize: unchanged, skipped" in capsys.readouterr().out
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    assert summary["psnr_qonnx"] == summary["psnr_quant"] == best["psnr"]
    assert summary["mismatch_quant_qonnx"] == 0
    alone = tmp_path / "alone" / "trials"
    alone.mkdir(parents=True)
    shutil.copy(folder / "trials" / f"{best['trial']}.json", alone)
    origin = f"{alone.parent}:{best['trial']}"
    assert run("run", "--from", origin, "--until", "quantize", "--out", tmp_path / "b") == 0
    assert "quantize: unchanged, skipped" not in capsys.readouterr().out
    again = json.loads((tmp_path / "b" / "summary.json").read_text())
    assert again["psnr_quant"] == best["psnr"]
    # What is given counts.
    arguments = ["--from", origin, "--qat-steps", 1, "--until", "quantize"]
    assert run("run", *arguments, "--out", tmp_path / "b") == 0
    other = json.loads((tmp_path / "b" / "summary.json").read_text())
    assert other["options"]["quantize"] == {**again["options"]["quantize"], "qat_steps": 1}


@pytest.mark.exhaustive
def test_a_build_takes_what_the_trial_says(explored, tmp_path):
    folder, _ = explored
    for record in json.loads((folder / "front.json").read_text())["front"]:
        out = tmp_path / str(record["trial"])
        assert run("run", "--from", f"{folder}:{record['trial']}", "--out", out) == 0
        summary = json.loads((out / "summary.json").read_text())
        assert summary["lut_estimate"] == record["lut"]
        assert summary["dsp_rtl_estimate"] == record["dsp"]
        assert summary["bram18_estimate"] == record["bram18"]
        assert summary["options"]["build"]["clk_ns"] == 10
        assert summary["mismatch_qonnx_finn"] == 0


# -- each trial once -------------------------------------------------------------------------------


def forked(folder, *arguments, number=TRIALS, output=os.devnull):
    """``dhq explore`` in a process of its own, which need not import everything again."""

    def work() -> None:
        torch.set_num_threads(1)
        with open(output, "w") as stream, contextlib.redirect_stdout(stream):
            status = explore(folder, *arguments, number=number)
        os._exit(status)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


def kill_once(folder, seconds: float, *arguments, number=TRIALS) -> bool:
    """Whether it was at work when it was killed."""
    process = forked(folder, *arguments, number=number)
    process.join(seconds)
    process.kill()  # SIGKILL, if it did not end by itself
    process.join()
    return process.exitcode == -signal.SIGKILL


def test_killed_and_started_again(explored, tmp_path, capsys):
    """It goes on as if nothing had been: the same designs and numbers."""
    moment = random.Random(time.time_ns()).uniform(0.3, 2.0)
    killed = kill_once(tmp_path / "study", moment)
    print(f"killed after {moment:.2f} s: {killed}")
    assert explore(tmp_path / "study") == 0
    check_each_once(tmp_path / "study")
    assert results(tmp_path / "study") == results(explored[0])
    capsys.readouterr()
    assert explore(tmp_path / "study") == 0
    text = capsys.readouterr().out
    assert "\ntrial 0:" not in text
    assert f"{TRIALS} designs, 0 of them given up" in text


@pytest.mark.exhaustive
def test_killed_twenty_times(explored, tmp_path):
    moments, kills, number = random.Random(time.time_ns()), 0, 8
    folder = tmp_path / "study"
    for _ in range(20):
        if kill_once(folder, moments.uniform(0.1, 3.0), number=number):
            kills += 1
        else:  # it was done: the other kills meet a new study
            check_each_once(folder, number)
            shutil.rmtree(folder)
    print(f"killed at work {kills} times")
    assert explore(folder, number=number) == 0
    check_each_once(folder, number)
    assert results(folder)[:TRIALS] == results(explored[0])


def test_two_processes_share_a_study(tmp_path):
    outputs = [tmp_path / "a.txt", tmp_path / "b.txt"]
    processes = [forked(tmp_path / "study", number=3, output=path) for path in outputs]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    check_each_once(tmp_path / "study", 3)
    worked = [set(re.findall(r"^trial \d+", path.read_text(), re.MULTILINE)) for path in outputs]
    assert not worked[0] & worked[1]
    assert worked[0] | worked[1] == {f"trial {number}" for number in range(3)}


@pytest.mark.exhaustive
def test_workers_of_one_command(tmp_path):
    """Two workers; one of them is killed, and what it left is done."""
    command = [sys.executable, "-m", "dhq_brevitas.run", "explore", *TINY, "--workers", "3"]
    command += ["--trials", "20", "--out", str(tmp_path / "study")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("trial 4:"):
                break
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        workers = [
            int(c) for c in children if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes()
        ]
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        process.stdout.read()
    assert process.returncode == 0
    check_each_once(tmp_path / "study", 20)


def test_what_was_left_behind_is_taken_up(tmp_path):
    exploration = Exploration(tmp_path / "study", {"seed": 0}, SPACE, OBJECTIVES)
    left, held = exploration.claim(3, 0), exploration.claim(3, 0)
    assert (left.number, held.number) == (0, 1)
    left.lock.release()  # as the system does for a process that is killed
    other = Exploration(tmp_path / "study", {"seed": 0}, SPACE, OBJECTIVES)
    again = other.claim(3, 0)
    assert (again.number, again.design) == (0, left.design)
    last = other.claim(3, 0)
    assert last.number == 2
    assert other.claim(3, 0) is None
    other.tell(again, {"given_up": "test"})
    assert other.claim(3, 0) is None
    assert [trial.state.name for trial in other.trials()] == ["PRUNED", "RUNNING", "RUNNING"]


def test_no_design_twice(tmp_path):
    """Not even where there are no more."""
    space = {**SPACE, "hidden": (8, 16), "weight_bits": (4, 5)}
    exploration = Exploration(tmp_path / "study", {"seed": 0}, space, OBJECTIVES)
    designs = []
    while claim := exploration.claim(9, 0, lambda d: d != {**d, "hidden": 8, "weight_bits": 4}):
        designs.append((claim.design["hidden"], claim.design["weight_bits"]))
        exploration.tell(claim, {"given_up": "", "psnr": 1.0, "lut": 1, "dsp": 1, "bram18": 1})
    assert Counter(designs) == Counter([(8, 5), (16, 4), (16, 5)])


def test_the_search_learns(tmp_path):
    """After ten draws by chance, what is good is drawn more often than chance would draw it.

    A third of all designs has more than 6 bits, which give 10 dB here; half of them are given up.
    """
    exploration = Exploration(
        tmp_path / "study", {"seed": 0}, {**SPACE, "family": ("a", "b")}, OBJECTIVES
    )
    designs = []
    while (claim := exploration.claim(32, 0)) is not None:
        designs.append(claim.design)
        record = {"given_up": "test" if claim.design["family"] == "b" else "", "dsp": 1}
        record["psnr"] = 10.0 * (claim.design["weight_bits"] > 6)
        exploration.tell(claim, {**record, "lut": claim.design["hidden"], "bram18": 1})
    drawn = designs[10:]
    assert len(drawn) == 22
    assert sum(design["weight_bits"] > 6 for design in drawn) >= 12
    assert sum(design["family"] == "a" for design in drawn) >= 17
    assert sum(design["hidden"] for design in drawn) / 22 < 28  # by chance 36


# -- what is given up ------------------------------------------------------------------------------


def test_too_large_for_the_part(tmp_path, capsys):
    """It is given up ahead of its fit."""
    large = ["--hidden", "128", "--layers", "2", "--part", "xc7z010clg400-1", "--target-fps", 7000]
    assert explore(tmp_path / "study", *large, number=1) == 0
    text = capsys.readouterr().out
    assert "given up: takes " in text
    assert "dsp, the part has 80" in text
    assert "1 designs, 1 of them given up; 0 on the front" in text
    assert list((tmp_path / "study" / "floats").iterdir()) == []


def test_diverged(tmp_path, capsys):
    assert explore(tmp_path / "study", "--learning-rate", 1e30, number=1) == 0
    assert "given up: training diverged at step 20" in capsys.readouterr().out
    check_each_once(tmp_path / "study", 1)


def test_hopeless_designs():
    """One that takes as much as a finished one, of a float network that is more than 1 dB worse."""
    finished = [{"trial": 3, "psnr": 30.0, "lut": 100, "dsp": 4, "bram18": 2, "uram": 0}]
    used = {"lut": 100, "dsp": 4, "bram18": 2, "uram": 0}
    evaluator = SimpleNamespace(objectives=("psnr", "lut"))
    check = functools.partial(trials.Evaluator._check_reachable, evaluator)
    check(used, 29.1, finished)
    check(used | {"lut": 99, "dsp": 40}, 20.0, finished)
    with pytest.raises(trials._GivenUp, match=r"reach 28.90 dB, trial 3 has 30.00 dB"):
        check(used, 28.9, finished)
    # One that is faster than the finished one may be worse.
    evaluator.objectives = ("psnr", "samples_per_second")
    check(used | {"samples_per_second": 2}, 20.0, [finished[0] | {"samples_per_second": 1}])


# -- what is asked ---------------------------------------------------------------------------------


def test_ranges():
    assert parse_range("hidden", "16-64:16") == range(16, 65, 16)
    assert list(parse_range("hidden", "16-64:20")) == [16, 36, 56]
    assert parse_range("hidden", "8, 16-18,8") == (8, 16, 17, 18)
    assert parse_range("family", "siren, finer") == ("siren", "finer")


def test_cycles():
    """⌊100 MHz / (30 · 512 · 512)⌋ = ⌊12.7⌋"""
    assert cycles_per_sample(ExploreOptions(target_fps=30.0), 512 * 512) == 12
    assert cycles_per_sample(ExploreOptions(target_fps=30.0, clk_ns=5.0), 512 * 512) == 25
    with pytest.raises(ArgumentError, match=r"at most 381.5"):
        cycles_per_sample(ExploreOptions(target_fps=400.0), 512 * 512)


WRONG = {
    "no trials": (["--trials", "0"], 2, "--trials 0 must be at least 1"),
    "no workers": (["--workers", "0"], 2, "--workers 0 must be at least 1"),
    "unknown part": (["--part", "xc9"], 2, "--part 'xc9' has resources that are not known: use"),
    "empty range": (["--weight-bits", "8-4"], 2, "--weight-bits '8-4' has the empty range 8-4"),
    "nothing": (["--family", ","], 2, "--family ',' has no value to choose from"),
    "no number": (["--hidden", "wide"], 2, "--hidden 'wide' has 'wide': write numbers"),
    "no rate": (["--target-fps", "-1"], 2, "--target-fps -1.0 must be a positive number"),
    "too fast": (["--target-fps", "1e9"], 1, "more than one a clock of 10 ns"),
    "size": (["--size", "16by9"], 2, "--size '16by9' is no size"),
    "sides": (["--size", "16x9"], 1, "'16x9' does not keep the signal's proportions: use 16x16"),
    "bits": (["--weight-bits", "8-14"], 1, "is out of range: use 2 to 12 bits"),
    "side": (["--rotation", "left"], 1, "rotation='left' is unknown: use"),
    "family": (["--family", "sirene"], 1, "sirene"),
    "signal": (["--task", "audio", "--size", "64"], 1, "there is no sound 'camera'"),
    "no URL": (["--storage", "somewhere"], 1, "--storage 'somewhere' is no URL of a database"),
    "no server": (
        ["--storage", "postgresql+psycopg://me:secret@127.0.0.1:9/x"],
        1,
        "the storage postgresql+psycopg://me:***@127.0.0.1:9/x cannot be used (connection failed",
    ),
    "no driver": (
        ["--storage", "oracle://me@h/x"],
        1,
        "the storage oracle://me@h/x cannot be used",
    ),
    "no folder": (["--storage", "sqlite:////none/x.db"], 1, "unable to open database file"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong(name, tmp_path, capsys):
    arguments, status, text = WRONG[name]
    found, line = failure(
        capsys, "explore", *TINY, "--trials", 1, "--out", tmp_path / "study", *arguments
    )
    assert text in line
    assert found == status
    assert not (tmp_path / "study" / "floats").exists() or not records(tmp_path / "study")


def test_other_settings(explored, capsys):
    status, line = failure(capsys, "explore", *TINY, "--out", explored[0], "--steps", 21)
    assert status == 1
    assert "holds an exploration with steps=20, not 21: repeat its command, or" in line
    status, line = failure(capsys, "explore", *TINY, "--out", explored[0], "--act-bits", 8)
    assert "act_bits=[4, 5, 6, 7, 8], not [8]" in line


def test_without_optuna(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    status, line = failure(capsys, "explore", *TINY, "--out", tmp_path / "study")
    assert status == 1
    assert "explore needs Optuna, which is not installed: pip install 'dhq-brevitas[ex" in line
    assert not (tmp_path / "study").exists()


def test_from_nothing(explored, tmp_path, capsys):
    folder, _ = explored
    out = ["--out", tmp_path / "run"]
    for origin, text in {
        f"{folder}": "is not FOLDER:TRIAL",
        f"{folder}:99": "names no finished trial",
        f"{tmp_path}/none:1": "names no finished trial",
    }.items():
        status, line = failure(capsys, "run", "--from", origin, *out)
        assert (status, text in line) == (2, True), line
    assert failure(capsys, "run", *out) == (
        2,
        "dhq: error: run needs a SIGNAL, or --from FOLDER:TRIAL",
    )
    assert not (tmp_path / "run").exists()


def test_from_trusts_no_code(explored, tmp_path, capsys):
    origin = tmp_path / "trials"
    origin.mkdir()
    record = records(explored[0])[0]
    record["settings"]["family"] = "/tmp/evil.py"
    (origin / "0.json").write_text(json.dumps(record))
    status, line = failure(capsys, "run", "--from", f"{tmp_path}:0", "--out", tmp_path / "run")
    assert status == 2
    assert "names the Python file /tmp/evil.py, which would be executed: add --trust-code" in line
    # Nor does a record trust it by itself.
    record["settings"]["trust_code"] = True
    (origin / "0.json").write_text(json.dumps(record))
    status, line = failure(capsys, "run", "--from", f"{tmp_path}:0", "--out", tmp_path / "run")
    assert status == 2
    assert "0.json is no record of a trial" in line
    assert not (tmp_path / "run").exists()


# -- another SQL server ----------------------------------------------------------------------------


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _wait_for(url: str) -> None:
    import psycopg

    for _ in range(200):
        try:
            psycopg.connect(url.replace("+psycopg", "")).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    pytest.fail(f"no server at {url}")


@pytest.fixture
def postgresql():
    """URL of a PostgreSQL server on loopback, which is stopped afterwards."""
    programs = {name: shutil.which(name) for name in ("initdb", "postgres")}
    if None in programs.values() or find_spec("psycopg") is None:
        pytest.skip("needs PostgreSQL's initdb and postgres, and psycopg")
    as_user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    prefix = as_user if os.getuid() == 0 else []  # PostgreSQL refuses root
    if prefix and shutil.which("setpriv") is None:
        pytest.skip("PostgreSQL does not run as root, and there is no setpriv")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        if prefix:
            os.chown(folder, 65534, 65534)
        data = str(folder / "data")
        made = [*prefix, programs["initdb"], "-D", data, "-U", "dhq", "-A", "trust", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, cwd=folder)
        port = _free_port()
        server = [*prefix, programs["postgres"], "-D", data, "-p", str(port), "-k", str(folder)]
        server += ["-h", "127.0.0.1", "-F"]
        process = subprocess.Popen(server, stderr=subprocess.DEVNULL, cwd=folder)
        stack.callback(process.wait, 30)
        stack.callback(process.send_signal, signal.SIGINT)
        url = f"postgresql+psycopg://dhq@127.0.0.1:{port}/postgres"
        _wait_for(url)
        yield url


def test_postgresql(postgresql, explored, tmp_path):
    """The same trials as on SQLite, by one process and another one that goes on."""
    folder, storage = tmp_path / "study", ["--storage", postgresql]
    process = forked(folder, *storage, number=1)
    process.join()
    assert process.exitcode == 0
    assert explore(folder, *storage, number=2) == 0
    check_each_once(folder, 2, postgresql)
    assert results(folder) == results(explored[0])[:2]
    assert not (folder / "study.db").exists()


# -- objectives and what is tried first ------------------------------------------------------------


def test_what_is_tried_first():
    """All widths at the most bits, with the largest and the smallest tables; of many, four."""
    options = ExploreOptions(layers="1-3", hidden="16-64:16", rotation="after,none")
    first = options.suggested()
    assert [(d["hidden"], d["phase_bits"]) for d in first] == [
        (width, bits) for bits in (12, 8) for width in (16, 32, 48, 64)
    ]
    assert {(d["weight_bits"], d["act_bits"], d["layers"], d["rotation"]) for d in first} == {
        (8, 8, 2, "after")
    }
    many = ExploreOptions(hidden="8-64", phase_bits="9").suggested()
    assert [design["hidden"] for design in many] == [8, 23, 38, 53]


def test_rate_and_size_as_objectives(tmp_path):
    """Two foldings of one network: more samples a second for more DSPs, the same bits."""
    folder = tmp_path / "study"
    options = ["--hidden", 16, "--speed", "1,64", "--weight-bits", 6, "--act-bits", 8]
    options += ["--phase-bits", 8, "--rotation", "none"]
    options += ["--objectives", "psnr,dsp,samples_per_second,bits_per_sample", "--layers", 2]
    assert explore(folder, *options, number=2) == 0
    one, other = sorted(records(folder), key=lambda record: record["cycles"])
    assert (one["design"]["speed"], other["design"]["speed"]) == (64, 1)
    assert one["cycles"] <= 6510 // 64 < other["cycles"]
    for record in (one, other):
        assert record["samples_per_second"] == pytest.approx(1e8 / record["cycles"], abs=0.05)
        # Weights of 12 bits in the first layer, of 6 in the others.
        bits = 2 * 16 * 12 + (16 * 16 + 16) * 6
        assert record["bits_per_sample"] == bits / 256
    assert one["psnr"] == other["psnr"]
    assert one["dsp"] > other["dsp"]
    front = json.loads((folder / "front.json").read_text())
    assert list(front["objectives"]) == ["psnr", "dsp", "samples_per_second", "bits_per_sample"]
    assert len(front["front"]) == 2
    # A trial is built for its own rate.
    settings = trial_settings(f"{folder}:{one['trial']}")
    assert settings["cycles_per_sample"] == 6510 // 64


def test_the_front_leaves_out_what_is_beaten(tmp_path):
    """The second design is beaten by the first one, the third has fewer LUTs than both."""
    exploration = Exploration(tmp_path / "study", {"seed": 0}, SPACE, OBJECTIVES)
    for psnr, lut in ((10, 5), (9, 5), (8, 4)):
        record = {"given_up": "", "psnr": psnr, "lut": lut, "dsp": 1, "bram18": 0}
        exploration.tell(exploration.claim(3, 0), record)
    assert exploration.front() == [0, 2]


@pytest.mark.parametrize("text", ["psnr", "lut,dsp", "psnr,lut,lut", "psnr,speed"])
def test_objectives_that_cannot_be(text):
    with pytest.raises(ArgumentError, match="objectives='"):
        ExploreOptions(objectives=text).check()


def test_speeds_that_cannot_be():
    with pytest.raises(ArgumentError, match="speed='0,2' must be 1 or more"):
        ExploreOptions(speed="0,2").check()
    assert cycles_per_sample(ExploreOptions(speed="1,20", target_fps=5000), 1000) == 20
    with pytest.raises(ArgumentError, match="speed='21' must be at most the 20 cycles a sample"):
        cycles_per_sample(ExploreOptions(speed="21", target_fps=5000), 1000)


# -- the page --------------------------------------------------------------------------------------

PROBE = """  const plots = [...page.images];
  document.title = ["PROBE", page.documentElement.scrollWidth,
    ...plots.map(i => i.naturalWidth && i.width)].join("|");"""


@pytest.mark.exhaustive
@pytest.mark.skipif(BROWSER is None, reason="there is no chromium: apt-get install chromium")
@pytest.mark.parametrize("width", [360, 1600])
def test_the_page_in_a_browser(explored, tmp_path, width):
    """Nothing is wider than the window; a plot has its width, or 432 pixels, so text of 12."""
    page = (explored[0] / "front.html").read_text()
    scrolled, *plots = map(int, probed(tmp_path, page, width, PROBE))
    assert scrolled <= width
    assert len(plots) == len(OBJECTIVES) - 1
    # 10 points of text at 200 dots an inch, of a picture of 720 dots.
    assert min(plots) * (200 * 10 / 72) / 720 > 12
