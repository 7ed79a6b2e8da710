# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A small network as one Verilog design: exact on a signal, at the rate the folding promises."""

import shutil

import numpy as np
import pytest
from layer_graphs import codes, requant
from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.export import export_qonnx
from dhq_brevitas.finn_flow import FlowError, build_dataflow, execute_dataflow, with_batch_size
from dhq_brevitas.finn_flow.rtlsim import SimulationError, enable_verilator
from dhq_brevitas.finn_flow.stitching import (
    StitchedDesign,
    open_stitched,
    simulate_nodes,
    simulate_stitched,
    stitch,
)
from networks import grid_codes, sine_network

CYCLES = 64


@pytest.fixture(scope="module")
def dataflow(tmp_path_factory) -> ModelWrapper:
    network = export_qonnx(sine_network(16, 1, signs=3), args=grid_codes(4))
    folder = tmp_path_factory.mktemp("build")
    return build_dataflow(network, folder, cycles_per_sample=CYCLES, progress=False).model


@pytest.fixture(scope="module")
def design(dataflow, tmp_path_factory) -> StitchedDesign:
    return stitch(dataflow, tmp_path_factory.mktemp("stitched"))


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    return grid_codes(500).numpy().astype(np.int64)


@pytest.fixture(scope="module")
def expected(dataflow, signal) -> np.ndarray:
    return execute_dataflow(dataflow, signal, progress=False)


def test_equal_to_python_at_the_promised_rate(design, signal, expected):
    outputs, stats = simulate_stitched(design, signal, progress=False)
    np.testing.assert_array_equal(outputs, expected)
    assert stats.samples == 500
    assert stats.cycles_per_sample == pytest.approx(CYCLES, rel=0.02)
    assert CYCLES < stats.latency_cycles < 5 * CYCLES
    assert stats.cycles == pytest.approx(499 * CYCLES + stats.latency_cycles, rel=0.02)
    assert stats.samples_per_second > 0


@pytest.mark.parametrize("stalls", [(200, 0), (0, 250), (128, 128)])
def test_equal_under_stalls(design, signal, expected, stalls):
    outputs, stats = simulate_stitched(design, signal, stalls=stalls, progress=False)
    np.testing.assert_array_equal(outputs, expected)
    assert stats.cycles > 500 * CYCLES


def test_layer_by_layer(dataflow, signal, expected):
    outputs, cycles = simulate_nodes(dataflow, signal[:50], progress=False)
    np.testing.assert_array_equal(outputs, expected[:50])
    assert len(cycles) == len(dataflow.graph.node)
    assert max(cycles.values()) == pytest.approx(50 * CYCLES, rel=0.02)


def test_streamed_parameters(tmp_path):
    model = requant()
    x = codes("INT12", 100, 8)
    outputs, stats = simulate_stitched(model, x, folder=tmp_path, fifo_depths=[2, 2])
    np.testing.assert_array_equal(outputs, execute_dataflow(model, x, progress=False))
    assert stats.cycles_per_sample == 4


def test_rtlsim_exec_of_finn(design, signal, expected):
    from finn.core.rtlsim_exec import rtlsim_exec

    enable_verilator()
    model = with_batch_size(design.model, 20)
    context = {model.graph.input[0].name: signal[:20].astype(np.float32)}
    rtlsim_exec(model, context)
    np.testing.assert_array_equal(context[model.graph.output[0].name], expected[:20])
    assert int(model.get_metadata_prop("cycles_rtlsim")) >= 20 * CYCLES


def test_design_is_found_again(design, signal, expected):
    again = open_stitched(ModelWrapper(str(design.folder / "stitched.onnx")))
    assert again is not None
    assert again.fifo_depths == design.fifo_depths
    outputs, _ = simulate_stitched(again.model, signal[:20], progress=False)
    np.testing.assert_array_equal(outputs, expected[:20])


def test_folder(design):
    listed = (design.folder / "filelist.f").read_text().split()
    assert all((design.folder / name).is_file() for name in listed)
    assert listed[-1] == f"{design.top}.v"
    assert all(str(design.folder) not in (design.folder / n).read_text() for n in listed)
    assert "create_clock" in (design.folder / "constraints.xdc").read_text()
    readme = (design.folder / "README.md").read_text()
    assert "`s_axis_0_tdata`" in readme
    assert "2 beats per sample" in readme


@pytest.mark.parametrize("kind", ["memblock", "table"])
def test_flipped_bit_is_detected(design, signal, expected, tmp_path, kind):
    folder = tmp_path / "flipped"
    shutil.copytree(design.folder, folder)
    listed = folder / "all_verilog_srcs.txt"
    listed.write_text(listed.read_text().replace(str(design.folder), str(folder)))
    memory = sorted(folder.glob(f"data/*/*{kind}*.dat"))[0]
    lines = memory.read_text().splitlines()
    lines[0] = f"{int(lines[0], 16) ^ 4:0{len(lines[0])}x}"
    memory.write_text("\n".join(lines) + "\n")
    flipped = StitchedDesign(design.model, folder, design.top, design.fifo_depths)
    outputs, _ = simulate_stitched(flipped, signal, progress=False)
    assert np.any(outputs != expected)


def test_codes_that_do_not_fit(design):
    with pytest.raises(FlowError, match=r"shape \[4, 3\] do not fit.*\[2\]"):
        simulate_stitched(design, np.zeros((4, 3), int), progress=False)
    with pytest.raises(FlowError, match="64 and do not all fit INT7"):
        simulate_stitched(design, np.full((4, 2), 64), progress=False)


def test_stuck_design_is_reported(design, signal):
    with pytest.raises(SimulationError, match="no output for 50 cycles after 0 of 30 beats"):
        simulate_stitched(design, signal[:10], timeout=50, progress=False)


def test_bad_arguments(dataflow, tmp_path):
    with pytest.raises(FlowError, match=r"top='conv' must be an identifier"):
        stitch(dataflow, tmp_path, top="conv")
    with pytest.raises(FlowError, match=r"fifo_depths has 2 entries; this graph has \d+ FIFOs"):
        stitch(dataflow, tmp_path, fifo_depths=[2, 2])
