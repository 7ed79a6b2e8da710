# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Streaming a whole signal through a compiled design."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from qonnx.core.datatype import BaseDataType
from tqdm import tqdm

from dhq_brevitas.export.execute import one_or_all
from dhq_brevitas.finn_flow.rtlsim.errors import SimulationError
from dhq_brevitas.finn_flow.rtlsim.streams import STARVED, Beats, run_streams, stream_words
from dhq_brevitas.finn_flow.rtlsim.xsi import Design, Kernel
from dhq_brevitas.finn_flow.stitching.packing import pack, unpack

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
    codes: np.ndarray | Sequence[np.ndarray],
    given: StreamFormat | Sequence[StreamFormat],
    wanted: StreamFormat | Sequence[StreamFormat],
    *,
    counts: Sequence[str] = (),
    period: int = 0,
    stalls: tuple[int, int] = (0, 0),
    seed: int = 1,
    timeout: int = 1_000_000,
    trace: Path | None = None,
    progress: bool = False,
    description: str = "RTL, stitched",
    hint: str = "",
) -> tuple[Any, SimulationStats, list[int]]:
    """Integers [samples, n] through a design; returns results [samples, m], figures and counters.

    ``codes``, ``given`` and ``wanted`` are sequences where the design has several inputs or
    outputs, and so are the results. A sample is done when all of its outputs are out.
    ``counts`` are names of outputs to read at the end; with ``period`` a sample is offered every so
    many cycles rather than as soon as the design takes it; ``stalls``, of 256, how often the source
    and the sink hold back. SimulationError, ending with ``hint``, if nothing comes out for
    ``timeout`` cycles.
    """
    signals = [codes] if isinstance(codes, np.ndarray) else list(codes)
    formats = [given] if isinstance(given, StreamFormat) else list(given)
    results = [wanted] if isinstance(wanted, StreamFormat) else list(wanted)
    samples = len(signals[0])
    design = Design(Kernel(""), str(library), None, None if trace is None else str(trace))
    try:
        if trace is not None:
            design.trace_all()
        _reset(design)
        sources = [
            _source(design, i, signal, formats[i], period, stalls[0])
            for i, signal in enumerate(signals)
        ]
        sinks = [
            _sink(design, i, samples, layout, stalls[1], timeout)
            for i, layout in enumerate(results)
        ]
        start = time.perf_counter()
        with tqdm(
            total=samples, desc=description, unit="sample", disable=not progress, leave=False
        ) as bar:

            def advance(beats: int) -> None:
                bar.update(beats // results[0].beats - bar.n)

            status, _ = run_streams(design, [*sources, *sinks], seed=seed, progress=advance)
        seconds = time.perf_counter() - start
        if status == STARVED:
            raise SimulationError(_stuck(sources, sinks, timeout) + hint)
        fills = [design.getPort(name).read().as_unsigned() for name in counts]
    finally:
        design.close()
    first = min(int(source.ticks[0]) for source in sources)
    outputs, done = _received(sinks, results, samples)
    return outputs, _stats(first, done, seconds), fills


def _received(
    sinks: Sequence[Beats], formats: Sequence[StreamFormat], samples: int
) -> tuple[Any, np.ndarray]:
    """Integers [samples, m] of every output, and the tick at which the last beat of a sample passed
    the last of the outputs."""
    pairs = list(zip(sinks, formats, strict=True))
    outputs = [
        unpack(sink.words, layout.datatype, layout.lanes).reshape(samples, -1)
        for sink, layout in pairs
    ]
    last_beats = [sink.ticks[layout.beats - 1 :: layout.beats] for sink, layout in pairs]
    return one_or_all(outputs), np.max(last_beats, axis=0).astype(np.int64)


def _stuck(sources: Sequence[Beats], sinks: Sequence[Beats], timeout: int) -> str:
    def passed(streams: Sequence[Beats]) -> str:
        return ", ".join(
            f"{len(s.ticks)} of {len(s.words)}" + (f" of {s.name}" if len(streams) > 1 else "")
            for s in streams
        )

    return (
        f"no output for {timeout} cycles after {passed(sinks)} beats; the design took "
        f"{passed(sources)} input beats. A FIFO may be too shallow, or a folding does not fit"
    )


def _source(
    design: Design, index: int, codes: np.ndarray, given: StreamFormat, period: int, stall: int
) -> Beats:
    """What the source of input ``index`` sends."""
    name = f"s_axis_{index}"
    source = Beats(
        name,
        pack(codes, given.datatype, given.lanes, stream_words(design, name)),
        False,
        stall=stall,
        group=given.beats if period else 0,
        period=period,
    )
    if len(source.words) != len(codes) * given.beats:
        raise SimulationError(
            f"{len(codes)} samples of {codes[0].size} codes do not fit {given.beats} beats of "
            f"{given.lanes} lanes each"
        )
    return source


def _sink(
    design: Design, index: int, samples: int, wanted: StreamFormat, stall: int, timeout: int
) -> Beats:
    """What the sink of output ``index`` receives."""
    name = f"m_axis_{index}"
    received = np.zeros((samples * wanted.beats, stream_words(design, name)), np.uint32)
    return Beats(name, received, True, stall=stall, timeout=timeout)


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


def _reset(design: Design) -> None:
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
