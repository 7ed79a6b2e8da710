# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Files that are whole or absent: everything is written beside its target and renamed into place.

``os.replace`` is atomic on one file system, so an interruption leaves the old file or the new one,
never a part of one.
"""

import contextlib
import errno
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "START_OVER",
    "atomic_path",
    "check_folder_of",
    "check_regular_file",
    "check_writable_folder",
    "claim_folder",
    "file_digest",
    "little_space",
    "read_json",
    "remove_partial_files",
    "text_digest",
    "write_json",
    "write_text",
]

#: Begins the names of files that are being written.
PARTIAL = ".dhq-partial-"
#: Fewer free bytes, with a file half written, are a full disk.
FULL_BYTES = 1 << 16
#: Fewer free bytes are worth a word when something has failed.
LITTLE_BYTES = 1 << 24
#: What to do about a damaged file that a stage wrote.
START_OVER = "delete it, and repeat the stage that makes it"
#: Bytes of the largest JSON file that is read.
MAX_JSON_BYTES = 1 << 26
#: Bytes of the largest picture, sound or mesh that is read.
MAX_SIGNAL_BYTES = 1 << 30


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside ``target``; on success it becomes ``target``.

    The temporary name keeps the suffix, because writers of pictures choose the format by it. On an
    exception the temporary file is removed and ``target`` is left as it was. Raises
    FileNotFoundError when its folder does not exist, ValueError when ``target`` is a folder or a
    device, which would be replaced, and OSError that names ``target`` when the
    disk is full, whatever the writer raised then.
    """
    target = Path(target)
    check_folder_of(target)
    if target.exists() and not target.is_file():
        raise ValueError(f"cannot write {target}: it is {_kind(os.stat(target))}; name a file")
    handle, name = tempfile.mkstemp(
        prefix=f"{PARTIAL}{target.stem}-", suffix=target.suffix, dir=target.parent
    )
    os.close(handle)
    temporary = Path(name)
    try:
        # mkstemp makes the file private; a result is as readable as any other file of its owner.
        os.chmod(temporary, 0o666 & ~_umask())
        yield temporary
        os.replace(temporary, target)
    except (OSError, RuntimeError) as error:
        if _disk_is_full(error, target.parent):
            raise OSError(
                f"cannot write {target}: the disk is full; free some space and repeat the command"
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def remove_partial_files(folder: str | os.PathLike[str]) -> None:
    """Removes what killed processes were writing below ``folder``, where no other one writes."""
    for path in Path(folder).rglob(f"{PARTIAL}*"):
        path.unlink(missing_ok=True)


def _disk_is_full(error: Exception, folder: Path) -> bool:
    """Whether that is the cause; PyTorch raises a RuntimeError about positions in the file."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize < FULL_BYTES


def check_folder_of(target: str | os.PathLike[str]) -> None:
    """FileNotFoundError unless the folder that ``target`` is to be written to exists."""
    folder = Path(target).parent
    if not folder.is_dir():
        raise FileNotFoundError(
            f"cannot write {target}: there is no folder {folder}; create it first"
        )


def little_space(folders: Iterable[str | os.PathLike[str]]) -> str:
    """``; only 12 KiB are free in /tmp`` for the first of the ``folders`` on a nearly full disk.

    "" if there is none. What other programs say when a disk is full seldom names it.
    """
    for folder in folders:
        with contextlib.suppress(OSError):
            disk = os.statvfs(folder)
            free = disk.f_bavail * disk.f_frsize
            if free < LITTLE_BYTES:
                return f"; only {free >> 10} KiB are free in {folder}, which may be the cause"
    return ""


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def write_json(target: str | os.PathLike[str], value: Any) -> None:
    """Writes ``value`` as indented JSON. NaN and infinity, which JSON lacks, are a ValueError."""
    write_text(target, json.dumps(value, indent=2, allow_nan=False))


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Writes ``text`` and a line end, whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _kind(found: os.stat_result) -> str:
    return "a folder" if stat.S_ISDIR(found.st_mode) else "a device or a pipe"


def check_regular_file(path: str | os.PathLike[str], limit: int = MAX_SIGNAL_BYTES) -> None:
    """ValueError unless ``path`` is a file of at most ``limit`` bytes; FileNotFoundError if none.

    A device or a pipe is none: reading it may never end.
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"cannot read {path}: it is {_kind(found)}; name a file")
    if found.st_size > limit:
        raise ValueError(
            f"cannot read {path}: it has {found.st_size} bytes, and at most {limit} are read; use "
            "a smaller file"
        )


def read_json(path: str | os.PathLike[str], remedy: str = "mend it, or name another file") -> Any:
    """The value stored in ``path``, or None when there is no such file.

    Raises ValueError naming the file and the ``remedy`` when it is not JSON, or more than 64 MiB.
    """
    try:
        check_regular_file(path, MAX_JSON_BYTES)
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON ({error}); {remedy}") from error


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


def file_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def text_digest(value: Any) -> str:
    """SHA-256 of ``value`` as JSON with sorted keys, in hexadecimal."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def check_writable_folder(folder: str | os.PathLike[str]) -> Path:
    """Creates ``folder`` if needed and makes sure that a file can be written there.

    Raises ValueError that names the folder and the cause.
    """
    if not os.fspath(folder):
        raise ValueError("the output folder '' has no name; choose one with --out, '.' is this one")
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise ValueError(
            f"cannot write to the output folder {folder}: {reason}; choose another with --out"
        ) from error
    return folder


def claim_folder(folder: str | os.PathLike[str], kind: str, files: Sequence[str] = ()) -> Path:
    """Makes a new or empty ``folder`` one for a ``kind`` of results, or finds that it is.

    Returns the empty file that marks it, ``.dhq-<kind>``. A folder that holds all of ``files`` is
    taken for one from before there were marks. Raises ValueError for any other folder, whose files
    would be overwritten or mixed with ours, and for links in it, through which others would be.
    """
    folder = check_writable_folder(folder)
    mark = folder / f".dhq-{kind}"
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise ValueError(
                f"{path} is a link, through which results would overwrite other files; remove it"
            )
    names = {path.name for path in folder.iterdir()}
    if mark.exists():  # looked for behind the listing: it is there before any other file is
        return mark
    if names and not (files and names.issuperset(files)):
        raise ValueError(
            f"the output folder {folder} holds other files than a {kind}'s, which are not to be "
            "overwritten; choose a new or an empty folder"
        )
    mark.touch()
    return mark
