# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Folders of results that are expensive to compute, shared by all processes of a user."""

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path


def cache_entry(root: Path, name: str, build: Callable[[Path, Path], None]) -> Path:
    """Folder ``name`` below ``root``; ``build(temporary folder, final folder)`` makes it if needed.

    The name must tell apart whatever the content depends on. An entry appears by renaming a
    finished folder, so it is whole or not there; a lock keeps a second process from building the
    same one meanwhile. What ``build`` raises leaves nothing behind.
    """
    entry = root / name
    if entry.is_dir():
        return entry
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root / f"{name}.lock"):
        if entry.is_dir():
            return entry
        folder = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root))
        try:
            build(folder, entry)
            folder.rename(entry)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return entry


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
