# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A small network as one Verilog design: exact on a signal, at the rate the folding promises."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from dhq_brevitas.export import export_qonnx, set_batch_size
from dhq_brevitas.finn_flow import FlowError, build_dataflow, execute_dataflow, stitching
from dhq_brevitas.finn_flow.rtlsim import SimulationError, enable_verilator
from dhq_brevitas.finn_flow.stitching import (
    StitchedDesign,
    open_stitched,
    simulate_nodes,
    simulate_stitched,
    stitch,
)
from dhq_brevitas.finn_flow.stitching import nodes as nodes_module
from dhq_brevitas.finn_flow.stitching import simulate as simulate_module
from dhq_brevitas.finn_flow.stitching.simulate import run_signal
from graphs import codes
from layer_graphs import hadamard, requant
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


def test_in_parts_at_once_the_same(design, signal, expected, monkeypatch):
    monkeypatch.setattr(stitching, "processors", lambda: 3)
    monkeypatch.setattr(simulate_module, "PART_SAMPLES", 100)
    outputs, stats = simulate_stitched(design, signal, progress=False)
    np.testing.assert_array_equal(outputs, expected)
    assert stats.samples == 500
    assert stats.cycles_per_sample == pytest.approx(CYCLES, rel=0.02)
    # Three fillings of the pipeline.
    assert stats.cycles == pytest.approx(497 * CYCLES + 3 * stats.latency_cycles, rel=0.02)


def test_an_error_in_one_part_ends_the_others_and_is_told(design, monkeypatch):
    run_part = simulate_module._run_part

    def broken(library, signals, *args, **kwargs):
        if signals[0][0, 0] == 1:
            raise SimulationError("this one")
        return run_part(library, signals, *args, **kwargs)

    monkeypatch.setattr(simulate_module, "_run_part", broken)
    monkeypatch.setattr(simulate_module, "PART_SAMPLES", 2)
    ramp = np.repeat([0, 0, 1, 0], 500)[:, None] * [[1, 1]]
    with pytest.raises(SimulationError, match=r"^this one$"):
        run_signal(design.library(), ramp, design.input_formats, design.output_formats, parts=4)


@pytest.mark.parametrize("stalls", [(200, 0), (0, 250), (128, 128)])
def test_equal_under_stalls(design, signal, expected, stalls):
    outputs, stats = simulate_stitched(design, signal, stalls=stalls, progress=False)
    np.testing.assert_array_equal(outputs, expected)
    assert stats.cycles > 500 * CYCLES


def test_layer_by_layer(dataflow, signal, expected):
    """In batches of 32, the last one filled up."""
    outputs, nodes = simulate_nodes(dataflow, signal[:50], batch_size=32, progress=False)
    np.testing.assert_array_equal(outputs, expected[:50])
    assert [node.name for node in nodes] == [node.name for node in dataflow.graph.node]
    assert all(node.mismatches == 0 and node.samples == 50 for node in nodes)
    assert [node.codes for node in nodes] == [50 * 16] * (len(nodes) - 1) + [50 * 3]
    assert max(node.cycles_estimate for node in nodes) == CYCLES
    assert max(node.cycles for node in nodes) == pytest.approx(64 * CYCLES, rel=0.02)


def flip_weight(op) -> None:
    (path,) = Path(op.get_nodeattr("code_gen_dir_ipgen")).glob("*_weights.dat")
    lines = path.read_text().splitlines()
    lines[2] = f"{int(lines[2], 16) ^ 4:x}"
    path.write_text("\n".join(lines) + "\n")


def flip_table(op) -> None:
    (path,) = Path(op.get_nodeattr("code_gen_dir_ipgen")).glob("*table*.dat")
    lines = path.read_text().splitlines()
    lines[7] = f"{int(lines[7], 16) ^ 4:02x}"
    path.write_text("\n".join(lines) + "\n")


def flip_sign(op) -> None:
    path = Path(op.get_nodeattr("code_gen_dir_ipgen")) / f"{op.get_nodeattr('gen_top_module')}.v"
    path.write_text(with_flipped_sign(path.read_text()))


def with_flipped_sign(text: str) -> str:
    """A wrapper of the Hadamard kernel with the sign of channel 3 changed."""
    return re.sub(
        r"\.SIGNS\((\d+)'h(\w+)\)", lambda m: f".SIGNS({m[1]}'h{int(m[2], 16) ^ 8:x})", text
    )


FLIPS = {
    "MVAU_rtl": flip_weight,
    "LookupActivation_rtl": flip_table,
    "HadamardTransform_rtl": flip_sign,
}


@pytest.mark.parametrize("op_type", FLIPS)
def test_flipped_bit_in_a_layer_is_counted_there(dataflow, signal, monkeypatch, op_type):
    """Negative control: one bit of the first layer of a kind changed after its HDL is written."""
    generate = nodes_module.generate_nodes

    def flipped(*arguments):
        model = generate(*arguments)
        FLIPS[op_type](getCustomOp(model.get_nodes_by_op_type(op_type)[0]))
        return model

    monkeypatch.setattr(nodes_module, "generate_nodes", flipped)
    _, nodes = simulate_nodes(dataflow, signal[:128], progress=False)
    wrong = [node for node in nodes if node.mismatches]
    assert [node.name for node in wrong] == [f"{op_type}_0"]
    assert wrong[0].mismatches < wrong[0].codes


def test_streamed_parameters(tmp_path):
    model = requant()
    x = codes("INT12", 100, 8)
    outputs, stats = simulate_stitched(model, x, folder=tmp_path, fifo_depths=[2, 2])
    np.testing.assert_array_equal(outputs, execute_dataflow(model, x, progress=False))
    assert stats.cycles_per_sample == 4


@pytest.mark.parametrize("traced", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
def test_rtlsim_exec_of_finn(design, signal, expected, tmp_path, traced):
    """Also with a waveform, which FINN asks for by its own property."""
    from finn.core.rtlsim_exec import rtlsim_exec

    enable_verilator()
    model = set_batch_size(design.model, 20)
    if traced:
        model.set_metadata_prop("rtlsim_trace", str(tmp_path / "whole.fst"))
    context = {model.graph.input[0].name: signal[:20].astype(np.float32)}
    rtlsim_exec(model, context)
    np.testing.assert_array_equal(context[model.graph.output[0].name], expected[:20])
    assert int(model.get_metadata_prop("cycles_rtlsim")) >= 20 * CYCLES
    if traced:
        assert_fst(tmp_path / "whole.fst")


def test_waveform_of_a_layer(dataflow, signal, tmp_path, monkeypatch):
    """FINN's rtlsim_trace of a node, kept by PrepareRTLSim and its execution."""
    generate = nodes_module.generate_nodes
    path = tmp_path / "layer.fst"

    def traced(*arguments):
        model = generate(*arguments)
        op = getCustomOp(model.get_nodes_by_op_type("LookupActivation_rtl")[0])
        op.set_nodeattr("rtlsim_trace", str(path))
        return model

    monkeypatch.setattr(nodes_module, "generate_nodes", traced)
    _, nodes = simulate_nodes(dataflow, signal[:32], progress=False)
    assert all(node.mismatches == 0 for node in nodes)
    assert_fst(path)


def assert_fst(path: Path) -> None:
    """An FST file starts with a header block, type 0 of length 329; one with values is longer."""
    content = path.read_bytes()
    assert content[:9] == bytes([0, 0, 0, 0, 0, 0, 0, 1, 73])
    assert len(content) > 2000


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
    assert "| `s_axis_0` | 1 | INT7 | 2 |" in readme


def test_second_design_in_a_folder_replaces_the_first(tmp_path):
    first = stitch(requant(), tmp_path, fifo_depths=[2, 2], top="first")
    names = (tmp_path / "filelist.f").read_text().split()
    assert "Requant_rtl_0.v" in names
    assert (tmp_path / "first.v").is_file()
    second = stitch(hadamard(), tmp_path, fifo_depths=[2, 2], top="second")
    left = {path.name for path in tmp_path.iterdir() if path.suffix in (".v", ".sv", ".vh")}
    assert left == set((tmp_path / "filelist.f").read_text().split())
    x = codes("INT6", 50, 32)
    outputs, _ = simulate_stitched(second, x, progress=False)
    np.testing.assert_array_equal(outputs, execute_dataflow(hadamard(), x, progress=False))
    with pytest.raises(FlowError, match="is gone; stitch the graph again"):
        simulate_stitched(first.model, codes("INT12", 4, 8), progress=False)


@pytest.mark.parametrize(
    "kind",
    ["table", *(pytest.param(x, marks=pytest.mark.exhaustive) for x in ("weights", "sign"))],
)
def test_flipped_bit_is_detected(design, signal, expected, tmp_path, kind):
    folder = tmp_path / "flipped in a copy"
    shutil.copytree(design.folder, folder)
    if kind == "sign":
        (wrapper,) = folder.glob("HadamardTransform_rtl_0.v")
        wrapper.write_text(with_flipped_sign(wrapper.read_text()))
    else:
        memory = sorted(folder.glob(f"data/*/*{kind}*.dat"))[0]
        lines = memory.read_text().splitlines()
        lines[0] = f"{int(lines[0], 16) ^ 4:0{len(lines[0])}x}"
        memory.write_text("\n".join(lines) + "\n")
    flipped = StitchedDesign(design.model, folder, design.top, design.fifo_depths)
    outputs, _ = simulate_stitched(flipped, signal, progress=False)
    assert np.any(outputs != expected)


def test_codes_that_do_not_fit(design):
    with pytest.raises(FlowError, match=r"shape \[4, 3\] do not fit.*\[samples, 2\]"):
        simulate_stitched(design, np.zeros((4, 3), int), progress=False)
    with pytest.raises(FlowError, match="64 and does not fit INT7"):
        simulate_stitched(design, np.full((4, 2), 64), progress=False)


def test_stuck_design_is_reported(design, signal):
    with pytest.raises(SimulationError, match="no output for 50 cycles after 0 of 30 beats"):
        simulate_stitched(design, signal[:10], timeout=50, progress=False)


def test_bad_arguments(dataflow, tmp_path):
    with pytest.raises(FlowError, match=r"top='conv' must be an identifier"):
        stitch(dataflow, tmp_path, top="conv")
    with pytest.raises(FlowError, match=r"fifo_depths has 2 entries; this graph has \d+ FIFOs"):
        stitch(dataflow, tmp_path, fifo_depths=[2, 2])
