# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Streaming a whole signal through a compiled design."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from qonnx.core.datatype import BaseDataType
from tqdm import tqdm

from dhq_brevitas.finn_flow.rtlsim.errors import SimulationError
from dhq_brevitas.finn_flow.rtlsim.streams import STARVED, Beats, run_streams, stream_words
from dhq_brevitas.finn_flow.rtlsim.xsi import Design, Kernel
from dhq_brevitas.finn_flow.stitching.packing import pack, unpack

INPUT, OUTPUT = "s_axis_0", "m_axis_0"
RESET_CYCLES = 16


@dataclass(frozen=True)
class StreamFormat:
    """``beats`` per sample of ``lanes`` values each."""

    datatype: BaseDataType
    lanes: int
    beats: int

    @staticmethod
    def of(datatype: BaseDataType, folded_shape: Sequence[int]) -> "StreamFormat":
        """Format of a stream of a layer for one sample."""
        return StreamFormat(datatype, int(folded_shape[-1]), math.prod(folded_shape[:-1]))


@dataclass(frozen=True)
class SimulationStats:
    """Measured in a run without stalls unless asked for.

    Attributes:
        samples: number of samples.
        cycles: clock cycles from the first input beat to the last output beat.
        cycles_per_sample: clock cycles between samples at the output, averaged over the second
            half of the run; None for fewer than 4 samples.
        latency_cycles: clock cycles from the first input beat to the last output beat of the
            first sample.
        seconds: wall-clock time of the simulation, without compilation.
    """

    samples: int
    cycles: int
    cycles_per_sample: float | None
    latency_cycles: int
    seconds: float

    @property
    def samples_per_second(self) -> float:
        """Samples simulated per second of wall-clock time."""
        return self.samples / self.seconds


def run_signal(
    library: Path,
    codes: np.ndarray,
    given: StreamFormat,
    wanted: StreamFormat,
    *,
    counts: Sequence[str] = (),
    period: int = 0,
    stalls: tuple[int, int] = (0, 0),
    seed: int = 1,
    timeout: int = 1_000_000,
    trace: Path | None = None,
    progress: bool = False,
    description: str = "RTL, stitched",
) -> tuple[np.ndarray, SimulationStats, list[int]]:
    """Integers [samples, n] through a design; returns results [samples, m], figures and counters.

    ``counts`` are names of outputs to read at the end; with ``period`` a sample is offered every so
    many cycles rather than as soon as the design takes it; ``stalls``, of 256, how often the source
    and the sink hold back. SimulationError if nothing comes out for ``timeout`` cycles.
    """
    samples = len(codes)
    design = Design(Kernel(""), str(library), None, None if trace is None else str(trace))
    try:
        if trace is not None:
            design.trace_all()
        reset_design(design)
        source, sink = _beats(design, codes, given, wanted, period, stalls, timeout)
        start = time.perf_counter()
        with tqdm(
            total=samples, desc=description, unit="sample", disable=not progress, leave=False
        ) as bar:
            status, _ = run_streams(
                design,
                [source, sink],
                seed=seed,
                progress=lambda beats: bar.update(beats // wanted.beats - bar.n),
            )
        seconds = time.perf_counter() - start
        if status == STARVED:
            raise SimulationError(
                f"no output for {timeout} cycles after {len(sink.ticks)} of {len(sink.words)} "
                f"beats; the design took {len(source.ticks)} of {len(source.words)} input beats. "
                "A FIFO may be too shallow, or a folding does not fit"
            )
        fills = [design.getPort(name).read().as_unsigned() for name in counts]
    finally:
        design.close()
    outputs = unpack(sink.words, wanted.datatype, wanted.lanes).reshape(samples, -1)
    done = sink.ticks.astype(np.int64)[wanted.beats - 1 :: wanted.beats]
    return outputs, _stats(int(source.ticks[0]), done, seconds), fills


def _beats(
    design: Design,
    codes: np.ndarray,
    given: StreamFormat,
    wanted: StreamFormat,
    period: int,
    stalls: tuple[int, int],
    timeout: int,
) -> tuple[Beats, Beats]:
    """What the source sends and the sink receives."""
    source = Beats(
        INPUT,
        pack(codes, given.datatype, given.lanes, stream_words(design, INPUT)),
        False,
        stall=stalls[0],
        group=given.beats if period else 0,
        period=period,
    )
    if len(source.words) != len(codes) * given.beats:
        raise SimulationError(
            f"{len(codes)} samples of {codes[0].size} codes do not fit {given.beats} beats of "
            f"{given.lanes} lanes each"
        )
    received = np.zeros((len(codes) * wanted.beats, stream_words(design, OUTPUT)), np.uint32)
    return source, Beats(OUTPUT, received, True, stall=stalls[1], timeout=timeout)


def _stats(first: int, done: np.ndarray, seconds: float) -> SimulationStats:
    """From the ticks of the first input beat and of the last output beat of each sample."""
    samples, half = len(done), len(done) // 2
    steady = None if samples < 4 else float(done[-1] - done[half - 1]) / (samples - half)
    return SimulationStats(
        samples=samples,
        cycles=int(done[-1]) - first + 1,
        cycles_per_sample=steady,
        latency_cycles=int(done[0]) - first + 1,
        seconds=seconds,
    )


def reset_design(design: Design) -> None:
    """Holds reset for RESET_CYCLES and releases it just after a rising edge."""
    clock, reset = design.getPort("ap_clk"), design.getPort("ap_rst_n")
    for port in design.ports():
        if port.isInput():
            port.clear().write_back()
    for cycle in range(RESET_CYCLES + 1):
        clock.set(1).write_back()
        design.run(2)
        if cycle == RESET_CYCLES:
            reset.set(1).write_back()
        clock.set(0).write_back()
        design.run(9998)
