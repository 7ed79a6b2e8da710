# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Devices and boards that open tools place for: Lattice ECP5."""

import re
from dataclasses import dataclass

from dhq_brevitas.util.errors import ArgumentError

# Lattice's ordering codes (ECP5 family data sheet, FPGA-DS-02012) and nextpnr's names of packages.
_DEVICE = re.compile(r"LFE5(UM5G|UM|U)-(12|25|45|85)F-([678])(BG256|MG285|BG381|BG554|BG756)[CI]?")
_PACKAGES = {
    "BG256": "CABGA256",
    "MG285": "CSFBGA285",
    "BG381": "CABGA381",
    "BG554": "CABGA554",
    "BG756": "CABGA756",
}
DEFAULT_DEVICE = "LFE5U-85F-6BG381C"


@dataclass(frozen=True)
class Device:
    """One part; ``options`` are nextpnr-ecp5's."""

    name: str
    options: tuple[str, ...]

    @classmethod
    def of(cls, name: str) -> "Device":
        """By its ordering code; ArgumentError for one that is not known."""
        found = _DEVICE.fullmatch(name.upper())
        if found is None:
            raise ArgumentError(
                "device",
                name,
                "is no ECP5 that nextpnr knows: use an ordering code such as "
                f"{DEFAULT_DEVICE} (LFE5U, LFE5UM or LFE5UM5G; 12F, 25F, 45F or 85F; speed 6 to 8)",
            )
        kind, size, speed, package = found.groups()
        prefix = {"U": "", "UM": "um-", "UM5G": "um5g-"}[kind]
        options = [f"--{prefix}{size}k", "--package", _PACKAGES[package], "--speed", speed]
        return cls(name.upper(), tuple(options))


@dataclass(frozen=True)
class Board:
    """A board with a serial line.

    Attributes:
        name: of it; device: on it.
        clock_mhz: of the oscillator.
        pins: of the ports of the board's top module; a vector's from bit 0 on.
        bauds: bits a second that the serial line can have, the highest first.
    """

    name: str
    device: Device
    clock_mhz: float
    pins: dict[str, tuple[str, ...]]
    bauds: tuple[int, ...]

    @classmethod
    def of(cls, name: str) -> "Board":
        """By its name; ArgumentError for one that is not known."""
        if name not in BOARDS:
            raise ArgumentError("board", name, f"is not known: use {', '.join(BOARDS)}")
        return BOARDS[name]


def _ulx3s(size: str) -> Board:
    """ULX3S 2.0 and 3.x, with pins as in amaranth-boards 0.0.21 (ulx3s.py).

    Its serial bridge, an FT231X, reaches 3 Mbaud.
    """
    return Board(
        f"ulx3s-{size.lower()}",
        Device.of(f"LFE5U-{size}-6BG381C"),
        25.0,
        {
            "clock": ("G2",),
            "uart_rx": ("M1",),
            "uart_tx": ("L4",),
            "led": ("B2", "C2", "C1", "D2", "D1", "E2", "E1", "H3"),
        },
        (3_000_000, 2_000_000, 1_000_000, 500_000, 115_200),
    )


BOARDS = {board.name: board for board in map(_ulx3s, ("12F", "25F", "45F", "85F"))}
