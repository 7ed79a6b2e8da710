# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Folders of results that are expensive to compute, shared by all processes of a user.

A cache is a folder with one folder for each entry, and files that serve as locks. A folder whose
name begins with a dot is an entry that comes or goes. The time of an entry's last use is that of
its folder.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from dhq_brevitas.finn_flow.environment import cache_limit

# Whoever got an entry in the last hour may still read it.
IN_USE_SECONDS = 3600.0
# A build that takes longer than a day was ended without a chance to clean up.
ABANDONED_SECONDS = 86400.0


@dataclass(frozen=True)
class CacheEntry:
    """An entry of a cache: its name, its bytes, and when it was used last (seconds, as time())."""

    name: str
    bytes: int
    last_used: float


def cache_entry(root: Path, name: str, build: Callable[[Path, Path], None]) -> Path:
    """Folder ``name`` below ``root``; ``build(temporary folder, final folder)`` makes it if needed.

    The name must tell apart whatever the content depends on. An entry appears by renaming a
    finished folder, so it is whole or not there; a lock keeps a second process from building the
    same one meanwhile. What ``build`` raises leaves nothing behind. Behind a new entry, those used
    least recently are removed until all together hold at most
    :func:`~dhq_brevitas.finn_flow.environment.cache_limit` bytes; none that was used in the last
    hour is.
    """
    entry = root / name
    if _use(entry):
        return entry
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / f"{name}.lock"):
        if _use(entry):
            return entry
        folder = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root))
        try:
            build(folder, entry)
            folder.rename(entry)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        _use(entry)
    _remove_oldest(root, cache_limit(), IN_USE_SECONDS)
    return entry


def cache_entries(root: Path) -> list[CacheEntry]:
    """The entries of a cache, those used least recently first; none if there is no such folder."""
    entries = []
    for folder in root.iterdir() if root.is_dir() else ():
        if folder.is_dir() and not folder.name.startswith("."):
            entries.append(CacheEntry(folder.name, _bytes(folder), folder.stat().st_mtime))
    return sorted(entries, key=lambda entry: entry.last_used)


def _bytes(folder: str | os.PathLike[str]) -> int:
    """Of all files below; with pathlib, the thousands of a cache take thrice as long."""
    with os.scandir(folder) as found:
        return sum(
            _bytes(item)
            if item.is_dir(follow_symlinks=False)
            else item.stat(follow_symlinks=False).st_size
            for item in found
        )


def clear_cache(root: Path, *, unused_seconds: float = IN_USE_SECONDS) -> int:
    """Removes all entries not used for so many seconds; returns the bytes that they held."""
    return _remove_oldest(root, 0, unused_seconds) if root.is_dir() else 0


def _use(entry: Path) -> bool:
    """Whether there is such an entry; notes its use."""
    try:
        os.utime(entry)
    except FileNotFoundError:
        return False
    except OSError:  # a cache that may only be read
        return entry.is_dir()
    return True


def _remove_oldest(root: Path, limit: int, unused_seconds: float) -> int:
    """Removes entries unused for so long until all hold ``limit`` bytes; returns those removed."""
    now = time.time()
    removed = 0
    with FileLock(root / "removal.lock"):
        entries = cache_entries(root)
        total = sum(entry.bytes for entry in entries)
        for entry in entries:
            if total - removed <= limit or now - entry.last_used < unused_seconds:
                break
            # Under another name first, so that nobody finds half an entry.
            leaving = Path(tempfile.mkdtemp(prefix=f".{entry.name}-", dir=root))
            (root / entry.name).rename(leaving / entry.name)
            shutil.rmtree(leaving)
            (root / f"{entry.name}.lock").unlink(missing_ok=True)
            removed += entry.bytes
        for folder in root.glob(".*"):
            if folder.is_dir() and now - folder.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
    return removed
