# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Adder graphs of constant matrices under Verilator against NumPy, by matrix_vector's scenarios."""

from pathlib import Path

import numpy as np
import pytest
from qonnx.core.datatype import DataType
from simulate import Instance, build, simulate
from test_matrix_vector import SCENARIOS

from dhq_brevitas.finn_flow.ops.adder_graph import adder_graph
from dhq_brevitas.finn_flow.ops.adder_graph_rtl import adder_graph_text
from dhq_brevitas.finn_flow.ops.matrix_vector import sum_bits

pytest.importorskip("da4ml", reason="pip install 'dhq-brevitas[adders]'")


def matrix(seed: int, rows: int, columns: int, bits: int) -> np.ndarray:
    """Of signs (1 bit), of -1, 0 and 1 (2 bits), or of any, the lowest among them."""
    source = np.random.default_rng(seed)
    if bits == 1:
        return source.choice([-1, 1], (rows, columns))
    if bits == 2:
        return source.integers(-1, 2, (rows, columns))
    weights = source.integers(-(1 << (bits - 1)), 1 << (bits - 1), (rows, columns))
    weights[0, 0] = -(1 << (bits - 1))
    return weights


# Matrix, type of the inputs, adders in a row.
CASES = [
    (matrix(0, 8, 16, 8), "INT8", 5),
    (matrix(1, 3, 16, 8), "INT8", 2),
    (matrix(2, 16, 2, 12), "INT5", 5),
    (matrix(3, 4, 5, 16), "INT24", 3),
    (matrix(4, 4, 6, 16), "UINT16", 4),
    (matrix(5, 8, 16, 1), "INT8", 1),
    (matrix(6, 8, 16, 2), "UINT1", 2),
    (matrix(7, 6, 9, 2), "INT1", 1),
    (matrix(8, 1, 1, 8), "INT8", 5),
    # A row and a column of zeros, a row of one power of two and one of its negative; all negative.
    (np.array([[0, 0, 0], [8, 0, 0], [-8, 0, 0], [0, 0, 5]]), "INT4", 1),
    (np.array([[-3, -5], [-6, -10]]), "UINT4", 2),
]


def instances(folder: Path, cases: list) -> tuple[list[Instance], list[Path]]:
    """Instances of the cases and their modules, written to the folder."""
    found, paths = [], []
    for index, (weights, name, in_row) in enumerate(cases):
        x, (rows, columns) = DataType[name], weights.shape
        graph, bits = adder_graph(weights, x, in_row), sum_bits(weights, x)
        paths.append(folder / f"graph_{index}.sv")
        text = adder_graph_text(graph, f"graph_{index}", "test", x.bitwidth(), bits)
        paths[-1].write_text(text)
        whole = {"PE": rows, "SIMD": columns, "IN_LANES": columns, "OUT_LANES": rows, "CHAIN": 1}
        geometry = {"MW": columns, "MH": rows, "IN_WIDTH": x.bitwidth(), "IN_SIGNED": x.signed()}
        bench = {**whole, **geometry, "ACC_WIDTH": bits, "LATENCY": graph.last}
        bench |= {"weights": weights.tolist(), "WEIGHT_WIDTH": 8, "DSP": ""}
        found.append(Instance(f"graph_{index}", {}, columns * x.bitwidth(), rows * bits, bench))
    return found, paths


def test_equals_numpy(model_cache: Path, tmp_path: Path) -> None:
    """Verilator's warnings are errors. Negative control: the last graph has one weight changed."""
    weights, name, in_row = matrix(9, 4, 4, 4), "INT4", 2
    changed = weights.copy()
    changed[-1, -1] += 1 if weights[-1, -1] < 7 else -1
    found, paths = instances(tmp_path, [*CASES, (changed, name, in_row)])
    found[-1].bench["weights"][:] = weights.tolist()
    folder = build(model_cache, found, paths)
    outcome = simulate(folder, found, "matrix_vector_bench", tmp_path)
    last = str(len(CASES))
    assert {test.split("index=")[1] for test in outcome.failed} == {last}
    assert (len(outcome.passed), len(outcome.failed)) == (SCENARIOS * len(CASES), SCENARIOS)
    assert all("outputs differ" in message for message in outcome.failed.values())
