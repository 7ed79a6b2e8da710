# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A stock Brevitas network of ReLUs, whose activations are FINN's Thresholding, as one design."""

import re
import shutil

import numpy as np
import pytest
from qonnx.custom_op.registry import getCustomOp

from dhq_brevitas.export import export_qonnx
from dhq_brevitas.finn_flow import build_dataflow, execute_dataflow
from dhq_brevitas.finn_flow.stitching import StitchedDesign, simulate_stitched, stitch
from networks import grid_codes, relu_network

SAMPLES = 300
CYCLES = 64


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    return grid_codes(SAMPLES).numpy().astype(np.int64)


@pytest.fixture(scope="module")
def moved(tmp_path_factory, signal) -> tuple[StitchedDesign, np.ndarray]:
    """The design in another place, with nothing left where it was generated; FINN's outputs."""
    folder = tmp_path_factory.mktemp("relu")
    network = export_qonnx(relu_network(2, 16, 16, 3), args=grid_codes(4))
    model = build_dataflow(
        network, folder / "build", cycles_per_sample=CYCLES, mvau="finn", progress=False
    )
    design = stitch(model.model, folder / "stitched")
    for node in design.model.graph.node:
        shutil.rmtree(getCustomOp(node).get_nodeattr("code_gen_dir_ipgen"))
    elsewhere = folder / "somewhere else"
    shutil.move(design.folder, elsewhere)
    expected = execute_dataflow(model.model, signal, progress=False)
    return StitchedDesign(design.model, elsewhere, design.top, design.fifo_depths), expected


def test_equal_to_python_at_the_promised_rate(moved, signal):
    design, expected = moved
    kinds = {node.op_type for node in design.model.graph.node}
    assert kinds == {
        "MVAU_rtl",
        "Thresholding_rtl",
        "StreamingFIFO_rtl",
        "StreamingDataWidthConverter_rtl",
    }
    outputs, stats = simulate_stitched(design, signal, progress=False)
    np.testing.assert_array_equal(outputs, expected)
    assert len(np.unique(expected)) > 100
    assert stats.cycles_per_sample == CYCLES


def test_equal_under_stalls(moved, signal):
    design, expected = moved
    outputs, _ = simulate_stitched(design, signal, stalls=(128, 192), progress=False)
    np.testing.assert_array_equal(outputs, expected)


def test_every_memory_is_in_the_folder(moved):
    """A file for each lane and bit of each Thresholding, found from the path in its wrapper."""
    design, _ = moved
    for node in design.model.get_nodes_by_op_type("Thresholding_rtl"):
        text = (design.folder / f"{node.name}.v").read_text()
        (prefix,) = re.findall(r'THRESHOLDS_PATH = "(\./data/\w+/\w+_)"', text)
        files = [
            design.folder / f"{prefix}threshs_{lane}_{stage}.dat"
            for lane in range(getCustomOp(node).get_nodeattr("PE"))
            for stage in range(4)
        ]
        assert all(path.is_file() for path in files)
        assert set(files[0].parent.iterdir()) == set(files)


@pytest.mark.exhaustive
def test_flipped_threshold_is_detected(moved, signal, tmp_path):
    design, expected = moved
    folder = tmp_path / "flipped"
    shutil.copytree(design.folder, folder)
    # The sign of the middle threshold of a channel, with which every value is compared first.
    (node,) = design.model.get_nodes_by_op_type("Thresholding_rtl")[1:]
    sign = 1 << (design.model.get_tensor_datatype(node.input[1]).bitwidth() - 1)
    (memory,) = folder.glob(f"data/*/{node.name}_threshs_0_0.dat")
    lines = memory.read_text().splitlines()
    lines[3] = f"{int(lines[3], 16) ^ sign:0{len(lines[3])}x}"
    memory.write_text("\n".join(lines) + "\n")
    flipped = StitchedDesign(design.model, folder, design.top, design.fifo_depths)
    outputs, _ = simulate_stitched(flipped, signal, progress=False)
    assert np.any(outputs != expected)
