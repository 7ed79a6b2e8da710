# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Sums and thresholds of 40 bits in RTL, which FINN's own writer rounds to float32."""

import numpy as np
import pytest
from finn.custom_op.fpgadataflow.rtl.thresholding_rtl import Thresholding_rtl as FinnThresholding
from qonnx.custom_op.registry import getCustomOp
from siren_graphs import GraphBuilder

from dhq_brevitas.finn_flow import FlowError, build_dataflow
from dhq_brevitas.finn_flow.ops.thresholding_rtl import Thresholding_rtl
from dhq_brevitas.finn_flow.stitching import simulate_nodes, simulate_stitched, stitch
from layer_graphs import thresholding


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Two channels with sums a·2^22 + b·2^11 + c and 15 thresholds each, (2k + 1)·2^34 and half."""
    g = GraphBuilder(3).quant(18).matmul([[1 << 22, 1 << 22], [1 << 11, 1 << 11], [1, 1]], 24)
    g.apply("Mul", [2.0**-35, 2.0**-34]).quant(4)
    folder = tmp_path_factory.mktemp("wide")
    return build_dataflow(g.model(2), folder, progress=False).model


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    """One below, at and one above the thresholds of the first channel."""
    sums = [(2 * k + 1) * 2**34 + d for k in range(-8, 7) for d in (-1, 0, 1)]
    return np.array([[s >> 22, s >> 11 & 2047, s & 2047] for s in sums])


def exact(signal: np.ndarray) -> np.ndarray:
    sums = signal @ np.array([1 << 22, 1 << 11, 1])
    # Half to even by integers: a tie, whose rest is half a step, goes to the even code.
    codes = [
        (sums + (half - 1) + (sums // (2 * half) & 1)) // (2 * half) for half in (2**34, 2**33)
    ]
    return np.clip(np.stack(codes, axis=1), -8, 7)


def test_stitched_design_is_exact(build, signal, tmp_path):
    design = stitch(build, tmp_path / "stitched")
    outputs, _ = simulate_stitched(design, signal, progress=False)
    np.testing.assert_array_equal(outputs, exact(signal))
    assert len(np.unique(outputs[:, 0])) == 16


def test_nodes_by_themselves_are_refused(build, signal):
    with pytest.raises(FlowError, match=r"MVAU_rtl.* puts out integers of 39 bits, and FINN packs"):
        simulate_nodes(build, signal, progress=False)


@pytest.mark.parametrize("rows", [1, 8])
def test_memory_files_are_those_of_finn(rows, tmp_path):
    """For thresholds that FINN's writer holds, it and ours write the same files."""
    model = thresholding(pe=4, rows=rows)
    node = model.graph.node[0]
    values = model.get_initializer(node.input[1])
    written = []
    for op, dtype in ((FinnThresholding(node), np.float32), (getCustomOp(node), np.float64)):
        folder = tmp_path / type(op).__module__
        folder.mkdir()
        op.make_weight_file(values.astype(dtype), "internal_embedded", str(folder / "memblock.dat"))
        written.append({path.name: path.read_text() for path in folder.glob("*.dat")})
    assert isinstance(getCustomOp(node), Thresholding_rtl)
    assert written[0] == written[1]
    assert written[0]
