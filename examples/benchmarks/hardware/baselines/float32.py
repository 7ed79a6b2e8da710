# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The network in float32, and the same in NumPy, bit for bit."""

from collections.abc import Sequence

import numpy as np

from hardware.baselines.design import (
    Baseline,
    SineLayer,
    make_sources,
    memory_lines,
)

TINY = np.float32(2.0**-126)
TABLE_BITS = 10
REST_BITS = 12


def add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float32 sum as ``baseline_fp32_add`` gives it, for finite values, up to the sign of 0."""
    return _flush(_flush(a) + _flush(b))


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float32 product as ``baseline_fp32_multiply`` gives it, for finite values."""
    # float64 holds the product exactly; scaled up, its rounding is that of an unlimited exponent.
    exact = _flush(a).astype(np.float64) * _flush(b).astype(np.float64)
    small = np.abs(exact) < 2.0**-100
    with np.errstate(over="ignore"):
        rounded = np.where(small, exact * 2.0**120, exact).astype(np.float32).astype(np.float64)
    rounded = np.where(small, rounded * 2.0**-120, rounded)
    return np.where(np.abs(rounded) < TINY, np.copysign(0.0, exact), rounded).astype(np.float32)


def sine(t: np.ndarray) -> np.ndarray:
    """sin(2·pi·t), float32, as ``baseline_fp32_sine`` computes it."""
    base, slope = sine_entries()
    turns = np.abs(_flush(t).astype(np.float64))
    fixed = np.floor(np.mod(turns, 1.0) * 2.0**24).astype(np.int64)
    fixed = np.where(turns >= 2.0**23, 0, fixed)
    phase = np.where(np.signbit(t), -fixed, fixed) & ((1 << 24) - 1)
    position = phase & ((1 << 22) - 1)
    position = np.where(phase & (1 << 22), (1 << 22) - 1 - position, position)
    index, rest = position >> REST_BITS, position & ((1 << REST_BITS) - 1)
    value = base[index] + (slope[index] * rest >> REST_BITS)
    result = (value.astype(np.float64) * 2.0**-24).astype(np.float32)
    return np.where((phase >> 23 & 1 == 1) & (value != 0), -result, result)


def sine_entries() -> tuple[np.ndarray, np.ndarray]:
    """(base, slope) of the table, int64 [1024]."""
    entries = 1 << TABLE_BITS
    knots = np.rint(2.0**24 * np.sin(np.pi / 2 * np.arange(entries + 1) / entries)).astype(np.int64)
    return knots[:-1], np.diff(knots)


def float_baseline(layers: Sequence[SineLayer], dsp_adders: bool = False) -> Baseline:
    """The network in float32; its inputs are coordinate codes as floats.

    With ``dsp_adders``, DSP slices align, add and normalize; the numbers are the same.
    """
    values = [(x.weight.astype(np.float32), x.bias.astype(np.float32)) for x in layers]
    base, slope = sine_entries()
    sources = make_sources(
        layers,
        [(_bits(weight), _bits(bias)) for weight, bias in values],
        memory_lines((slope << 25 | base)[:, None], 41),
        is_float=True,
        dsp_adders=dsp_adders,
        shifts=[0] * len(layers),
    )

    def reference(patterns: np.ndarray) -> np.ndarray:
        x = patterns.astype(np.int32).view(np.float32)
        for layer, (weight, bias) in zip(layers, values, strict=True):
            simd, _ = layer.folding
            total = np.broadcast_to(bias, (len(x), len(bias)))
            for start in range(0, weight.shape[1], simd):
                products = [
                    multiply(x[:, None, i], weight[None, :, i]) for i in range(start, start + simd)
                ]
                while len(products) > 1:
                    pairs = zip(products[::2], products[1::2], strict=True)
                    products = [add(*pair) for pair in pairs]
                total = add(total, products[0])
            x = sine(total) if layer.sine else total
        return _bits(x)

    return Baseline(
        sources=sources,
        width=32,
        output_width=32,
        features=(layers[0].weight.shape[1], layers[-1].weight.shape[0]),
        reference=reference,
        encode=lambda codes: _bits(codes.astype(np.float32)),
        decode=lambda patterns: patterns.astype(np.int32).view(np.float32),
    )


def _flush(x: np.ndarray) -> np.ndarray:
    """Subnormal values to zero of their sign; -0 is kept."""
    return np.where(np.abs(x) < TINY, np.copysign(np.float32(0), x), x).astype(np.float32)


def _bits(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x, np.float32).view(np.int32).astype(np.int64)
