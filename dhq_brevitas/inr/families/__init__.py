# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""INR families, one module each, and their registry.

A family of your own is a :class:`Family` in your own file: hand it to :func:`register_family`, or
name the file on the command line (``--family my_family.py``), where its ``FAMILY`` is taken.
"""

from dhq_brevitas.inr.families import finer, gaussian, hosc, quadinr, relu, siren, wire
from dhq_brevitas.inr.families.base import (
    Activation,
    Family,
    default_initialize,
    omega_of,
    siren_initialize,
    uniform,
)
from dhq_brevitas.util.errors import ArgumentError
from dhq_brevitas.util.plugins import SUFFIX, from_file

__all__ = [
    "FAMILIES",
    "Activation",
    "Family",
    "default_initialize",
    "get_family",
    "omega_of",
    "register_family",
    "siren_initialize",
    "uniform",
]

FAMILIES: dict[str, Family] = {
    module.FAMILY.name: module.FAMILY
    for module in (siren, finer, gaussian, wire, relu, quadinr, hosc)
}
REFUSED = {
    "wire-complex": "its activation is a function of two variables, the real and the imaginary "
    "part, which no table holds; use 'wire', with the real Gabor wavelet",
}


def register_family(family: Family) -> None:
    """Makes ``family`` known by its name; a family of that name is replaced."""
    FAMILIES[family.name] = family


def get_family(name: str) -> Family:
    """The family called ``name``, or the ``FAMILY`` of the Python file of that path.

    Raises ValueError when there is none, when it cannot be quantized, or when the file defines
    none.
    """
    if not isinstance(name, str):
        raise ArgumentError("family", name, f"must be a name: {', '.join(FAMILIES)}")
    if name in REFUSED:
        raise ArgumentError("family", name, f"cannot be quantized: {REFUSED[name]}")
    if name in FAMILIES:
        return FAMILIES[name]
    if name.endswith(SUFFIX):
        return from_file(name, "family", "FAMILY", Family)
    known = ", ".join(FAMILIES)
    raise ArgumentError(
        "family", name, f"is unknown: use {known}, or a Python file that defines FAMILY"
    )
