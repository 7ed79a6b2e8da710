# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Python files that a command names are code; those that a run folder names are not executed."""

import json

import numpy as np
import pytest
import torch
from commands import SMALL, failure, run

from dhq_brevitas.fitting import Fitted, fit
from dhq_brevitas.inr.families import get_family
from dhq_brevitas.run.loading import load_run
from dhq_brevitas.run.pipeline import run_stage
from dhq_brevitas.run.records import RunFolder, UntrustedCodeError
from dhq_brevitas.run.stages.fit import FitOptions

pytestmark = pytest.mark.filterwarnings("ignore")

CODE = """\
from dataclasses import replace
from dhq_brevitas.inr.families import FAMILIES
from dhq_brevitas.signals.tasks import TASKS
open({witness!r}, "w").close()
FAMILY = replace(FAMILIES["siren"], parameters={{**FAMILIES["siren"].parameters, "omega": {omega}}})
TASK = TASKS["picture"]
"""


class UserFile:
    """A Python file with a family and a task, and whether it was executed."""

    def __init__(self, folder):
        self.path, self.witness = folder / "mine.py", folder / "witness"
        self.write(30.0)

    def write(self, omega: float) -> None:
        self.path.write_text(CODE.format(witness=str(self.witness), omega=omega))
        self.witness.unlink(missing_ok=True)

    @property
    def executed(self) -> bool:
        return self.witness.exists()


@pytest.fixture
def mine(tmp_path) -> UserFile:
    return UserFile(tmp_path)


def naming(folder, option: str, path) -> None:
    """Makes the record of a fit in ``folder`` name a Python file."""
    record = json.loads((folder / "fit.json").read_text())
    record["options"][option] = str(path)
    (folder / "fit.json").write_text(json.dumps(record))


@pytest.fixture
def fitted(tmp_path):
    """A run folder with a fit."""
    folder = tmp_path / "out"
    folder.mkdir()
    options = FitOptions("camera", size=16, hidden=16, layers=1, steps=2)
    run_stage(RunFolder(folder), "fit", options, progress=False, say=lambda text: None)
    return folder


@pytest.mark.parametrize("option", ["family", "task"])
@pytest.mark.parametrize(
    "command", [["analyze"], ["quantize", "--qat-steps", "1"], ["plan"], ["export"]], ids=" ".join
)
def test_a_folder_executes_nothing(fitted, mine, capsys, option, command):
    naming(fitted, option, mine.path)
    status, line = failure(capsys, command[0], "--out", fitted, *command[1:])
    if command != ["export"]:  # which has nothing to work on yet
        assert status == 2
        assert f"names the Python file {mine.path}" in line
        assert "add --trust-code" in line
    assert not mine.executed


def test_a_loaded_run_executes_nothing(fitted, mine):
    naming(fitted, "family", mine.path)
    with pytest.raises(UntrustedCodeError, match="trust_code=True"):
        load_run(fitted).float_network  # noqa: B018
    assert not mine.executed
    assert load_run(fitted, trust_code=True).float_network.spec.family == str(mine.path)
    assert mine.executed


def test_a_saved_network_executes_nothing(tmp_path, mine):
    points = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
    fit(points, points, hidden=8, layers=1, steps=1, progress=False).save(tmp_path / "a.pt")
    state = torch.load(tmp_path / "a.pt", weights_only=True)
    state["spec"]["family"] = str(mine.path)
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"has the family '.*mine\.py', which is not registered"):
        Fitted.load(tmp_path / "a.pt")
    assert not mine.executed


def test_code_that_is_trusted(fitted, mine, capsys):
    naming(fitted, "family", mine.path)
    assert run("analyze", "--out", fitted, "--trust-code") == 0
    assert mine.executed


def test_code_that_the_command_names(tmp_path, mine):
    out = tmp_path / "out"
    options = [*SMALL, "--family", mine.path, "--task", mine.path, "--until", "quantize"]
    assert run("run", "camera", "--out", out, *options) == 0
    assert run("run", "camera", "--out", out, *options) == 0


def test_another_fit_replaces_one_with_code(fitted, mine):
    naming(fitted, "task", mine.path)
    assert run("run", "camera", "--out", fitted, *SMALL, "--until", "fit") == 0
    assert not mine.executed


def test_an_edited_file_makes_the_fit_run_again(tmp_path, mine, capsys):
    out = tmp_path / "out"
    command = [
        "fit",
        "camera",
        "--out",
        out,
        "--size",
        16,
        "--hidden",
        16,
        "--layers",
        1,
        "--steps",
        2,
    ]
    command += ["--family", mine.path]
    assert run(*command) == 0
    assert run(*command) == 0
    assert "fit: unchanged, skipped" in capsys.readouterr().out
    mine.write(10.0)
    status, line = failure(capsys, "analyze", "--out", out, "--trust-code")
    assert status == 1
    assert "analyze needs the result of fit" in line
    assert run(*command) == 0
    assert "fit: unchanged" not in capsys.readouterr().out
    assert get_family(str(mine.path)).parameters["omega"] == 10.0


def test_an_edited_import_makes_the_fit_run_again(tmp_path, monkeypatch, capsys):
    """Of the Python file that the command names, through a package and a relative import."""
    package = tmp_path / "mine_of_test"
    package.mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    (package / "__init__.py").write_text("from .numbers import OMEGA\n")
    (package / "numbers.py").write_text("OMEGA = 30.0\n")
    (tmp_path / "other_of_test.py").write_text("")
    (tmp_path / "family.py").write_text(
        "from dataclasses import replace\n"
        "from dhq_brevitas.inr.families import FAMILIES\n"
        "import mine_of_test as m\n"
        'FAMILY = replace(FAMILIES["siren"], parameters={"omega": m.OMEGA, "omega_first": None})\n'
    )
    out, path = tmp_path / "out", tmp_path / "family.py"
    command = ["fit", "camera", "--out", out, "--family", path, "--size", 16]
    command += ["--hidden", 8, "--layers", 1, "--steps", 1]
    assert run(*command) == 0
    code = json.loads((out / "fit.json").read_text())["code"]
    assert sorted(code) == sorted(map(str, [path, *package.glob("*.py")]))
    (tmp_path / "other_of_test.py").write_text("edited = 1\n")
    assert run(*command) == 0
    assert "fit: unchanged, skipped" in capsys.readouterr().out
    (package / "numbers.py").write_text("OMEGA = 7.0\n")
    status, line = failure(capsys, "quantize", "--out", out, "--trust-code")
    assert (status, "quantize needs the result of fit" in line) == (1, True)
    assert run(*command) == 0
    assert "fit: unchanged" not in capsys.readouterr().out
    assert get_family(str(path)).parameters["omega"] == 7.0
