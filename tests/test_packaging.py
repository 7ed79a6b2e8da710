# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What pyproject.toml says is what is on disk.

The folders export/ and finn_flow/ are mapped under dhq_brevitas, so setuptools cannot find packages
by itself and the list must be kept by hand.
"""

import importlib
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = {
    "dhq_brevitas": "dhq_brevitas",
    "export": "dhq_brevitas.export",
    "finn_flow": "dhq_brevitas.finn_flow",
}
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def packages_on_disk() -> set[str]:
    found = set()
    for folder, package in FOLDERS.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join([package, *init.parent.relative_to(ROOT / folder).parts]))
    return found


def test_every_package_is_listed():
    assert sorted(SETUPTOOLS["packages"]) == sorted(packages_on_disk())


def test_every_folder_with_sources_is_a_package():
    """A folder of data alone would be left out of the wheel without a word."""
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                assert (path.parent / "__init__.py").exists(), path


def test_every_kind_of_data_file_is_listed():
    patterns = SETUPTOOLS["package-data"]["*"]
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                assert any(path.match(pattern) for pattern in patterns), path


@pytest.mark.parametrize("package", ["dhq_brevitas", "dhq_brevitas.export"])
def test_modules_are_those_of_this_checkout(package):
    assert ROOT in Path(importlib.import_module(package).__file__ or "").parents
