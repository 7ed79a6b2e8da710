# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``dhq run FOLDER/``: one run a file; what fails does not stop the rest."""

import csv
import json
import shutil

import pytest
from commands import failure, run
from PIL import Image
from skimage import data

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = ["--size", 8, "--hidden", 8, "--layers", 1, "--steps", 2, "--qat-steps", 0]


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(data.camera()[::8, ::8]).save(folder / "a.png")
    (folder / "b.png").write_text("no picture")
    Image.fromarray(data.camera()[::16, ::16]).save(folder / "c.png")
    (folder / ".hidden").write_text("")
    (folder / "more").mkdir()
    return folder


def test_one_of_three_fails(pictures, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["run", f"{pictures}/", *SMALL, "--until", "quantize", "--out", out]
    assert run(*command) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("b.png failed: cannot read")
    assert f"3 signals, in {out / 'runs.csv'}, too" in lines
    with (out / "runs.csv").open() as stream:
        rows = {row["signal"]: row for row in csv.DictReader(stream)}
    assert list(rows) == ["a.png", "b.png", "c.png"]
    for name in ("a.png", "c.png"):
        summary = json.loads((out / name / "summary.json").read_text())
        assert float(rows[name]["psnr_quant"]) == summary["psnr_quant"]
        assert rows[name]["failure"] == ""
        assert f"{summary['psnr_quant']:.2f}" in next(x for x in lines[-8:] if x.startswith(name))
    assert rows["b.png"]["psnr_quant"] == ""
    # Repeated, with the file mended, only that one is computed.
    shutil.copy(pictures / "a.png", pictures / "b.png")
    assert run(*command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines.count("fit: unchanged, skipped") == 2
    # Nothing is left to do for several workers; the new file is done by one of them.
    shutil.copy(pictures / "c.png", pictures / "d.png")
    (pictures / "e.png").write_text("no picture")
    assert run(*command, "--workers", 2) == 1
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines[:5]) == [*(f"{x}.png: done" for x in "abcd"), "e.png: failed"]
    assert lines[-1].startswith("e.png failed: cannot read")
    with (out / "runs.csv").open() as stream:
        again = {row["signal"]: row for row in csv.DictReader(stream)}
    assert [again[name] for name in ("a.png", "c.png")] == [rows[n] for n in ("a.png", "c.png")]
    assert again["d.png"]["psnr_quant"] == again["c.png"]["psnr_quant"]


def test_folders_that_cannot_be(pictures, tmp_path, capsys):
    shutil.rmtree(pictures / "more")
    empty = tmp_path / "empty"
    empty.mkdir()
    status, line = failure(capsys, "run", f"{empty}/", *SMALL, "--out", tmp_path / "out")
    assert status == 1
    assert f"{empty} holds no files: name a folder with pictures, sounds or meshes" in line
    status, line = failure(capsys, "run", f"{pictures}/", *SMALL, "--out", pictures / "out")
    assert status == 1
    assert f"is in {pictures}, whose files are the signals: choose another" in line
    assert not (tmp_path / "out").exists()


def test_a_name_is_no_folder(tmp_path, monkeypatch):
    """A run in a folder called as its picture is."""
    monkeypatch.chdir(tmp_path)
    command = ["run", "camera", *SMALL, "--until", "fit", "--out", "camera"]
    assert [run(*command), run(*command)] == [0, 0]
    assert (tmp_path / "camera" / "fit.json").exists()
