# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Boards with a Zynq that block_design.tcl is for."""

from dataclasses import dataclass

from finn.util.basic import pynq_part_map

from dhq_brevitas.util.errors import ArgumentError

# Vivado's names, as in the shell that finn-plus 1.6.1 generates (fpgadataflow/templates.py).
_BOARD_PARTS = {
    "Pynq-Z1": "www.digilentinc.com:pynq-z1:part0:1.0",
    "Pynq-Z2": "tul.com.tw:pynq-z2:part0:1.0",
    "Ultra96-V2": "avnet.com:ultra96v2:part0:1.2",
    "ZCU102": "xilinx.com:zcu102:part0:3.3",
    "ZCU104": "xilinx.com:zcu104:part0:1.1",
    "KV260_SOM": "xilinx.com:kv260_som:part0:1.3",
}


@dataclass(frozen=True)
class ZynqBoard:
    """``part`` and ``board_part`` are Vivado's names."""

    name: str
    part: str
    board_part: str

    @classmethod
    def of(cls, name: str) -> "ZynqBoard":
        """By FINN's name; ArgumentError for one that is not known."""
        if name not in _BOARD_PARTS:
            raise ArgumentError("board", name, f"is not known: use {', '.join(_BOARD_PARTS)}")
        return cls(name, pynq_part_map[name], _BOARD_PARTS[name])
