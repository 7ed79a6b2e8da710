# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Place and route with open tools: Yosys, nextpnr and ecppack, for Lattice ECP5, from PyPI.

:func:`place_design` gives clock rate, utilization, critical path and, for a board, a bitstream;
:func:`simulate_board` what comes out of the board's serial line.
"""

from dhq_brevitas.finn_flow.placement.board import BoardDesign, board_design, simulate_board
from dhq_brevitas.finn_flow.placement.device import Board, Device
from dhq_brevitas.finn_flow.placement.place import CriticalPath, Placement, place_design
from dhq_brevitas.finn_flow.placement.sources import portable_sources
from dhq_brevitas.finn_flow.placement.tools import PlacementError, tool_versions

__all__ = [
    "Board",
    "BoardDesign",
    "CriticalPath",
    "Device",
    "Placement",
    "PlacementError",
    "board_design",
    "place_design",
    "portable_sources",
    "simulate_board",
    "tool_versions",
]
