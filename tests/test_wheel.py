# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The wheel and the source distribution hold all there is, and work away from the checkout.

The wheel is installed into a virtual environment that sees the packages of this one, but not this
checkout. There the commands of the tutorial are followed, with a small network.
"""

import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TUTORIAL = ROOT / "docs" / "tutorial.md"
SOURCES = {"dhq_brevitas": "", "export": "dhq_brevitas/", "finn_flow": "dhq_brevitas/"}
SMALL = "--size 16 --hidden 8 --layers 1 --steps 20 --qat-steps 2"
# Beside the sources, for the tests and the documentation of a source distribution.
BESIDE = ["CHANGELOG.md", "Makefile", "docs/tutorial.md", "examples/own_network.py", "mkdocs.yml"]


def kept(*folders: str) -> list[str]:
    """Files that git keeps."""
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout")
    command = ["git", "ls-files", "-z", *folders]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for path in done.stdout.split("\0") if (ROOT / path).is_file()]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with both, made from a copy of what is kept in git; the wheel from the sources."""
    folder = tmp_path_factory.mktemp("built")
    checkout = folder / "checkout"
    for path in kept():
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, checkout / path)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run([*command, str(checkout)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(checkout)
    return folder


@pytest.fixture(scope="module")
def environment(built, tmp_path_factory) -> Path:
    """A virtual environment with the wheel in it."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    install(folder, next(built.glob("*.whl")))
    packages = next(folder.glob("lib/python*/site-packages"))
    # As paths: the .pth files in them, which put a checkout on the path, are not read then.
    given = [path for path in sys.path if Path(path).name == "site-packages"]
    (packages / "packages.pth").write_text("\n".join([*given, ""]))
    return folder


def install(folder: Path, wheel: Path) -> None:
    """``pip install``, but for what the wheel depends on."""
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install"]
    options = ["--quiet", "--no-deps", "--no-index", "--ignore-installed"]
    subprocess.run([*pip, "--disable-pip-version-check", *options, str(wheel)], check=True)


def run(environment: Path, folder: Path, command: str) -> str:
    """What a command prints, with the environment's programs first."""
    path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    program, *arguments = shlex.split(command)
    done = subprocess.run(
        [str(shutil.which(program, path=path)), *arguments],
        cwd=folder,
        env=clean | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_has_every_source_file(built):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == {SOURCES[path.split("/")[0]] + path for path in kept(*SOURCES)}
    assert {Path(name).suffix for name in held} >= {".py", ".pyi", ".sv", ".cpp", ".h", ".j2"}


def test_the_source_distribution_has_the_rest(built):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert set(kept(*SOURCES, "tests", "examples", "docs")) - held == set()
    assert set(BESIDE) <= held


def test_the_version_is_that_of_the_project(built):
    version = importlib.metadata.version("dhq-brevitas")
    assert next(built.glob("*.whl")).name.split("-")[1] == version


def tutorial() -> list[str]:
    return re.findall(r"^    (.+)$", TUTORIAL.read_text(), flags=re.MULTILINE)


def small(command: str) -> str:
    """A command of the tutorial; ``dhq run`` with options behind its own, which count."""
    return f"{command} {SMALL}" if command.startswith("dhq run ") else command


def test_the_first_page_begins_with_the_installation():
    install_command, doctor, first, *_ = tutorial()
    assert install_command == "pip install '.[finn]'"
    assert doctor == "dhq doctor"
    assert first.startswith("dhq run astronaut ")


def test_a_run_away_from_the_checkout(environment, tmp_path):
    for module in ("dhq_brevitas.run", "dhq_brevitas.export", "dhq_brevitas.finn_flow"):
        where = f"import importlib.util as i; print(i.find_spec('{module}').origin)"
        place = run(environment, tmp_path, f'python -c "{where}"')
        assert place.startswith(str(environment)), place
    pytest.importorskip("finn", reason="the tutorial maps to FINN")
    printed = run(environment, tmp_path, small(tutorial()[2]))
    assert printed.count("0 of 768 output codes differ") == 2
    assert (tmp_path / "runs/first/comparison.png").exists()


@pytest.mark.exhaustive
def test_the_first_page_followed(environment, tmp_path):
    """Every command behind the installation, in an empty folder."""
    pytest.importorskip("finn", reason="the tutorial maps to FINN")
    commands = tutorial()[1:]
    printed = {command: run(environment, tmp_path, small(command)) for command in commands}
    assert "finn-plus" in printed["dhq doctor"]
    assert (tmp_path / "runs/first/report.html").exists()
    rtl = next(text for command, text in printed.items() if "--level rtl" in command)
    assert "RTL, stitched: " in rtl
    assert rtl.count("0 of 768 output codes differ") == 2
    fewer = next(text for command, text in printed.items() if "--weight-bits 4" in command)
    assert "fit: unchanged, skipped" in fewer
    assert (tmp_path / "runs/first/stitched").is_dir()
