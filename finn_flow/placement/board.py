# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The top of a board: PLL, reset, engine, serial line; its pins; and its simulation, end to end."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dhq_brevitas.finn_flow.engine.design import Engine
from dhq_brevitas.finn_flow.engine.simulate import receive
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.ops.channelwise_rtl import kernel_sources
from dhq_brevitas.finn_flow.placement.device import Board
from dhq_brevitas.finn_flow.placement.sources import portable_sources
from dhq_brevitas.finn_flow.placement.tools import make_pll
from dhq_brevitas.finn_flow.rtlsim.sources import Sources, collect

TOP, PLL, BENCH = "dhq_board", "dhq_pll", "dhq_board_bench"
#: Sampled in the middle of its bits, a byte is lost from about 5 % on; both sides share that.
MAX_BAUD_ERROR = 0.015
#: Cycles without a byte after which the board counts as silent.
TIMEOUT = 1_000_000

_TOP = """\
// {board}: a byte on uart_rx, whatever it is, is answered with one picture; generated, do not edit.

module {top} (
    input  wire clock,
    input  wire uart_rx,
    output wire uart_tx,
    output wire [{leds}:0] led
);

  wire clk, locked, rst_n, busy;
  {pll} pll (.clkin(clock), .clkout0(clk), .locked(locked));

  // Reset lasts for 64 cycles behind the lock of the PLL, which is of no clock.
  reg [1:0] seen = 2'b0;
  reg [6:0] started = 7'b0;
  assign rst_n = started[6];
  always @(posedge clk) begin
    seen <= {{locked, seen[1]}};
    if (!seen[0]) started <= 7'b0;
    else if (!started[6]) started <= started + 7'd1;
  end

  wire [{data}:0] picture_tdata;
  wire picture_tvalid, picture_tready, picture_tlast;
  {engine} engine (
      .ap_clk(clk),
      .ap_rst_n(rst_n),
      .m_axis_0_tdata(picture_tdata),
      .m_axis_0_tvalid(picture_tvalid),
      .m_axis_0_tready(picture_tready),
      .m_axis_0_tlast(picture_tlast),
      .m_axis_0_tuser()
  );

  uart_server #(
      .BYTES({size}),
      .CYCLES({cycles})
  ) server (
      .clk(clk),
      .rst_n(rst_n),
      .s_axis_tdata(picture_tdata[{used}:0]),
      .s_axis_tvalid(picture_tvalid),
      .s_axis_tready(picture_tready),
      .s_axis_tlast(picture_tlast),
      .uart_rx(uart_rx),
      .uart_tx(uart_tx),
      .busy(busy)
  );
  assign led = {{{dark}'b0, rst_n, busy}};

endmodule
"""

# A computer at the other end of the line: it sends one byte, and receives. The clock is that of the
# PLL's output, for which a wire stands.
_BENCH = """\
module {pll} (
    input  wire clkin,
    output wire clkout0,
    output wire locked
);
  assign clkout0 = clkin;
  assign locked  = 1'b1;
endmodule

module {bench} (
    input  wire ap_clk,
    input  wire ap_rst_n,
    output wire [7:0] m_axis_0_tdata,
    output wire m_axis_0_tvalid,
    input  wire m_axis_0_tready
);
  wire to_board, to_computer, ready;
  reg [9:0] waited;
  reg asked;
  wire ask = waited[9] && !asked;
  always @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      waited <= 10'd0;
      asked  <= 1'b0;
    end else begin
      if (!waited[9]) waited <= waited + 10'd1;
      if (ask && ready) asked <= 1'b1;
    end
  end
  uart_transmitter #(.BYTES(1), .CYCLES({cycles})) transmitter (
      .clk(ap_clk),
      .rst_n(ap_rst_n),
      .s_axis_tdata(8'h3f),
      .s_axis_tvalid(ask),
      .s_axis_tready(ready),
      .line(to_board)
  );
  uart_receiver #(.CYCLES({cycles})) receiver (
      .clk(ap_clk),
      .rst_n(ap_rst_n),
      .line(to_computer),
      .m_axis_tdata(m_axis_0_tdata),
      .m_axis_tvalid(m_axis_0_tvalid),
      .m_axis_tready(m_axis_0_tready)
  );
  {top} board (
      .clock(ap_clk),
      .uart_rx(to_board),
      .uart_tx(to_computer),
      .led()
  );
endmodule
"""


@dataclass(frozen=True)
class BoardDesign:
    """An engine on a board.

    Attributes:
        board: it.
        engine: its shell is axis.
        clock_mhz: of the engine, by the PLL.
        baud: bits a second of the serial line; cycles: of a bit.
        text: Verilog of the top module ``dhq_board``; pll: of the PLL.
    """

    board: Board
    engine: Engine
    clock_mhz: float
    baud: int
    cycles: int
    text: str
    pll: str

    @property
    def kernels(self) -> list[Path]:
        """Files of the serial line."""
        return kernel_sources("uart_server")

    def sources(self) -> Sources:
        """For synthesis."""
        sources = portable_sources([*self.engine.sources, *self._new_kernels()])
        return self._with(sources, {f"{PLL}.v": self.pll})

    def simulated(self) -> Sources:
        """For Verilator, with a computer at the other end of the line."""
        bench = _BENCH.format(pll=PLL, bench=BENCH, top=TOP, cycles=self.cycles)
        sources = collect([*self.engine.sources, *self._new_kernels()])
        return self._with(sources, {f"{BENCH}.v": bench})

    def constraints(self) -> str:
        """Pins and clock as an LPF file."""
        lines = []
        for port, pins in self.board.pins.items():
            for index, pin in enumerate(pins):
                name = f"{port}[{index}]" if len(pins) > 1 else port
                lines.append(f'LOCATE COMP "{name}" SITE "{pin}";')
                lines.append(f'IOBUF PORT "{name}" IO_TYPE=LVCMOS33;')
        lines.append(f'FREQUENCY PORT "clock" {self.board.clock_mhz:g} MHZ;')
        return "".join(f"{line}\n" for line in lines)

    def _new_kernels(self) -> list[Path]:
        there = {path.name for path in self.engine.sources}
        return [path for path in self.kernels if path.name not in there]

    def _with(self, sources: Sources, texts: dict[str, str]) -> Sources:
        return replace(sources, texts={**sources.texts, f"{TOP}.v": self.text, **texts})


def board_design(engine: Engine, board: Board, mhz: float) -> BoardDesign:
    """The design of a board whose engine runs at about ``mhz``.

    The serial line takes the highest of its rates that is a fraction of it. PlacementError for a
    clock that the PLL does not make, FlowError for one without such a rate.
    """
    with tempfile.TemporaryDirectory() as folder:
        pll, reached = make_pll(PLL, board.clock_mhz, mhz, Path(folder))
    found = [(baud, round(reached * 1e6 / baud)) for baud in board.bauds]
    fitting = [
        (baud, cycles)
        for baud, cycles in found
        if cycles >= 4 and abs(reached * 1e6 / baud / cycles - 1) <= MAX_BAUD_ERROR
    ]
    if not fitting:
        raise FlowError(
            f"{reached:g} MHz is no multiple of a rate of the serial line of {board.name} "
            f"({', '.join(map(str, board.bauds))} bits a second): choose another --mhz"
        )
    baud, cycles = fitting[0]
    stream = engine.stream
    used = stream.lanes * stream.sample_bits
    leds = len(board.pins["led"])
    text = _TOP.format(
        board=board.name,
        top=TOP,
        pll=PLL,
        engine=engine.top,
        leds=leds - 1,
        dark=leds - 2,
        data=stream.width - 1,
        used=used - 1,
        size=used // 8,
        cycles=cycles,
    )
    return BoardDesign(board, engine, reached, baud, cycles, text, pll)


def simulate_board(design: BoardDesign, *, progress: bool = False) -> np.ndarray:
    """What a computer at the board's serial line receives for one byte: int64 [points, channels].

    The board's top with all below it, but for the PLL. SimulationError if the line stays silent.
    """
    engine = design.engine
    size = engine.stream.sample_bits // 8
    count = engine.stream.beats * engine.stream.lanes * size
    words, _ = receive(design.simulated(), BENCH, count, 0, 1, TIMEOUT, progress, "board")
    signed = "i" if engine.samples.signed else "u"
    received = words[:, 0].astype(np.uint8).tobytes()
    samples = np.frombuffer(received, dtype=f"<{signed}{size}").astype(np.int64)
    return samples.reshape(-1, len(engine.affine.scales))
