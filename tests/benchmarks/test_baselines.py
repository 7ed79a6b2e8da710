# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The baselines' RTL against NumPy, bit for bit: float32 units, whole networks."""

import numpy as np
import pytest
from qonnx.core.datatype import DataType

from dhq_brevitas.finn_flow import FlowError
from dhq_brevitas.finn_flow.rtlsim.compiler import compile_design
from dhq_brevitas.finn_flow.rtlsim.sources import DATA_FOLDER, collect
from dhq_brevitas.finn_flow.stitching.simulate import StreamFormat, run_signal
from hardware.baselines import (
    SineLayer,
    fixed_baseline,
    float32,
    float_baseline,
    fold,
)
from hardware.baselines.design import HERE, memory_lines

UNITS = """
module units (
    input logic ap_clk, ap_rst_n, s_axis_0_tvalid, m_axis_0_tready,
    output logic s_axis_0_tready, m_axis_0_tvalid,
    input logic [63:0] s_axis_0_tdata,
    output logic [127:0] m_axis_0_tdata
);
  // Results of units of different latency meet in one beat.
  logic [31:0] product[5], total[4], total_dsp[4], wave;
  logic [6:0] valid;
  assign s_axis_0_tready = 1;
  baseline_fp32_multiply multiply (.clk(ap_clk), .a(s_axis_0_tdata[31:0]),
      .b(s_axis_0_tdata[63:32]), .p(product[0]));
  baseline_fp32_add add (.clk(ap_clk), .a(s_axis_0_tdata[31:0]), .b(s_axis_0_tdata[63:32]),
      .s(total[0]));
  baseline_fp32_add #(.DSP(1)) add_dsp (.clk(ap_clk), .a(s_axis_0_tdata[31:0]),
      .b(s_axis_0_tdata[63:32]), .s(total_dsp[0]));
  baseline_fp32_sine #(.TABLE_FILE("TABLE")) sine (.clk(ap_clk), .t(s_axis_0_tdata[31:0]),
      .y(wave));
  assign valid[0] = s_axis_0_tvalid;
  always_ff @(posedge ap_clk) begin
    for (int i = 1; i < 5; i++) product[i] <= product[i-1];
    for (int i = 1; i < 4; i++) {total[i], total_dsp[i]} <= {total[i-1], total_dsp[i-1]};
    for (int i = 1; i < 7; i++) valid[i] <= valid[i-1] && ap_rst_n;
  end
  assign m_axis_0_tvalid = valid[6];
  assign m_axis_0_tdata = {total_dsp[3], wave, total[3], product[4]};
endmodule
"""


def bits(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32).view(np.int32).astype(np.int64)


def run_units(a: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    """float32 bit patterns of a·b, a + b, sin(2·pi·a), a + b on DSPs from the RTL."""
    base, slope = float32.sine_entries()
    sources = collect(sorted([*HERE.glob("baseline_fp32_*.sv"), HERE / "baseline_multiply_add.sv"]))
    sources.data["units/sine.mem"] = memory_lines((slope << 25 | base)[:, None], 41)
    sources.texts["units.sv"] = UNITS.replace('"TABLE"', f'"{DATA_FOLDER}/units/sine.mem"')
    given, wanted = StreamFormat(DataType["INT32"], 2, 1), StreamFormat(DataType["INT32"], 4, 1)
    library = compile_design(sources, "units")
    outputs, _, _ = run_signal(library, np.stack([bits(a), bits(b)], axis=1), given, wanted)
    return list(outputs.T)


@pytest.fixture(scope="module")
def operands() -> tuple[np.ndarray, np.ndarray]:
    """Float32 pairs of all magnitudes, near-cancelling ones, ties, extremes; all finite."""
    rng = np.random.default_rng(5)
    n = 20_000
    patterns = rng.integers(0, 255, (2, n)) << 23 | rng.integers(0, 1 << 23, (2, n))
    wide = (patterns | rng.integers(0, 2, (2, n)) << 31).astype(np.uint32).view(np.float32)
    near = rng.normal(size=(2, n)).astype(np.float32)
    close = near.copy()
    close[1] = -near[0] * (1 + rng.integers(-8, 9, n) * np.float32(2.0**-23))
    ties = rng.integers(1 << 22, 1 << 24, (2, n)).astype(np.float32)
    ties[1] *= np.float32(2.0) ** rng.integers(-26, 3, n).astype(np.float32)
    corner = np.array(
        [0.0, -0.0, 1.0, -1.0, 2.0**-126, -(2.0**-126), 1e-40, 3.4e38, 1.5], np.float32
    )
    grid = np.stack([x.ravel() for x in np.meshgrid(corner, corner)])
    a, b = np.concatenate([wide, near, close, ties, grid], axis=1)
    return a, b


@pytest.fixture(scope="module")
def results(operands) -> list[np.ndarray]:
    return run_units(*operands)


def test_products(operands, results):
    assert np.array_equal(results[0], bits(float32.multiply(*operands)))


def test_sums(operands, results):
    """Both adders'. Their zero has no sign where NumPy's sum of zeros may have one."""
    with np.errstate(over="ignore"):
        expected = bits(float32.add(*operands))
    expected[expected == -(1 << 31)] = 0
    found = results[1].copy()
    found[found == -(1 << 31)] = 0
    assert np.array_equal(found, expected)
    assert np.array_equal(results[3], results[1])


def test_reference_is_ieee_away_from_subnormals(operands):
    """NumPy's own float32 operations, where neither operand nor result is subnormal."""
    a, b = operands
    normal = (np.abs(a) >= 2.0**-126) & (np.abs(b) >= 2.0**-126)
    with np.errstate(over="ignore", under="ignore"):
        for own, plain in ((float32.multiply, a * b), (float32.add, a + b)):
            compared = normal & (np.abs(plain) >= 2.0**-125)
            assert compared.sum() > 50_000
            assert np.array_equal(own(a, b)[compared], plain[compared])


def test_sines(operands, results):
    assert np.array_equal(results[2], bits(float32.sine(operands[0])))


def test_the_sine_is_accurate():
    """Table and interpolation err by 3e-7, cut and mirrored phase by two units of 2^-24 turns."""
    t = np.random.default_rng(0).uniform(-1, 1, 100_000).astype(np.float32)
    error = np.abs(float32.sine(t) - np.sin(2 * np.pi * t.astype(np.float64)))
    assert error.max() < 3e-7 + 2 * np.pi * 2.0**-23


def network(hidden: int, lanes: list[int]) -> list[SineLayer]:
    rng = np.random.default_rng(3)
    sizes = [(2, hidden), (hidden, hidden), (hidden, 3)]
    return [
        SineLayer(
            rng.uniform(-1, 1, (outputs, inputs)) * (0.15 if index == 0 else inputs**-0.5),
            rng.uniform(-0.5, 0.5, outputs),
            index < 2,
            lanes[index],
        )
        for index, (inputs, outputs) in enumerate(sizes)
    ]


@pytest.mark.parametrize(
    ("make", "tolerance"),
    [
        (float_baseline, 2e-5),
        (fixed_baseline, 5e-3),
    ],
)
@pytest.mark.exhaustive
def test_networks(make, tolerance):
    """RTL and reference agree exactly; both with float64 to what the format allows."""
    layers = network(16, [1, 8, 2])
    codes = np.random.default_rng(4).integers(-16, 16, (12, 2))
    baseline = make(layers)
    outputs, stats = baseline.simulate(codes)
    assert np.array_equal(outputs, baseline.reference(baseline.encode(codes)))
    # 16 · 16 multiply-accumulates on 8 units.
    assert stats.cycles_per_sample == 32
    x = codes.astype(float)
    for layer in layers:
        x = x @ layer.weight.T + layer.bias
        if layer.sine:
            x = np.sin(2 * np.pi * x)
    assert np.abs(baseline.decode(outputs) - x).max() < tolerance


def test_fold():
    assert fold(64, 64, 32) == (2, 16)
    assert fold(2, 64, 2) == (1, 2)
    with pytest.raises(FlowError, match="cannot be folded to 64 multiply-accumulate units"):
        fold(4, 8, 64)


def test_weights_too_large_for_fixed_point():
    layers = network(16, [1, 8, 2])
    layers[1] = SineLayer(layers[1].weight * 1e6, layers[1].bias, True, 8)
    with pytest.raises(FlowError, match="too large for 16 bit"):
        fixed_baseline(layers)
