# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Streaming a whole signal through a compiled design."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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
PART_SAMPLES = 256  # at least so many to each processor


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

    Of a run in parts, rate and latency are those of the first part.

    Attributes:
        samples: number of samples.
        cycles: clock cycles from the first input beat to the last output beat, of all parts.
        cycles_per_sample: clock cycles between samples at the output, averaged over the second
            half of the part; None for fewer than 4 samples.
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
    parts: int = 1,
) -> tuple[Any, SimulationStats, list[int]]:
    """Integers [samples, n] through a design; returns results [samples, m], figures and counters.

    ``codes``, ``given`` and ``wanted`` are sequences where the design has several inputs or
    outputs, and so are the results. A sample is done when all of its outputs are out.
    ``counts`` are names of outputs to read at the end of the first part; with ``period`` a sample
    is offered every so many cycles rather than as soon as the design takes it; ``stalls``, of 256,
    how often the source and the sink hold back. With ``parts``, at most so many stretches of at
    least PART_SAMPLES samples are simulated at once, each from reset: results of a sample depend on
    no other. SimulationError, ending with ``hint``, if nothing comes out for ``timeout`` cycles.
    """
    signals = [codes] if isinstance(codes, np.ndarray) else list(codes)
    formats = [given] if isinstance(given, StreamFormat) else list(given)
    results = [wanted] if isinstance(wanted, StreamFormat) else list(wanted)
    samples = len(signals[0])

    def simulate(part: slice, advance: Callable[[int], None]) -> _Part:
        return _run_part(
            library,
            [signal[part] for signal in signals],
            formats,
            results,
            counts=counts,
            period=period,
            stalls=stalls,
            seed=seed,
            timeout=timeout,
            trace=trace,
            progress=lambda beats: advance(beats // results[0].beats),
            hint=hint,
        )

    start = time.perf_counter()
    with tqdm(
        total=samples, desc=description, unit="sample", disable=not progress, leave=False
    ) as bar:
        runs = _in_parts(samples, max(1, min(parts, samples // PART_SAMPLES)), simulate, bar)
    seconds = time.perf_counter() - start
    outputs = [
        np.concatenate(pieces) for pieces in zip(*(run.outputs for run in runs), strict=True)
    ]
    return one_or_all(outputs), _stats(samples, runs, seconds), runs[0].fills


@dataclass(frozen=True)
class _Part:
    """Outputs [samples, m] each, tick of the first input beat, ticks [samples] of the last output
    beats, and counters."""

    outputs: list[np.ndarray]
    first: int
    done: np.ndarray
    fills: list[int]

    @property
    def cycles(self) -> int:
        return int(self.done[-1]) - self.first + 1


def _in_parts(
    samples: int,
    count: int,
    simulate: Callable[[slice, Callable[[int], None]], _Part],
    bar: Any,
) -> list[_Part]:
    """``simulate`` of ``count`` stretches of the samples at once; the first error ends them all."""
    ends = [samples * index // count for index in range(count + 1)]
    done, errors = [0] * count, list[BaseException]()
    stopped = threading.Event()

    def one(index: int) -> _Part:
        def advance(finished: int) -> None:
            if stopped.is_set():
                raise SimulationError("the simulation was stopped")
            done[index] = finished
            bar.update(sum(done) - bar.n)

        try:
            return simulate(slice(ends[index], ends[index + 1]), advance)
        except BaseException as error:
            errors.append(error)
            stopped.set()
            raise

    with ThreadPoolExecutor(count) as pool:  # the compiled loop runs without Python's lock
        try:
            return list(pool.map(one, range(count)))
        except SimulationError:
            raise errors[0] from None
        finally:
            stopped.set()  # also on an interruption


def _run_part(
    library: Path,
    signals: Sequence[np.ndarray],
    formats: Sequence[StreamFormat],
    results: Sequence[StreamFormat],
    *,
    counts: Sequence[str],
    period: int,
    stalls: tuple[int, int],
    seed: int,
    timeout: int,
    trace: Path | None,
    progress: Callable[[int], None],
    hint: str,
) -> _Part:
    samples = len(signals[0])
    design = Design(Kernel(""), str(library), None, None if trace is None else str(trace))
    try:
        if trace is not None:
            design.trace_all()
        reset_design(design)
        sources = [
            _source(design, i, signal, formats[i], period, stalls[0])
            for i, signal in enumerate(signals)
        ]
        sinks = [
            _sink(design, i, samples, layout, stalls[1], timeout)
            for i, layout in enumerate(results)
        ]
        status, _ = run_streams(design, [*sources, *sinks], seed=seed, progress=progress)
        if status == STARVED:
            raise SimulationError(_stuck(sources, sinks, timeout) + hint)
        fills = [design.getPort(name).read().as_unsigned() for name in counts]
    finally:
        design.close()
    outputs, ticks = _received(sinks, results, samples)
    return _Part(outputs, min(int(source.ticks[0]) for source in sources), ticks, fills)


def _received(
    sinks: Sequence[Beats], formats: Sequence[StreamFormat], samples: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Integers [samples, m] of every output, and the tick at which the last beat of a sample passed
    the last of the outputs."""
    pairs = list(zip(sinks, formats, strict=True))
    outputs = [
        unpack(sink.words, layout.datatype, layout.lanes).reshape(samples, -1)
        for sink, layout in pairs
    ]
    last_beats = [sink.ticks[layout.beats - 1 :: layout.beats] for sink, layout in pairs]
    return outputs, np.max(last_beats, axis=0).astype(np.int64)


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


def _stats(samples: int, parts: Sequence[_Part], seconds: float) -> SimulationStats:
    done, first = parts[0].done, parts[0].first
    half = len(done) // 2
    steady = None if len(done) < 4 else float(done[-1] - done[half - 1]) / (len(done) - half)
    return SimulationStats(
        samples=samples,
        cycles=sum(part.cycles for part in parts),
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
