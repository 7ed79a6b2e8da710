# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""MoveScalePastHadamard."""

import numpy as np
import pytest
from siren_graphs import GraphBuilder

from dhq_brevitas.export import run_qonnx
from dhq_brevitas.finn_flow.transformations import MoveScalePastHadamard


def chain(factor, channels=16, signs=None):
    g = GraphBuilder(channels).quant(6).apply("Mul", factor).hadamard(8, signs)
    return g.apply("Add", 1.0).model(channels)


@pytest.mark.parametrize("factor", [0.125, -4.0, [0.5]])
@pytest.mark.parametrize("exact_only", [False, True])
def test_power_of_two_is_exact(rng, transformed, factor, exact_only):
    model = chain(factor, signs=rng.choice([-1.0, 1.0], 16))
    result = transformed(model, MoveScalePastHadamard(exact_only))
    assert [n.op_type for n in result.graph.node] == ["Quant", "HadamardTransform", "Mul", "Add"]
    x = rng.normal(0, 20, (100, 16))
    np.testing.assert_array_equal(run_qonnx(result, x), run_qonnx(model, x))


def test_other_scalars_are_moved_only_if_allowed(rng, transformed):
    model = chain(0.0137)
    kept = transformed(model, MoveScalePastHadamard(exact_only=True))
    assert [n.op_type for n in kept.graph.node] == [n.op_type for n in model.graph.node]
    moved = transformed(model, MoveScalePastHadamard())
    assert [n.op_type for n in moved.graph.node] == ["Quant", "HadamardTransform", "Mul", "Add"]
    x = rng.normal(0, 20, (100, 16))
    # float32 rounds at another place: 2^-24 of sums of 8 products of at most 32 · 0.0137
    bound = 8 * 32 * 0.0137 * 2.0**-22
    np.testing.assert_allclose(run_qonnx(moved, x), run_qonnx(model, x), atol=bound)


def test_not_by_channel(transformed):
    model = chain(np.linspace(0.5, 2.0, 16))
    result = transformed(model, MoveScalePastHadamard())
    assert [n.op_type for n in result.graph.node] == ["Quant", "Mul", "HadamardTransform", "Add"]


def test_not_if_used_elsewhere(transformed):
    g = GraphBuilder(16).quant(6).apply("Mul", 0.5)
    scaled = g.x
    transform = g.hadamard(8).x
    model = g.node("Add", transform, scaled).model(16)
    result = transformed(model, MoveScalePastHadamard())
    assert [n.op_type for n in result.graph.node] == ["Quant", "Mul", "HadamardTransform", "Add"]


def test_behind_another_node(transformed):
    model = GraphBuilder(16).apply("Mul", 0.5).apply("Sin").hadamard(8).model(16)
    result = transformed(model, MoveScalePastHadamard())
    assert [n.op_type for n in result.graph.node] == ["Mul", "Sin", "HadamardTransform"]
