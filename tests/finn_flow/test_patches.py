# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Every patch of FINN's library applies to the installed one, and raises where it does not."""

import importlib.metadata
from pathlib import Path

import finn
import pytest

from dhq_brevitas.finn_flow import FlowError
from dhq_brevitas.finn_flow.patches import patched
from dhq_brevitas.finn_flow.rtlsim.sources import CHANGES, collect
from dhq_brevitas.finn_flow.synthesis.sources import patch_for_yosys

LIBRARY = Path(finn.__file__).parent / "finn-rtllib"
VERSION = importlib.metadata.version("finn-plus")
YOSYS = (
    *("mvu.sv", "thresholding.sv", "requant_decoupled.sv"),
    *("memstream.sv", "fifo.sv", "mvu_vvu_axi.sv"),
)


def library_files(*names: str) -> list[Path]:
    found = [path for name in names for path in sorted(LIBRARY.rglob(name))]
    assert {path.name for path in found} == set(names)
    return found


@pytest.mark.parametrize("path", library_files(*CHANGES), ids=lambda path: path.name)
def test_changes_are_made_once(path, tmp_path):
    once = collect([path]).texts[path.name]
    assert once != path.read_text()
    # As in a stitched design, whose files are collected again.
    (tmp_path / path.name).write_text(once)
    assert collect([tmp_path / path.name]).texts[path.name] == once


@pytest.mark.parametrize("path", library_files(*YOSYS), ids=lambda path: path.name)
def test_patches_for_yosys(path):
    sources = collect([path])
    assert patch_for_yosys(sources).texts[path.name] != sources.texts[path.name]


def test_constant_function_moves_to_module_scope():
    (path,) = library_files("add_multi.sv")
    before, after = path.read_text(), collect([path]).texts[path.name]
    added = set(after.splitlines()) - set(before.splitlines())
    assert [line.split(":")[0] for line in added] == ["// dhq_brevitas"]
    assert sorted([*before.splitlines(), *added]) == sorted(after.splitlines())
    assert after.index("endfunction : init_leaf_loads") < before.index(
        "endfunction : init_leaf_loads"
    )


@pytest.mark.parametrize("name", sorted({*CHANGES, *YOSYS}))
def test_another_text_raises(name, tmp_path):
    path = tmp_path / name
    path.write_text("module other;\nendmodule\n")
    message = rf"^{name} of finn-plus {VERSION} is not the file .*; install finn-plus 1\.6\.1"
    with pytest.raises(FlowError, match=message):
        patch_for_yosys(collect([path]))


def test_all_matches_are_replaced():
    assert patched("a1 a2 b3", r"a(\d)", r"c\1", "some.sv") == "c1 c2 b3"
    with pytest.raises(FlowError, match=r"some\.sv .* no match of 'a\\\\d'"):
        patched("b3", r"a\d", "", "some.sv")
