# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The network in 16 bit fixed point, and the same in NumPy, exactly."""

import math
from collections.abc import Sequence

import numpy as np

from dhq_brevitas.finn_flow.errors import FlowError
from hardware.baselines.design import (
    Baseline,
    SineLayer,
    make_sources,
    memory_lines,
)

BITS = 16
#: Address bits of the sine: two less of its phase decide the table, a quarter wave.
PHASE_BITS = 14
ACC_BITS = 40


def fixed_baseline(layers: Sequence[SineLayer]) -> Baseline:
    """The network with weights and activations of 16 bits; its inputs are coordinate codes.

    Weights are rounded to the power of two per layer that the largest of them allows, biases to
    the accumulator's; a sine is rounded to multiples of 2^-15, +1 to the one below. The last layer
    gives its accumulator.
    """
    given = 0  # binary places of the inputs
    integers, shifts, places = [], [], []
    for layer in layers:
        own = BITS - 1 - math.ceil(math.log2(np.abs(layer.weight).max() * (1 + 2.0**-BITS)))
        weight = np.rint(layer.weight * 2.0**own).astype(np.int64)
        bias = np.rint(layer.bias * 2.0 ** (own + given)).astype(np.int64)
        reach = np.abs(weight).sum(axis=1) * 2 ** (BITS - 1) + np.abs(bias)
        if own + given < PHASE_BITS or reach.max() >= 1 << (ACC_BITS - 1):
            raise FlowError("a layer's weights are too large for 16 bit fixed point")
        integers.append((weight, bias))
        shifts.append(own + given - PHASE_BITS)
        places.append(own + given)
        given = BITS - 1
    steps = (np.arange(1 << PHASE_BITS) + 0.5) / (1 << PHASE_BITS)
    top = 2 ** (BITS - 1)
    table = np.clip(np.rint(top * np.sin(2 * np.pi * steps)), -top + 1, top - 1).astype(np.int64)
    sources = make_sources(
        layers,
        integers,
        memory_lines(table[: len(table) // 4, None], BITS),
        is_float=False,
        shifts=shifts,
        table_bits=PHASE_BITS,
    )

    def reference(patterns: np.ndarray) -> np.ndarray:
        x = patterns
        for layer, (weight, bias), shift in zip(layers, integers, shifts, strict=True):
            x = x @ weight.T + bias
            if layer.sine:
                x = table[x >> shift & (1 << PHASE_BITS) - 1]
        return x

    return Baseline(
        sources=sources,
        width=BITS,
        output_width=ACC_BITS,
        features=(layers[0].weight.shape[1], layers[-1].weight.shape[0]),
        reference=reference,
        encode=lambda codes: codes.astype(np.int64),
        decode=lambda sums: sums * 2.0 ** -places[-1],
    )
