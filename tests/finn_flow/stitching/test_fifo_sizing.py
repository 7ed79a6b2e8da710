# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Layers that differ in folding: the stitched design reaches the rate of the slowest, exactly."""

from pathlib import Path

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.export import export_qonnx
from dhq_brevitas.finn_flow import build_dataflow, execute_dataflow
from dhq_brevitas.finn_flow.rtlsim import SimulationError, sources
from dhq_brevitas.finn_flow.stitching import StitchedDesign, simulate_stitched, stitch
from graphs import codes
from layer_graphs import mvau
from networks import grid_codes, relu_network, sine_network

SAMPLES = 300
# The slowest layer takes 64 cycles in both. "unequal": every stream changes width, and the first
# layer is 64 times as fast. "bursts": two MVAUs of 64 cycles each; the second reads a sample in 16
# cycles and then nothing for 48, while the first writes in all of its 64.
FOLDINGS = {
    "unequal": {
        "MVAU_rtl_0": {"PE": 16, "SIMD": 2},
        "LookupActivation_rtl_0": {"PE": 2},
        "HadamardTransform_rtl_0": {"SIMD": 16},
        "MVAU_rtl_1": {"PE": 2, "SIMD": 2},
        "LookupActivation_rtl_1": {"PE": 16},
        "MVAU_rtl_2": {"PE": 1, "SIMD": 16},
    },
    "bursts": {
        "MVAU_rtl_1": {"PE": 2, "SIMD": 2},
        "LookupActivation_rtl_1": {"PE": 1},
        "MVAU_rtl_2": {"PE": 4, "SIMD": 1},
    },
}


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    return grid_codes(SAMPLES).numpy().astype(np.int64)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("unequal", "finn"), marks=pytest.mark.exhaustive),
        ("unequal", "matrix_vector"),
        pytest.param(("bursts", "finn"), marks=pytest.mark.exhaustive),
        pytest.param(("bursts", "matrix_vector"), marks=pytest.mark.exhaustive),
    ],
    ids="-".join,
)
def design(request, tmp_path_factory, signal) -> tuple[StitchedDesign, np.ndarray]:
    """A stitched network, its FIFOs sized, and the outputs of FINN's Python."""
    folder = tmp_path_factory.mktemp("sizing")
    network = export_qonnx(sine_network(16, 2, signs=3), args=grid_codes(4))
    name, kernel = request.param
    model = build_dataflow(
        network,
        folder,
        folding_config={"Defaults": {}, **FOLDINGS[name]},
        mvau=kernel,
        progress=False,
    ).model
    return stitch(model, folder / "stitched"), execute_dataflow(model, signal, progress=False)


@pytest.mark.parametrize("stalls", [(0, 0), (0, 192), (128, 128)])
def test_promised_rate_under_back_pressure(design, signal, stalls):
    """A sink that refuses three beats in four still takes 16 times what the design puts out."""
    stitched, expected = design
    outputs, stats = simulate_stitched(stitched, signal, stalls=stalls, progress=False)
    np.testing.assert_array_equal(outputs, expected)
    assert stats.cycles_per_sample == pytest.approx(64, rel=0.02)
    # Nobody needs more than a sample of any stream.
    assert max(stitched.fifo_depths) <= 18


def test_stuck_sink_loses_nothing(design, signal):
    """The sink takes a beat in 128: every FIFO and every layer fills up to the input."""
    stitched, expected = design
    outputs, stats = simulate_stitched(stitched, signal[:60], stalls=(0, 254), progress=False)
    np.testing.assert_array_equal(outputs, expected[:60])
    assert stats.cycles_per_sample > 64


def test_depths_decide_the_rate(tmp_path):
    """Negative control: 1024 cycles a sample as sized, half as many again with depth 2 everywhere.

    Both wide MVAUs take 1024 cycles a sample. The first puts out one channel every 16 cycles. The
    second buffers one vector: it reads a sample in its first 64 cycles, for which it needs one
    channel a cycle, repeats it for 14 more passes and makes room in the last one. What comes out of
    the first meanwhile, 56 channels, has to wait between them, or the first waits.
    """
    folding = {
        "Defaults": {},
        "MVAU_rtl_0": {"PE": 4, "SIMD": 2},
        "MVAU_rtl_1": {"PE": 1, "SIMD": 4},
        "MVAU_rtl_2": {"PE": 1, "SIMD": 1},
    }
    network = export_qonnx(relu_network(2, 64, 64, 16), args=grid_codes(4))
    model = build_dataflow(
        network, tmp_path, folding_config=folding, mvau="finn", progress=False
    ).model
    signal = grid_codes(40).numpy().astype(np.int64)
    expected = execute_dataflow(model, signal, progress=False)
    rates, depths = {}, {}
    for name, given in {"sized": None, "shallow": [2] * 8}.items():
        stitched = stitch(model, tmp_path / name, fifo_depths=given)
        outputs, stats = simulate_stitched(stitched, signal, progress=False)
        np.testing.assert_array_equal(outputs, expected)
        rates[name], depths[name] = stats.cycles_per_sample, stitched.fifo_depths
    assert rates == {"sized": 1024, "shallow": 1574}
    assert (max(depths["sized"]), depths["shallow"]) == (57, [2] * 8)


@pytest.mark.parametrize("simd", [2, 3])
def test_output_queue_of_the_mvau(simd, tmp_path, monkeypatch):
    """FINN's MVAU with a result in every cycle loses one behind a stall unless corrected."""
    model = mvau(mw=simd, mh=4, simd=simd, pe=4)
    x = codes("INT8", 400, simd)
    outputs, _ = stalled_mvau(model, x, tmp_path / "corrected")
    np.testing.assert_array_equal(outputs, execute_dataflow(model, x, progress=False))

    monkeypatch.delitem(sources.CHANGES, "mvu_vvu_axi.sv")
    with pytest.raises(SimulationError, match=r"failed at mvu_vvu_axi.sv"):
        stalled_mvau(model, x, tmp_path / "as it is")


def stalled_mvau(model: ModelWrapper, x: np.ndarray, folder: Path):
    return simulate_stitched(
        model, x, folder=folder, fifo_depths=[2, 2], stalls=(0, 200), progress=False
    )
