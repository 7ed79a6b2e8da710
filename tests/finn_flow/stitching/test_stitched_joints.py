# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Graphs that are no chain as one Verilog design: no code differs, at rate, under stalls."""

import numpy as np
import pytest

from dhq_brevitas.export import export_qonnx
from dhq_brevitas.finn_flow import FlowError, build_dataflow, execute_dataflow
from dhq_brevitas.finn_flow.rtlsim import SimulationError
from dhq_brevitas.finn_flow.stitching import simulate_nodes, simulate_stitched, stitch
from dhq_brevitas.finn_flow.stitching.prepare import branch_ends, fifos
from joint_networks import NETWORKS, inputs_of, joint_network

SAMPLES = 100
CYCLES = 64
SHOWN = ("nerf",)
SLOW = [pytest.param(n, marks=pytest.mark.exhaustive) for n in NETWORKS if n not in SHOWN]


def codes_of(name: str) -> list[np.ndarray]:
    return [x.numpy().astype(np.int64) for x in inputs_of(name, SAMPLES)]


def dataflow(name: str, folder):
    graph = export_qonnx(joint_network(name), inputs_of(name, 4))
    return build_dataflow(graph, folder, cycles_per_sample=CYCLES, progress=False)


def assert_equal(found, expected) -> None:
    several = isinstance(expected, tuple)
    for a, b in zip(found, expected, strict=True) if several else [(found, expected)]:
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", [*SHOWN, *SLOW])
def test_equal_to_python_at_rate(name, tmp_path):
    built = dataflow(name, tmp_path / "build")
    codes = codes_of(name)
    expected = execute_dataflow(built.model, codes, progress=False)
    design = stitch(built.model, tmp_path / "design")
    outputs, stats = simulate_stitched(design, codes, progress=False)
    assert_equal(outputs, expected)
    slowest = built.report["cycles_per_sample_estimate"]
    assert stats.cycles_per_sample == pytest.approx(slowest, rel=0.02)
    outputs, _ = simulate_stitched(design, codes, stalls=(120, 120), progress=False)
    assert_equal(outputs, expected)
    readme = (design.folder / "README.md").read_text()
    for i in range(len(codes)):
        assert f"| `s_axis_{i}` |" in readme


@pytest.fixture(scope="module")
def residual(tmp_path_factory):
    return dataflow("residual sine", tmp_path_factory.mktemp("build")).model


@pytest.fixture(scope="module")
def sized(residual, tmp_path_factory):
    return stitch(residual, tmp_path_factory.mktemp("sized"))


@pytest.mark.exhaustive
def test_layer_by_layer(residual):
    codes = codes_of("residual sine")
    outputs, nodes = simulate_nodes(residual, codes[0][:20], progress=False)
    expected = execute_dataflow(residual, codes[0][:20], progress=False)
    np.testing.assert_array_equal(outputs, expected)
    assert all(node.mismatches == 0 for node in nodes)
    # A fork is counted at each of its outputs.
    fork = next(node for node in nodes if node.op_type == "DuplicateStreams_rtl")
    assert fork.codes == 2 * 20 * 8


def branches(design) -> list[int]:
    """Indices among the FIFOs of those in which a branch waits; those of depth 0 are gone."""
    ends = {fifo.onnx_node.name for fifo in branch_ends(design.model)}
    kept = [index for index, depth in enumerate(design.fifo_depths) if depth]
    pairs = zip(kept, fifos(design.model), strict=True)
    return [index for index, fifo in pairs if fifo.onnx_node.name in ends]


def test_bypass_one_word_shorter_is_slower_or_not(residual, sized, tmp_path):
    """The found depth of the bypass holds the rate; what less does is measured, not hidden."""
    codes = codes_of("residual sine")
    expected = execute_dataflow(residual, codes, progress=False)
    deepest = max(branches(sized), key=lambda i: sized.fifo_depths[i])
    assert sized.fifo_depths[deepest] > 8  # a sample and more: the other branch reads all of it
    rates = {}
    for depth in (sized.fifo_depths[deepest] - 1, 8):
        depths = list(sized.fifo_depths)
        depths[deepest] = depth
        shorter = stitch(residual, tmp_path / str(depth), fifo_depths=depths)
        outputs, stats = simulate_stitched(shorter, codes, progress=False)
        np.testing.assert_array_equal(outputs, expected)
        rates[depth] = stats.cycles_per_sample
    assert all(rate >= CYCLES for rate in rates.values())
    assert rates[8] > 1.1 * CYCLES


def test_bypass_of_less_than_a_sample_is_reported(residual, sized, tmp_path):
    """The branch beside it reads a whole sample before it puts out anything."""
    deepest = max(branches(sized), key=lambda i: sized.fifo_depths[i])
    depths = list(sized.fifo_depths)
    depths[deepest] = 2
    stuck = stitch(residual, tmp_path, fifo_depths=depths)
    message = r"Branches that meet again wait in FIFOs of .*2 words from .* to StreamAdd"
    with pytest.raises(SimulationError, match=message):
        simulate_stitched(stuck, codes_of("residual sine"), timeout=5000, progress=False)


def test_depth_of_nothing_names_the_branch(residual, sized, tmp_path):
    deepest = max(branches(sized), key=lambda i: sized.fifo_depths[i])
    depths = list(sized.fifo_depths)
    depths[deepest] = 0
    message = rf"fifo_depths\[{deepest}\]=0: the FIFO on the stream from \w+ to StreamAdd_rtl_0"
    with pytest.raises(FlowError, match=message):
        stitch(residual, tmp_path, fifo_depths=depths)
