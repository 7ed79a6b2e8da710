# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Damaged graphs: a sentence, or the numbers that QONNX's own execution gives. Never else."""

import warnings
from collections import Counter

import numpy as np
import pytest
from onnx import helper

from dhq_brevitas.export import export_qonnx, run_qonnx, to_integer_form
from graphs import make_model, quant_node
from mutations import mutated, outputs_of_qonnx
from networks import grid_codes, relu_network, sine_network

X = grid_codes(5, seed=3).numpy()


@pytest.fixture(scope="module")
def graphs():
    """Graphs in integer form, with tables, rotations and thresholds; and one of scales."""
    networks = (
        sine_network(4, outputs=2),
        sine_network(4, layers=1, side="output", signs=1, outputs=2),
        relu_network(2, 4, 2),
    )
    exported = [export_qonnx(network, args=grid_codes(2)).model for network in networks]
    return [*exported, scaled_graph().model]


def scaled_graph():
    """As an exporter leaves it: quantized weights and biases, scales not 1."""
    nodes = [
        quant_node("x", "one", "eight", "a"),
        quant_node("w", "half", "four", "q"),
        helper.make_node("MatMul", ["a", "q"], ["b"]),
        quant_node("bias", "half", "eight", "c"),
        helper.make_node("Add", ["b", "c"], ["d"]),
        helper.make_node("Relu", ["d"], ["e"]),
        quant_node("e", "half", "four", "y"),
    ]
    weight = np.array([[1.5, -1], [0.5, 2]], np.float32)
    bias = np.array([0.5, -3], np.float32)
    constants = {"one": 1, "half": 0.5, "zero": 0, "eight": 8, "four": 4, "w": weight, "bias": bias}
    return make_model(nodes, (2, 2), constants)


def attempt(call):
    """Its result; None where it raises a ValueError of one sentence."""
    try:
        return call()
    except ValueError as error:
        message = str(error)
    assert message
    assert "\n" not in message
    return None


def outcome(proto, seed: int) -> str:
    """What comes of one mutation; AssertionError for other numbers."""
    model = mutated(proto, seed)
    if model is None:
        return "no ONNX"
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        outputs = attempt(lambda: run_qonnx(model, X))
        formed = attempt(lambda: to_integer_form(model))
        if outputs is None:
            return "refused"
        expected = outputs_of_qonnx(model, X)
        largest = np.abs(expected, where=np.isfinite(expected), out=np.zeros_like(expected)).max()
        if not np.array_equal(outputs, expected, equal_nan=True):
            # Of sums of numbers that are no integers, float64 has more bits.
            np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5 * float(largest))
            return "executed, rounded differently"
        if formed is None:
            return "executed, no integer form"
        try: again = run_qonnx(formed, X)
        except ValueError as e: return "FORMED REFUSED "+str(e)[:100]
        if not np.array_equal(again, outputs, equal_nan=True):
            if np.allclose(again,outputs,rtol=1e-5,atol=1e-5*float(largest),equal_nan=True): return "formed rounded"
            open('/tmp/formed.txt','a').write(f"{seed} {np.abs(again-outputs).max()/max(largest,1e-30)}\n")
            return "FORMED DIFFERS"
        return "executed, integer form"


def outcomes(graphs, seeds) -> Counter[str]:
    counts: Counter[str] = Counter()
    for seed in seeds:
        try:
            counts[outcome(graphs[seed % len(graphs)], seed)] += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
    return counts


def test_random_damage(graphs):
    counts = outcomes(graphs, range(200))
    # Not everything is refused, and not everything passes.
    assert counts["refused"] > 50
    assert counts["executed, integer form"] > 20


@pytest.mark.exhaustive
def test_much_random_damage(graphs):
    print(outcomes(graphs, range(1000, 11000)))
