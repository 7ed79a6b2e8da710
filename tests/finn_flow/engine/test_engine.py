# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""An engine in Verilator against the host, and what it cannot be made of."""

from dataclasses import replace

import numpy as np
import pytest
from qonnx.core.datatype import DataType

from dhq_brevitas.export import export_qonnx
from dhq_brevitas.finn_flow import HostAffine, build_dataflow, execute_dataflow
from dhq_brevitas.finn_flow.engine import make_engine, simulate_engine
from dhq_brevitas.finn_flow.engine import simulate as simulation
from dhq_brevitas.finn_flow.engine.grid import CodeGrid
from dhq_brevitas.finn_flow.engine.shell import OutputStream, packed_literal
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.host_affine import HostOutput, HostStep
from dhq_brevitas.finn_flow.placement import portable_sources
from dhq_brevitas.finn_flow.stitching import stitch
from dhq_brevitas.finn_flow.stitching.simulate import StreamFormat
from dhq_brevitas.signals.grid import grid_codes
from dhq_brevitas.signals.samples import PIXELS, SOUND
from networks import grid_codes as random_codes
from networks import sine_network

SHAPE = (5, 8)
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def design(tmp_path_factory):
    """(stitched design, host, samples expected) of a network with three outputs."""
    network = export_qonnx(sine_network(8, 0), args=random_codes(4))
    folder = tmp_path_factory.mktemp("engine")
    model = build_dataflow(network, folder / "build", cycles_per_sample=24, progress=False).model
    host = HostAffine.from_model(model)
    codes = grid_codes(SHAPE)
    expected = PIXELS.encode(host.decode(execute_dataflow(model, codes, progress=False)))
    return stitch(model, folder / "design"), host, expected


@pytest.mark.parametrize("shell", ["axis", "pixels"])
def test_samples_and_marks(design, shell):
    """Two frames, without and with a sink that holds back."""
    stitched, host, expected = design
    engine = make_engine(stitched, host, grid_codes(SHAPE), SHAPE, PIXELS, shell)
    for stall in (0, 128):
        result = simulate_engine(engine, 2, stall=stall)
        np.testing.assert_array_equal(result.samples, np.concatenate([expected, expected]))
        beats = engine.stream.beats
        line = SHAPE[1] if shell == "pixels" else beats
        np.testing.assert_array_equal(result.last, np.arange(2 * beats) % line == line - 1)
        np.testing.assert_array_equal(result.user, np.arange(2 * beats) % beats == 0)


def test_queues_in_ram_and_portable_multipliers(design, monkeypatch):
    """What is placed on a device without AMD's slices gives the same samples, stalled, too."""
    stitched, host, expected = design
    engine = make_engine(stitched, host, grid_codes(SHAPE), SHAPE, PIXELS)
    portable = portable_sources(engine.sources)
    assert "fifo.sv" not in portable.texts  # no word waits between kernels of this package
    wrappers = [text for name, text in portable.texts.items() if "MVAU" in name]
    assert wrappers
    assert all('.DSP("")' in text and ".PACK(1)" in text for text in wrappers)
    monkeypatch.setattr(simulation, "collect", portable_sources)
    for stall in (0, 200):
        result = simulate_engine(engine, 1, stall=stall)
        np.testing.assert_array_equal(result.samples, expected)


@pytest.mark.parametrize("form", [PIXELS, SOUND], ids=["8 bits", "16 bits"])
def test_float_scales_are_corrected(design, form):
    """A host whose sums float32 rounds: what it moves is in a memory."""
    stitched, host, _ = design
    low = stitched.output_format.datatype.min()
    steps = (
        HostStep("Mul", np.array([1.3, 1.7, 1.1], np.float32) / np.float32(-low)),
        HostStep("Add", np.array([0.0777, -0.3, 0.1234], np.float32)),
    )
    rough = replace(host, outputs=(HostOutput(steps),))
    engine = make_engine(stitched, rough, grid_codes(SHAPE), SHAPE, form)
    assert engine.affine.late is not None
    codes = execute_dataflow(stitched.model, grid_codes(SHAPE), progress=False)
    expected = form.encode(rough.decode(codes))
    np.testing.assert_array_equal(simulate_engine(engine, stall=50).samples, expected)


def test_a_wrong_bias_is_noticed(design):
    """Negative control."""
    stitched, host, expected = design
    steps = list(host.output_steps)
    steps[-1] = replace(steps[-1], constant=steps[-1].constant + np.float32(2 / 255))
    wrong = replace(host, outputs=(HostOutput(tuple(steps)),))
    engine = make_engine(stitched, wrong, grid_codes(SHAPE), SHAPE, PIXELS)
    differing = simulate_engine(engine).samples != expected
    assert differing.mean() > 0.5


def test_engines_replace_each_other(design):
    """The folder lists every file once, and packages first."""
    stitched, host, _ = design
    for shell in ("axis", "pixels"):
        engine = make_engine(stitched, host, grid_codes(SHAPE), SHAPE, PIXELS, shell)
    names = [path.name for path in engine.sources]
    assert len(names) == len(set(names))
    assert names[-1] == "dhq_engine.v"
    assert "24" in packed_literal([-1] * 3, 8)


@pytest.mark.parametrize(
    ("shape", "order"), [((3, 4), (0, 1)), ((7,), (0,)), ((2, 3, 4), (0, 1, 2)), ((1, 5), (0, 1))]
)
def test_grids(shape, order):
    codes = grid_codes(shape)[:, list(order)]
    grid = CodeGrid.of(codes, shape)
    indices = np.indices(shape).reshape(len(shape), -1).T
    np.testing.assert_array_equal(codes, np.array(grid.starts) + indices * np.array(grid.steps))


def test_an_axis_of_more_than_65536_points(design):
    stitched, host, _ = design
    shape = (70_000, 2)
    make_engine(stitched, host, grid_codes(shape), shape, PIXELS)
    text = (stitched.folder / "dhq_engine.v").read_text()
    assert ".INDEX_WIDTH(17)" in text
    assert f".LASTS(34'h{(1 << 17) + 69_999:x})" in text


def test_points_that_are_no_grid():
    codes = grid_codes((3, 4))
    codes[5, 0] += 1
    with pytest.raises(FlowError, match=r"12 points of 2 axes are no grid of 3 x 4 .*--shell none"):
        CodeGrid.of(codes, (3, 4))
    with pytest.raises(FlowError, match="no grid of 4 x 3"):
        CodeGrid.of(grid_codes((3, 4)), (4, 3))


def test_widths_are_padded_and_shells_checked():
    grid = CodeGrid((4, 6), (-2, -3), (1, 1))
    words = StreamFormat(DataType["INT24"], 3, 1)
    assert OutputStream.of("axis", grid, words, PIXELS).width == 32
    assert OutputStream.of("axis", grid, replace(words, lanes=1, beats=3), PIXELS).beats == 72
    pixels = OutputStream.of("pixels", grid, words, PIXELS)
    assert (pixels.width, pixels.order, pixels.line, pixels.lines) == (24, (1, 2, 0), 6, 4)
    with pytest.raises(FlowError, match="1 axes and 1 channels of 16 bits: use --shell axis"):
        OutputStream.of("pixels", CodeGrid((9,), (0,), (1,)), replace(words, lanes=1), SOUND)
    with pytest.raises(FlowError, match="shell='video' does not exist: use one of axis, pixels"):
        OutputStream.of("video", grid, words, PIXELS)
