# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What FPGA parts have. From AMD's overviews DS190 (Zynq 7000), DS891 (Zynq UltraScale+), DS987."""

from collections.abc import Mapping

__all__ = ["part_resources"]

NAMES = ("lut", "ff", "dsp", "bram18", "uram")
#: By the head of the part's name.
PARTS = {
    "xc7z010": (17600, 35200, 80, 120, 0),
    "xc7z020": (53200, 106400, 220, 280, 0),
    "xczu3eg": (70560, 141120, 360, 432, 0),
    "xczu7ev": (230400, 460800, 1728, 624, 96),
    "xczu9eg": (274080, 548160, 2520, 1824, 0),
    "xck26": (117120, 234240, 1248, 288, 64),
}


def part_resources(part: str) -> Mapping[str, int] | None:
    """``lut``, ``ff``, ``dsp``, ``bram18`` and ``uram`` of a part, or None if it is not known."""
    for head, counts in PARTS.items():
        if part.lower().startswith(head):
            return dict(zip(NAMES, counts, strict=True))
    return None
