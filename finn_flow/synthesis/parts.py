# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""FPGA parts by the family that Yosys's ``synth_xilinx`` maps to."""

import re

from dhq_brevitas.finn_flow.errors import FlowError

#: Part names, by DS190 and DS890 of AMD and, for cards and Kria modules, their data sheets.
_FAMILIES = (
    (r"xc7[akvsz]\w*", "xc7"),
    (r"xczu\w+|xc[akv]u\d+p\w*|xcau\w+|xck2[46]\w*|xcu\d\w*", "xcup"),
    (r"xc[kv]u\d+\w*", "xcu"),
)
FAMILY_NAMES = {"xc7": "7 series", "xcu": "UltraScale", "xcup": "UltraScale+"}


def part_family(part: str) -> str:
    """Yosys's name of the family of an AMD part: ``xc7``, ``xcu`` or ``xcup``.

    FlowError for other parts: Yosys has no mapping for Versal, and no other vendor's part has the
    DSP slices that FINN's layers instantiate.
    """
    name = part.lower().partition("-")[0]
    for pattern, family in _FAMILIES:
        if re.fullmatch(pattern, name):
            return family
    raise FlowError(
        f"fpga_part={part!r} is no part that Yosys can map to: choose one of the 7 series, "
        "UltraScale or UltraScale+ families, for example xczu3eg-sbva484-1-e or xc7z020clg400-1"
    )
