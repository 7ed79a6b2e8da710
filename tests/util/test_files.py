# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import errno
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dhq_brevitas.planning.plan_file import read_plan
from dhq_brevitas.run.records import RunFolder
from dhq_brevitas.util.files import MAX_JSON_BYTES, atomic_path, claim_folder, read_json
from dhq_brevitas.util.states import load_arrays, load_tensors, save_tensors


def test_folders_that_are_claimed(tmp_path):
    """New, empty and claimed ones, those from before there were marks, and no others."""
    mark = claim_folder(tmp_path / "new" / "folder", "run")
    assert mark.read_bytes() == b""
    (mark.parent / "results").write_text("")
    assert claim_folder(mark.parent, "run") == mark
    with pytest.raises(ValueError, match="holds other files than a build's, which are not to be"):
        claim_folder(mark.parent, "build")
    (tmp_path / "empty").mkdir()
    claim_folder(tmp_path / "empty", "build")
    old = tmp_path / "old"
    old.mkdir()
    (old / "a").write_text("")
    for files in ((), ("a", "b")):
        with pytest.raises(ValueError, match="holds other files"):
            claim_folder(old, "run", files)
    assert os.listdir(old) == ["a"]
    assert claim_folder(old, "run", ["a"]).is_file()


def test_nothing_is_written_through_links(tmp_path):
    claim_folder(tmp_path / "run", "run")
    (tmp_path / "run" / "build").mkdir()
    (tmp_path / "run" / "build" / "finn.log").symlink_to(tmp_path / "precious")
    with pytest.raises(ValueError, match=r"finn\.log is a link, through which results would over"):
        claim_folder(tmp_path / "run", "run")


@pytest.mark.parametrize("reader", [read_json, read_plan])
def test_plans_and_records_are_files_of_bounded_size(tmp_path, reader):
    with pytest.raises(ValueError, match="cannot read /dev/zero: it is a device or a pipe"):
        reader("/dev/zero")
    with pytest.raises(ValueError, match="it is a folder; name a file"):
        reader(tmp_path)
    with open(tmp_path / "large", "wb") as file:
        file.truncate(MAX_JSON_BYTES + 1)  # takes no space
    with pytest.raises(ValueError, match=f"and at most {MAX_JSON_BYTES} are read"):
        reader(tmp_path / "large")


def test_partial_files_of_killed_processes(tmp_path):
    """Removed by whoever works in the folder next; other files stay."""
    script = (
        "import os, signal, sys\n"
        "from dhq_brevitas.util.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as partial:\n"
        "    partial.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = RunFolder(tmp_path / "run")
    with run.locked(print):
        (run.path / "build").mkdir()
    for name in ("a.npz", "build/b.onnx"):
        killed = subprocess.run([sys.executable, "-c", script, run.path / name], check=False)
        assert killed.returncode == -signal.SIGKILL
    assert sorted(path.suffix for path in run.path.rglob("*") if path.is_file()) == [
        "",
        ".npz",
        ".onnx",
    ]
    with run.locked(print):
        pass
    assert [path.name for path in run.path.rglob("*") if path.is_file()] == [".dhq-run"]


def test_equal_tensors_make_equal_files(tmp_path):
    for name in ("a.pt", "b.pt"):
        save_tensors(tmp_path / name, {"w": torch.arange(6.0)})
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    assert torch.equal(load_tensors(tmp_path / "a.pt")["w"], torch.arange(6.0))


def failing_write(path, error) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named(tmp_path, number):
    with pytest.raises(OSError, match=r"cannot write .*a\.pt: the disk is full; free some space"):
        failing_write(tmp_path / "a.pt", OSError(number, "No space left on device"))
    assert os.listdir(tmp_path) == []


def test_a_writer_that_hides_the_full_disk(tmp_path, monkeypatch):
    error = RuntimeError("unexpected pos 64 vs 0")  # PyTorch's
    with pytest.raises(RuntimeError, match="unexpected pos"):
        failing_write(tmp_path / "a.pt", error)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=0, f_frsize=4096))
    with pytest.raises(OSError, match=r"cannot write .*a\.pt: the disk is full"):
        failing_write(tmp_path / "a.pt", error)


def test_devices_and_folders_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, kind in (("pipe", "a device or a pipe"), ("", "a folder")):
        with (
            pytest.raises(ValueError, match=f"it is {kind}; name a file"),
            atomic_path(tmp_path / name),
        ):
            pass
    assert os.listdir(tmp_path) == ["pipe"]


def test_files_that_are_no_arrays(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.array([None], dtype=object))  # a pickle
    with pytest.raises(ValueError, match=r"a\.npz is no file of arrays, or damaged; delete it"):
        load_arrays(path)
    np.savez(path, a=np.arange(3))
    assert np.array_equal(load_arrays(path)["a"], [0, 1, 2])
    with pytest.raises(ValueError, match=r"a\.npz is no file of tensors, or damaged"):
        load_tensors(path)
