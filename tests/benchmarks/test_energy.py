# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Toggles of small netlists, exactly; the model of energy by hand."""

import dataclasses
import itertools

import numpy as np
import pytest
from qonnx.core.datatype import DataType

from dhq_brevitas.finn_flow import FlowError
from dhq_brevitas.finn_flow.rtlsim import SimulationError
from dhq_brevitas.finn_flow.rtlsim.sources import Sources
from dhq_brevitas.finn_flow.stitching.simulate import StreamFormat
from dhq_brevitas.finn_flow.synthesis import Yosys
from dhq_brevitas.finn_flow.synthesis.yosys import NETLIST
from hardware.activity import Activity, measure_activity
from hardware.designs import Design
from hardware.energy import ENERGIES, RATE, REPORTS, UNCERTAINTY, dynamic_energy, energy_ratio
from hardware.tables import claims, energy_table, table

# Eight bits through two registers, one beat a cycle, and their exclusive or with the beat before.
DIFFERENCE = """
module difference (
    input logic ap_clk, ap_rst_n, s_axis_0_tvalid, m_axis_0_tready,
    output logic s_axis_0_tready, m_axis_0_tvalid,
    input logic [7:0] s_axis_0_tdata,
    output logic [7:0] m_axis_0_tdata
);
  logic [7:0] first, second;
  logic valid = 0;
  initial begin first = 0; second = 0; end
  assign s_axis_0_tready = 1;
  always_ff @(posedge ap_clk) begin
    valid <= s_axis_0_tvalid;
    if (s_axis_0_tvalid) begin
      first <= s_axis_0_tdata;
      second <= first;
    end
  end
  assign m_axis_0_tvalid = valid;
  assign m_axis_0_tdata = first ^ second;
endmodule
"""
BYTE = StreamFormat(DataType["UINT8"], 1, 1)


@pytest.fixture(scope="module")
def entry():
    return Yosys().synthesize(Sources({"difference.sv": DIFFERENCE}), "difference", "xcup")


def toggles(words: np.ndarray) -> int:
    """Bits that differ from one word to the next."""
    return sum(int(a ^ b).bit_count() for a, b in itertools.pairwise(words))


def test_every_change_is_counted(entry):
    """Between two runs, the second register lags the first by a beat, the LUTs show both."""
    codes = np.random.default_rng(1).integers(0, 256, (40, 1))
    activity, outputs = measure_activity(entry, "difference", codes, BYTE, BYTE)
    word = codes[:, 0]
    expected = word[:32] ^ np.concatenate([[0], word[:31]])
    assert np.array_equal(outputs[:, 0], expected)
    assert activity.cells == dict.fromkeys(activity.cells, 0) | {"lut": 8, "ff": 17}
    assert activity.bits == activity.cells
    assert activity.cycles == 1
    # The first samples are the same in both runs: what is left are the steps from the last of the
    # short run to the last of the long one.
    first, second = toggles(word[7:32]), toggles(word[6:31])
    assert activity.toggles["ff"] == (first + second) / 24
    assert activity.toggles["lut"] == toggles(expected[7:]) / 24
    assert activity.rate("ff") == activity.toggles["ff"] / 17
    assert activity.rate("dsp") == 0


def test_a_constant_input_changes_nothing(entry):
    """Negative control."""
    codes = np.full((32, 1), 0xA5)
    activity, _ = measure_activity(entry, "difference", codes, BYTE, BYTE)
    assert not any(activity.toggles.values())
    assert activity.cycles == 1


def test_too_few_samples(entry):
    with pytest.raises(SimulationError, match="activity needs 32 samples, not 5: give more"):
        measure_activity(entry, "difference", np.zeros((5, 1), int), BYTE, BYTE)


def test_cells_of_another_family(tmp_path):
    (tmp_path / NETLIST).write_text("  DSP48E1 #(\n    .AREG(1)\n  ) _1_ (\n    .P(p)\n  );\n")
    with pytest.raises(SimulationError, match=r"DSP48E1 is not counted: .*UltraScale\+ \(xcup\)"):
        measure_activity(tmp_path, "top", np.zeros((32, 1), int), BYTE, BYTE)


def made_up(**toggling: float) -> Activity:
    """64 cycles a sample; of the cells of a kind the named share toggles, by default RATE."""
    cells = {"lut": 100, "ff": 200, "carry": 0, "srl": 10, "lutram": 16, "dsp": 2, "bram": 1}
    bits = cells | {"lutram": 32, "dsp": 96, "bram": 36}
    rates = {kind: toggling.get(kind, RATE) for kind in cells}
    return Activity(64, cells, bits, {kind: rates[kind] * bits[kind] * 64 for kind in cells})


def test_dynamic_energy():
    """At the rate that the reports assume, each cell takes its energy once a cycle."""
    energy = dynamic_energy(made_up())
    cells = {"lut": 100, "ff": 200, "srl": 10, "lutram": 16, "dsp": 2, "bram": 1}
    cells |= {"net": 100 + 200 + 10 + 32 + 96 + 36, "clock": 200 + 10 + 16 + 2 + 1}
    assert energy == pytest.approx({kind: 64 * n * ENERGIES[kind] for kind, n in cells.items()})
    assert dynamic_energy(made_up(lut=2 * RATE))["lut"] == pytest.approx(2 * energy["lut"])


def test_energies_are_those_of_the_report():
    """9113 LUTs take 12 mW at a period of 6.8 ns: 9 fJ each in a cycle."""
    assert REPORTS[0].powers["lut"] == (0.012, 9113)
    assert ENERGIES["lut"] == pytest.approx(8.95e-15, rel=1e-3)
    assert set(UNCERTAINTY) == set(ENERGIES)
    # Halved and doubled, unless another report is further away: 6 mW of 1728 memory LUTs at 10 ns.
    assert UNCERTAINTY["dsp"] == (0.5, 2)
    other = 0.006 / 1728 * 10e-9
    assert UNCERTAINTY["lutram"] == (pytest.approx(other / ENERGIES["lutram"]), 2)


def test_ratio_and_its_range():
    reference, design = made_up(), made_up(lut=0.0, ff=0.0)
    ratio = energy_ratio(design, reference)
    total = sum(dynamic_energy(design).values()) / sum(dynamic_energy(reference).values())
    assert ratio.value == pytest.approx(total)
    assert ratio.low < ratio.value < ratio.high < 1
    # Half the energy of the reference leaks, and as much in the design, which has as many LUTs.
    assert ratio.sensitivity["static (device)"] == pytest.approx((total, (total + 1) / 2))
    assert ratio.sensitivity["static (area)"] == ratio.sensitivity["static (device)"]
    low, high = ratio.sensitivity["lut"]
    assert low > ratio.value > high  # what does not switch saves more where it costs more
    same = energy_ratio(reference, reference)
    assert (same.low, same.value, same.high) == pytest.approx((1, 1, 1))


def test_a_design_twice_as_slow_leaks_twice_as_long():
    reference = made_up()
    slow = dataclasses.replace(reference, cycles=128)
    sensitivity = energy_ratio(slow, reference).sensitivity
    dynamic, leaking = sensitivity["static (device)"]
    assert leaking == pytest.approx((dynamic + 2) / 2)


def test_a_reference_that_does_nothing():
    nothing = Activity(64, *(dict.fromkeys(made_up().cells, 0) for _ in range(3)))
    with pytest.raises(FlowError, match="does not switch at all"):
        energy_ratio(made_up(), nothing)


def test_tables_of_the_comparison():
    """What hardware_comparison.py prints of made-up designs."""
    resources = {"lut": 126, "lutram": 26, "ff": 200, "carry": 0, "dsp": 2, "bram18": 1}
    designs = {}
    for name, rate in (
        ("float32", RATE),
        ("float32, DSP adders", RATE),
        ("W8A8 DHQ", RATE / 2),
        ("W8A8 DHQ, after", RATE / 2),
        ("W4A4 DHQ", 0.0),
    ):
        activity = made_up(**dict.fromkeys(("lut", "ff", "srl", "lutram", "dsp", "bram"), rate))
        design = Design(name, 30.0, 64.0, 200, 0, 96, resources, 0, 96, activity)
        design.energy = dataclasses.asdict(energy_ratio(activity, made_up()))
        designs[name] = design
    rows = table(list(designs.values()))
    assert rows[2].startswith(
        "| float32 | 126 | 26 | 200 | 0 | 2 | 1 | 64.0 | 200 | 1.00 (1.00 to "
    )
    assert rows[2].endswith("| 30.00 | 0 of 96 | 0 of 96 |")
    assert len({row.count("|") for row in rows}) == 1
    saved = 100 * (designs["W8A8 DHQ"].energy["value"] - 1)
    assert -50 < saved < 0
    assert f"| energy, modeled | -40.1% | {saved:+.1f}% | {saved:+.1f}% |" in "\n".join(
        claims(designs)
    )
    rows = energy_table(list(designs.values()))
    assert len({row.count("|") for row in rows}) == 1
    # What nothing makes switch: clock and block RAM only.
    assert rows[-1].startswith("| W4A4 DHQ | 0% | 0% | 0% | 0% | 0% | ")
