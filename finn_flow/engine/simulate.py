# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""An engine in Verilator: its samples, and where its marks are."""

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from dhq_brevitas.finn_flow.engine.design import Engine
from dhq_brevitas.finn_flow.rtlsim.compiler import compile_design
from dhq_brevitas.finn_flow.rtlsim.errors import SimulationError
from dhq_brevitas.finn_flow.rtlsim.sources import Sources, collect
from dhq_brevitas.finn_flow.rtlsim.streams import STARVED, Beats, run_streams, stream_words
from dhq_brevitas.finn_flow.rtlsim.xsi import Design, Kernel
from dhq_brevitas.finn_flow.stitching.simulate import reset_design

BENCH, OUTPUT = "dhq_engine_bench", "m_axis_0"
# The marks become bits of the data, which the harness records.
_BENCH = """\
module {bench} (
    input  wire ap_clk,
    input  wire ap_rst_n,
    output wire [{top}:0] m_axis_0_tdata,
    output wire m_axis_0_tvalid,
    input  wire m_axis_0_tready
);
  {engine} engine (
      .ap_clk(ap_clk),
      .ap_rst_n(ap_rst_n),
      .m_axis_0_tdata(m_axis_0_tdata[{width} - 1:0]),
      .m_axis_0_tvalid(m_axis_0_tvalid),
      .m_axis_0_tready(m_axis_0_tready),
      .m_axis_0_tlast(m_axis_0_tdata[{width}]),
      .m_axis_0_tuser(m_axis_0_tdata[{width} + 1])
  );
endmodule
"""


@dataclass(frozen=True)
class EngineRun:
    """What an engine gave.

    Attributes:
        samples: int64 [points, channels], of all frames.
        last, user: bool [beats], the marks TLAST and TUSER.
        cycles_per_sample: between the points at the output, over the second half; None for fewer
            than 4.
        latency_cycles: from the end of the reset to the first whole point.
    """

    samples: np.ndarray
    last: np.ndarray
    user: np.ndarray
    cycles_per_sample: float | None
    latency_cycles: int


def simulate_engine(
    engine: Engine,
    frames: int = 1,
    *,
    stall: int = 0,
    seed: int = 1,
    timeout: int = 1_000_000,
    progress: bool = False,
) -> EngineRun:
    """Simulates whole frames; ``stall``, of 256, is how often the sink holds a beat back.

    SimulationError if nothing comes out for ``timeout`` cycles, or an assertion fails.
    """
    stream = engine.stream
    sources = collect(engine.sources)
    sources.texts[f"{BENCH}.v"] = _BENCH.format(
        bench=BENCH, engine=engine.top, width=stream.width, top=stream.width + 1
    )
    words, ticks = receive(
        sources, BENCH, frames * stream.beats, stall, seed, timeout, progress, "engine"
    )
    bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")
    used = bits[:, : stream.lanes * stream.sample_bits]
    weights = 1 << np.arange(stream.sample_bits)
    if engine.samples.signed:
        weights[-1] = -weights[-1]
    parts = used.reshape(len(words), stream.lanes, stream.sample_bits).astype(np.int64) @ weights
    placed = np.empty_like(parts)
    placed[:, list(stream.order)] = parts
    samples = placed.reshape(-1, len(engine.affine.scales))
    beats = len(words) // len(samples)
    done = ticks.astype(np.int64)[beats - 1 :: beats]
    half = len(done) // 2
    steady = None if len(done) < 4 else float(done[-1] - done[half - 1]) / (len(done) - half)
    last, user = bits[:, stream.width].astype(bool), bits[:, stream.width + 1].astype(bool)
    return EngineRun(samples, last, user, steady, int(done[0]))


def receive(
    sources: Sources,
    top: str,
    count: int,
    stall: int,
    seed: int,
    timeout: int,
    progress: bool,
    description: str,
) -> tuple[np.ndarray, np.ndarray]:
    """``count`` beats of ``m_axis_0`` of a design without inputs, and the cycle of each.

    uint32 [count, words], uint64 [count].
    """
    design = Design(Kernel(""), str(compile_design(sources, top)), None, None)
    try:
        reset_design(design)
        received = np.zeros((count, stream_words(design, OUTPUT)), np.uint32)
        sink = Beats(OUTPUT, received, True, stall=stall, timeout=timeout)
        with tqdm(
            total=count, desc=description, unit="beat", disable=not progress, leave=False
        ) as bar:
            status, _ = run_streams(
                design, [sink], seed=seed, progress=lambda beats: bar.update(beats - bar.n)
            )
    finally:
        design.close()
    if status == STARVED:
        raise SimulationError(
            f"no output of the engine for {timeout} cycles after {len(sink.ticks)} of {count} beats"
        )
    return received, sink.ticks
