# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The notebooks, which are kept as text, run in small: with other values in their parameters."""

import importlib.util
import re
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "examples" / "notebooks").glob("*.py"))
PARAMETERS = '# %% tags=["parameters"]\n'
# Verilator compiles for ten seconds there.
VERILOG = "# %% [markdown]\n# ## The Verilog"
# Few steps: the pictures are poor, and every code is still the same at every level.
COMMON = {"SIZE": 12, "HIDDEN": 8, "STEPS": 40}
SMALL = {
    "choosing_bits": COMMON | {"FINE_TUNING": 2, "WIDTHS": [4]},
    "exploring": {"SIZE": 16, "STEPS": 20, "TRIALS": 2, "WIDTHS": "'8,16'"},
    "own_network": COMMON | {"WIDTHS": []},
    "picture_to_accelerator": COMMON | {"FINE_TUNING": 2, "SAMPLES": 8},
}


def small(notebook: Path) -> str:
    """Its text with the small values behind its own."""
    text = notebook.read_text()
    values = SMALL[notebook.stem]
    own = text.split(PARAMETERS)[1].split("\n# %%")[0]
    assert set(re.findall(r"\b[A-Z]\w+\b(?=.*=)", own)) == set(values)
    others = "\n".join(f"{name} = {value}" for name, value in values.items())
    return text.replace(own, f"{own}\n{others}")


def check(text: str, printed: str) -> None:
    """Levels agree, every line of them was printed, and no network is as bad as none."""
    differing = re.findall(r"differ in (\d+) of (\d+)", printed)
    levels = text.count("differ in {")
    assert [count for count, _ in differing] == ["0"] * levels
    assert all(int(of) > 0 for _, of in differing)
    decibels = [float(value) for value in re.findall(r"(-?\d+\.\d+) dB", printed)]
    assert min(decibels) > 3


def test_every_notebook_has_small_values():
    assert [notebook.stem for notebook in NOTEBOOKS] == sorted(SMALL)


# The others plan and explore, which takes ten seconds and more, however small the network is.
QUICK = [path for path in NOTEBOOKS if path.stem in ("own_network", "picture_to_accelerator")]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("notebook", QUICK, ids=lambda notebook: notebook.stem)
def test_as_a_script(notebook, capsys, tmp_path, monkeypatch):
    if "finn_flow" in notebook.read_text():
        pytest.importorskip("finn", reason="this notebook maps to FINN")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names = {"__name__": notebook.stem}
    text = small(notebook).split(VERILOG)[0]
    exec(compile(text, notebook.name, "exec"), names)
    check(text, capsys.readouterr().out)
    assert list(tmp_path.iterdir()) == []


TEXT = "print(differ in {a})\nprint(differ in {b})"


def test_what_differs_is_seen():
    """Negative control."""
    with pytest.raises(AssertionError):
        check(TEXT, "A and B differ in 0 of 9\nB and C differ in 1 of 9\n30.0 dB")
    with pytest.raises(AssertionError):
        check(TEXT, "A and B differ in 0 of 9\n30.0 dB")
    check(TEXT, "A and B differ in 0 of 9\nB and C differ in 0 of 9\n30.0 dB")


@pytest.mark.exhaustive
@pytest.mark.skipif(importlib.util.find_spec("nbclient") is None, reason="extra notebooks")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_in_jupyter(notebook, tmp_path):
    """Made of the text by jupytext, executed cell by cell in a kernel; pictures are drawn."""
    import jupytext
    from nbclient import NotebookClient

    text = small(notebook)
    book = jupytext.reads(text, "py:percent")
    kinds = [cell.cell_type for cell in book.cells]
    assert kinds.count("markdown") > 3
    assert kinds.count("code") > 4
    NotebookClient(book, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    streams = [o.text for o in outputs if o.output_type == "stream" and o.name == "stdout"]
    check(text, "".join(streams))
    drawn = [o for o in outputs if "image/png" in o.get("data", {})]
    assert len(drawn) == notebook.read_text().count("plt.subplots")
