# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Other designs of the same integers: their RTL against NumPy, and what they refuse."""

import dataclasses

import numpy as np
import pytest

from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.rtlsim import enable_verilator
from hardware.peers import (
    IntegerLayer,
    adder_graph_design,
    codes_of,
    serial_design,
    unrolled_design,
)

BITS = 5


def network() -> list[IntegerLayer]:
    """2-4-4-3 with one table of 64 entries."""
    rng = np.random.default_rng(1)
    table = np.rint(127 * np.sin(2 * np.pi * (np.arange(64) + 0.5) / 64)).astype(np.int64)
    layers = []
    for rows, columns, shift in ((4, 2, 3), (4, 4, 5), (3, 4, 0)):
        weight = rng.integers(-127, 128, (rows, columns))
        last = shift == 0
        bias = np.zeros(rows, np.int64) if last else rng.integers(-999, 1000, rows)
        layers.append(IntegerLayer(weight, bias, shift, None if last else table))
    return layers


@pytest.mark.parametrize(
    ("design", "cycles"),
    [
        (lambda layers: adder_graph_design(layers, BITS, 3.0), 1),
        (lambda layers: unrolled_design(layers, BITS), 1),
        # Two inputs, 36 products, and four cycles behind each layer.
        (lambda layers: serial_design(layers, BITS), 2 + 36 + 3 * 4),
    ],
    ids=["da4ml", "unrolled", "serial"],
)
def test_a_peer_computes_the_same_integers(design, cycles):
    enable_verilator()
    layers = network()
    codes = np.random.default_rng(2).integers(-16, 16, (64, 2))
    outputs, stats = design(layers).simulate(codes)
    assert np.array_equal(outputs, codes_of(layers, codes))
    assert stats.cycles_per_sample == cycles
    turned = dataclasses.replace(layers[1], weight=-layers[1].weight)
    assert not np.array_equal(outputs, codes_of([layers[0], turned, layers[2]], codes))


def test_one_table_serves_equal_tables_only():
    layers = network()
    layers[1] = dataclasses.replace(layers[1], table=-layers[1].table)
    with pytest.raises(FlowError, match="needs equal ones"):
        serial_design(layers, BITS)
