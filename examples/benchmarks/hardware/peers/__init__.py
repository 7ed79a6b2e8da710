# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The same integers in other designs: adder graphs by da4ml, and plain Verilog."""

from hardware.peers.adder_graphs import adder_graph_design
from hardware.peers.naive import serial_design, unrolled_design
from hardware.peers.network import IntegerLayer, Peer, codes_of, integer_layers

__all__ = [
    "IntegerLayer",
    "Peer",
    "adder_graph_design",
    "codes_of",
    "integer_layers",
    "serial_design",
    "unrolled_design",
]
