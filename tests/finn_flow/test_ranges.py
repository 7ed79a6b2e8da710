# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Integer ranges against exhaustive or extreme inputs."""

import itertools

import numpy as np
import pytest
from siren_graphs import GraphBuilder

from dhq_brevitas.export import run_qonnx
from dhq_brevitas.finn_flow.ranges import integer_ranges
from dhq_brevitas.finn_flow.transformations import InferHadamardTransform, InferRequant


def exhaustive(channels: int, low: int, high: int) -> np.ndarray:
    corners = itertools.product(range(low, high + 1), repeat=channels)
    return np.array(list(corners), dtype=np.float32)


@pytest.mark.parametrize("datatype", ["INT2", "UINT2"])
@pytest.mark.parametrize("signs", [None, [1.0, -1.0, -1.0, 1.0]])
@pytest.mark.parametrize("requantized", [False, True])
def test_ranges_are_tight(rng, datatype, signs, requantized):
    """Every bound of every channel is reached by some input."""
    g = GraphBuilder(4, datatype=datatype)
    g.matmul(rng.integers(-3, 4, (4, 4)), 4).hadamard(4, signs)
    if requantized:
        g.apply("Mul", 0.25).quant(3, narrow=1)
    model = g.model(4)
    low, high = (-2, 1) if datatype == "INT2" else (0, 3)
    outputs = run_qonnx(model, exhaustive(4, low, high))
    if requantized:
        model = model.transform(InferHadamardTransform()).transform(InferRequant())
    bounds = integer_ranges(model)["global_out"]
    reached = outputs.min(axis=0), outputs.max(axis=0)
    if requantized:  # each end of a channel may be reached for another combination only
        assert np.all(bounds.low <= reached[0])
        assert np.all(bounds.high >= reached[1])
    matmul = next(n for n in model.graph.node if n.op_type == "MatMul")
    weights = model.get_initializer(matmul.input[1])
    accumulators = exhaustive(4, low, high) @ weights
    product = integer_ranges(model)[matmul.output[0]]
    np.testing.assert_array_equal(product.low, accumulators.min(axis=0))
    np.testing.assert_array_equal(product.high, accumulators.max(axis=0))


def test_hadamard_bounds_are_tight_for_independent_inputs():
    g = GraphBuilder(4, datatype="INT3")
    model = g.hadamard(2, [1.0, -1.0, 1.0, 1.0]).model(4)
    outputs = run_qonnx(model, exhaustive(4, -4, 3))
    bounds = integer_ranges(model)["global_out"]
    np.testing.assert_array_equal(bounds.low, outputs.min(axis=0))
    np.testing.assert_array_equal(bounds.high, outputs.max(axis=0))
    assert bounds.magnitude == 8
    assert bounds.whole() == (-8, 7)


def test_quant_and_thresholds():
    g = GraphBuilder(2, datatype="INT6")
    model = g.quant(4, narrow=1).model(2)
    for form in (model, model.transform(InferRequant())):
        bounds = integer_ranges(form)["global_out"]
        assert bounds.low.tolist() == [-7, -7]
        assert bounds.high.tolist() == [7, 7]


def test_unknown_stays_unknown(rng):
    g = GraphBuilder(4)
    g.matmul(rng.integers(-3, 4, (4, 4)), 4).apply("Mul", 3.0).apply("Sin")
    assert integer_ranges(g.model(4)) == {}
    fractional = GraphBuilder(4, datatype="INT4")
    fractional.node("MatMul", "global_in", fractional.parameter(np.full((4, 4), 0.5)))
    assert list(integer_ranges(fractional.model(4))) == ["global_in"]
    normalized = GraphBuilder(4, datatype="INT4").hadamard(4, normalize=1)
    assert list(integer_ranges(normalized.model(4))) == ["global_in"]
