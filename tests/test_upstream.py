# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The reproductions in docs/upstream: as long as they print what the pages say, the fault is there.

One that fails says that FINN, QONNX or Brevitas mended it: the page goes, and the way around it.
"""

import importlib.util
import os
import re
import sys
import warnings
from pathlib import Path

import pytest

PAGES = Path(__file__).parents[1] / "docs" / "upstream"
# This one is Verilog; tests/finn_flow/formal and stitching/test_fifo_sizing.py show its fault.
VERILOG = "finn-mvau-output-queue"
NEEDED = {"finn": "finn", "pyosys": "pyosys", "verilator": "enable_verilator"}
SLOW = ("enable_verilator", "synth_xilinx")


def blocks(path: Path) -> tuple[str, str]:
    """The code of a page and what it prints."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", path.read_text(), re.S | re.M)
    assert [language for language, _ in found] == ["python", "text"], path
    return found[0][1], found[1][1]


def parameters() -> list:
    pages = sorted(path for path in PAGES.glob("*-*.md") if path.stem != VERILOG)
    slow = pytest.mark.exhaustive
    return [
        pytest.param(
            page, id=page.stem, marks=slow if any(s in page.read_text() for s in SLOW) else ()
        )
        for page in pages
    ]


@pytest.mark.parametrize("page", parameters())
def test_the_fault_is_still_there(page: Path, tmp_path: Path, monkeypatch, capfd) -> None:
    code, printed = blocks(page)
    for module, sign in NEEDED.items():
        if sign in code and importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("FINN_SETTINGS", f"{os.devnull}/settings.yaml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(code, str(page), "exec"), {"__name__": page.stem})
    assert capfd.readouterr().out == printed


def test_every_page_is_listed() -> None:
    listed = set(re.findall(r"\]\(([\w-]+)\.md\)", (PAGES / "README.md").read_text()))
    assert listed == {path.stem for path in PAGES.glob("*-*.md")}
