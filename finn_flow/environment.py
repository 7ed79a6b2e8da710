# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Makes FINN importable on a machine without Vivado.

The only module of this package that reads or writes environment variables. :func:`prepare` runs
before anything else of ``finn`` is imported:

* ``FINN_BUILD_DIR`` gets a new, private folder among the temporary files unless it is set. It goes
  when the process ends; those that killed processes left go when the next one starts;
* ``FINN_SETTINGS`` names a file that cannot exist unless it is set or ``~/.finn`` exists: FINN
  creates nothing in the home folder, and reads no file that others could write, for it runs what
  tags in its settings say;
* ``FINN_RTLLIB`` names FINN's library unless it is set, which only FINN's command line does, and
  FINN's Tcl reads it;
* without ``XILINX_VIVADO``, ``finn.xsi`` would raise already while FINN's build steps are imported.
  The names it resolves lazily become functions that raise when they are *called*. A simulator other
  than Vivado's takes their place by assigning its own functions to the same names. And FINN's
  ``build_dataflow_cfg``, which writes Vivado's version down when all steps are done, writes
  "no Vivado" instead of failing then.
"""

import atexit
import fcntl
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

#: Nothing can be created below a device.
NO_SETTINGS = f"{os.devnull}/settings.yaml"


def new_build_dir() -> Path:
    """A new folder for what FINN generates, ``dhq_brevitas_<user id>_…`` among the temporary files.

    Only the user can look into it. It is locked as long as this process lives, removed when it
    ends, and otherwise removed by the next call of another process.
    """
    root, prefix = Path(tempfile.gettempdir()), f"dhq_brevitas_{os.getuid()}_"
    for folder in root.glob(f"{prefix}*"):
        _remove_abandoned(folder)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        _locked(folder, fcntl.LOCK_EX)  # until the process ends
        # Another process may have taken it for abandoned before it was locked.
        if folder.is_dir():
            atexit.register(_remove_own, folder, os.getpid())
            return folder


def _locked(folder: Path, operation: int) -> int | None:
    """Descriptor that locks a folder of this user until it is closed; None without the lock."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if os.fstat(descriptor).st_uid == os.getuid():
            fcntl.flock(descriptor, operation)
            return descriptor
    except OSError:  # locked by another process
        pass
    os.close(descriptor)
    return None


def _remove_abandoned(folder: Path) -> None:
    descriptor = _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if descriptor is not None:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _remove_own(folder: Path, process: int) -> None:
    """At the end of the process that made the folder, not of its forks."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def simulator_cache_dir() -> Path:
    """Folder of compiled simulators: ``dhq_brevitas/rtlsim`` in ``XDG_CACHE_HOME`` or ~/.cache.

    ``DHQ_RTLSIM_CACHE`` names another one.
    """
    return _cache_dir("rtlsim")


def synthesis_cache_dir() -> Path:
    """Folder of synthesis results, ``dhq_brevitas/synthesis``; or ``DHQ_SYNTHESIS_CACHE``."""
    return _cache_dir("synthesis")


def _cache_dir(kind: str) -> Path:
    if named := os.environ.get(f"DHQ_{kind.upper()}_CACHE"):
        return Path(named).absolute()
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches).absolute() / "dhq_brevitas" / kind


def cache_limit() -> int:
    """Bytes that each cache folder may hold: ``DHQ_CACHE_GIB``, a number of GiB, by default 4."""
    text = os.environ.get("DHQ_CACHE_GIB") or "4"
    try:
        gib = float(text)
    except ValueError:
        gib = -1.0
    if not 0 <= gib < float("inf"):
        raise ValueError(f"DHQ_CACHE_GIB={text!r} must be a number of GiB, for example 4")
    return int(gib * 2**30)


def processors() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0))


def has_vivado() -> bool:
    """Whether a Vivado installation is announced by ``XILINX_VIVADO``."""
    return bool(os.environ.get("XILINX_VIVADO"))


def prepare() -> None:
    """Sets up the environment described in the module docstring; repeated calls change nothing."""
    if not os.environ.get("FINN_BUILD_DIR"):
        os.environ["FINN_BUILD_DIR"] = str(new_build_dir())
    Path(os.environ["FINN_BUILD_DIR"]).mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (Path.home() / ".finn").exists():
        os.environ.setdefault("FINN_SETTINGS", NO_SETTINGS)
    library = Path(importlib.util.find_spec("finn").submodule_search_locations[0])
    os.environ.setdefault("FINN_RTLLIB", str(library / "finn-rtllib"))
    if has_vivado():
        return
    import finn.util.basic
    import finn.xsi

    finn.util.basic.get_vivado_root = _vivado_root
    for name in finn.xsi._LAZY_NAMES:
        if name not in vars(finn.xsi):
            setattr(finn.xsi, name, _unavailable(name))


def _vivado_root() -> str:
    return os.environ.get("XILINX_VIVADO", "no Vivado")


def _unavailable(name: str) -> Callable[..., NoReturn]:
    def unavailable(*_args: Any, **_kwargs: Any) -> NoReturn:
        from finn.util.exception import FINNUserError

        raise FINNUserError(
            f"finn.xsi.{name} needs an RTL simulator and XILINX_VIVADO is not set; execute the "
            "graph in Python (exec_mode 'cppsim'), call dhq_brevitas.finn_flow.rtlsim."
            "enable_verilator(), or source Vivado's settings64.sh"
        )

    unavailable.__name__ = name
    return unavailable
