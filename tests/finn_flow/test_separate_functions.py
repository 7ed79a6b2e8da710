# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""SeparateFunctions: a quantizer read by several functions."""

import numpy as np
import pytest
from siren_graphs import GraphBuilder

from dhq_brevitas.export import run_qonnx
from dhq_brevitas.finn_flow.transformations import InferLookupActivation, SeparateFunctions


def shared_phase(rng, *functions: str, matmul: bool = False):
    """One quantizer, several functions of its scaled codes, their sum."""
    g = GraphBuilder(3, datatype="INT5").matmul(rng.integers(-9, 9, (3, 4)), 5)
    g.apply("Mul", 0.25).quant(9, "FLOOR")
    codes, scaled = g.x, g.apply("Mul", 0.125).x
    parts = []
    for function in functions:
        g.x = scaled
        parts.append(g.apply(function).apply("Mul", 50.0).quant(8).x)
    if matmul:
        g.x = codes
        parts.append(g.matmul(np.eye(4), 2).x)
    g.x = parts[0]
    for part in parts[1:]:
        g.node("Add", g.x, part)
    return g.model(4)


@pytest.mark.parametrize(
    ("functions", "matmul", "quantizers"),
    [
        (("Sin", "Cos"), False, 2),
        (("Sin", "Cos", "Tanh"), False, 3),
        (("Sin",), True, 2),
    ],
)
def test_each_function_becomes_a_table(rng, transformed, functions, matmul, quantizers):
    model = shared_phase(rng, *functions, matmul=matmul)
    assert not InferLookupActivation().apply(model)[1]
    result = transformed(model, SeparateFunctions())
    assert len(result.get_nodes_by_op_type("Quant")) == quantizers + len(functions)
    x = rng.integers(-16, 16, (100, 3)).astype(np.float32)
    expected = run_qonnx(model, x)
    np.testing.assert_array_equal(run_qonnx(result, x), expected)
    tables = transformed(result, InferLookupActivation())
    assert len(tables.get_nodes_by_op_type("LookupActivation")) == len(functions)
    np.testing.assert_array_equal(run_qonnx(tables, x), expected)
    again, changed = SeparateFunctions().apply(result)
    assert not changed
    assert again is result


def test_one_function_keeps_its_quantizer(rng, transformed):
    model = shared_phase(rng, "Sin")
    result = transformed(model, SeparateFunctions())
    assert [n.op_type for n in result.graph.node] == [n.op_type for n in model.graph.node]
