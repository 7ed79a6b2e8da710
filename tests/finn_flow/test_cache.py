# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The cache of expensive results: built once, bounded, never removed from under a reader."""

import os
import threading
import time

import pytest

from dhq_brevitas.finn_flow import environment
from dhq_brevitas.finn_flow.cache import CacheEntry, cache_entries, cache_entry, clear_cache

MIB = 2**20


def fill(root, name, mib=1, age=0.0):
    """An entry of so many MiB, used ``age`` seconds ago."""
    entry = cache_entry(
        root, name, lambda folder, _: (folder / "data").write_bytes(bytes(mib * MIB))
    )
    used = time.time() - age
    os.utime(entry, (used, used))
    return entry


def names(root):
    return [entry.name for entry in cache_entries(root)]


def test_an_entry_is_built_once_and_found_again(tmp_path):
    entry = fill(tmp_path, "a")
    assert cache_entry(tmp_path, "a", lambda *_: pytest.fail("built again")) == entry
    assert (entry / "data").stat().st_size == MIB


def test_a_second_builder_waits_for_the_first(tmp_path):
    started, builds = threading.Event(), []

    def build(folder, _):
        builds.append(folder)
        started.set()
        time.sleep(0.3)

    first = threading.Thread(target=cache_entry, args=(tmp_path, "a", build))
    first.start()
    assert started.wait(5)
    entry = cache_entry(tmp_path, "a", build)
    first.join()
    assert len(builds) == 1
    assert entry.is_dir()


def test_a_failed_build_leaves_nothing(tmp_path):
    def build(folder, _):
        (folder / "half").touch()
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        cache_entry(tmp_path, "a", build)
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []
    fill(tmp_path, "a")
    assert names(tmp_path) == ["a"]


def test_least_recently_used_entries_leave_for_a_new_one(tmp_path, monkeypatch):
    monkeypatch.setenv("DHQ_CACHE_GIB", str(3 / 1024))
    fill(tmp_path, "old", age=8000)
    fill(tmp_path, "older", age=9000)
    fill(tmp_path, "used again", age=9500)
    cache_entry(tmp_path, "used again", lambda *_: pytest.fail("built again"))
    fill(tmp_path, "new")
    assert names(tmp_path) == ["old", "used again", "new"]
    fill(tmp_path, "newer", mib=2)
    # 4 MiB are more than the 3 allowed, but all are in use.
    assert names(tmp_path) == ["used again", "new", "newer"]


def test_without_need_nothing_leaves(tmp_path):
    fill(tmp_path, "old", age=1e6)
    fill(tmp_path, "new")
    assert names(tmp_path) == ["old", "new"]


def test_entries_are_listed_with_size_and_last_use(tmp_path):
    fill(tmp_path, "b", mib=2)
    fill(tmp_path, "a", age=100)
    first, second = cache_entries(tmp_path)
    assert (first.name, first.bytes, second.name, second.bytes) == ("a", MIB, "b", 2 * MIB)
    assert time.time() - first.last_used == pytest.approx(100, abs=10)
    assert isinstance(second, CacheEntry)
    assert cache_entries(tmp_path / "none") == []


def test_clearing(tmp_path):
    fill(tmp_path, "old", age=4000)
    fill(tmp_path, "in use", mib=2)
    assert clear_cache(tmp_path) == MIB
    assert names(tmp_path) == ["in use"]
    assert clear_cache(tmp_path, unused_seconds=0) == 2 * MIB
    assert [path.name for path in tmp_path.iterdir()] == ["removal.lock"]
    assert clear_cache(tmp_path / "none") == 0


def test_what_a_killed_build_left_goes_after_a_day(tmp_path):
    for name, age in ((".a-killed", 1e5), (".b-running", 1e3)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    fill(tmp_path, "c")
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {".b-running", "c"}


def test_limit(monkeypatch):
    monkeypatch.delenv("DHQ_CACHE_GIB", raising=False)
    assert environment.cache_limit() == 4 * 2**30
    monkeypatch.setenv("DHQ_CACHE_GIB", "0.5")
    assert environment.cache_limit() == 2**29
    for text in ("many", "-1", "nan", "inf"):
        monkeypatch.setenv("DHQ_CACHE_GIB", text)
        with pytest.raises(ValueError, match=rf"DHQ_CACHE_GIB='{text}' must be a number of GiB"):
            environment.cache_limit()
