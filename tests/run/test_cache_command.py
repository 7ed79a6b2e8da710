# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import importlib.util
import os
import time

import pytest
from commands import run

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(importlib.util.find_spec("finn") is None, reason="finn is not installed"),
]


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    for name in ("rtlsim", "synthesis"):
        monkeypatch.setenv(f"DHQ_{name.upper()}_CACHE", str(tmp_path / name))
    return tmp_path


def test_empty(caches, capsys):
    assert run("cache") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["cache", "entries", "bytes", "folder"]
    assert lines[2].split() == ["simulators", "0", "0", str(caches / "rtlsim")]
    assert lines[3].split() == ["synthesis", "0", "0", str(caches / "synthesis")]


def test_shown_and_cleared(caches, capsys):
    for name, age in (("old", 7200), ("new", 0)):
        entry = caches / "synthesis" / name
        entry.mkdir(parents=True)
        (entry / "result").write_bytes(bytes(1234))
        os.utime(entry, (time.time() - age,) * 2)
    assert run("cache") == 0
    assert "synthesis   2        2 468" in capsys.readouterr().out
    assert run("cache", "--clear") == 0
    text = capsys.readouterr().out
    assert "1234 bytes freed" in text
    assert "synthesis   1        1 234" in text
    assert os.listdir(caches / "synthesis" / "new") == ["result"]
