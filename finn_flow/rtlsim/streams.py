# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Feeding and draining AXI streams of a simulated design in the compiled cycle loop."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dhq_brevitas.finn_flow.rtlsim.errors import SimulationError
from dhq_brevitas.finn_flow.rtlsim.xsi import Design

DONE, PAUSED, STARVED = 0, 1, 2
_NEVER = (1 << 64) - 1


class _Stream(ctypes.Structure):
    """Mirrors ``Stream`` of harness.cpp."""

    _fields_ = (
        ("data", ctypes.c_int32),
        ("valid", ctypes.c_int32),
        ("ready", ctypes.c_int32),
        ("is_output", ctypes.c_int32),
        ("words", ctypes.c_uint32),
        ("stall", ctypes.c_uint32),
        ("group", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
        ("count", ctypes.c_uint64),
        ("buffer", ctypes.c_void_p),
        ("ticks", ctypes.c_void_p),
        ("timeout", ctypes.c_uint64),
        ("done", ctypes.c_uint64),
        ("offered", ctypes.c_uint64),
        ("idle", ctypes.c_uint64),
        ("active", ctypes.c_uint32),
        ("handshake", ctypes.c_uint32),
    )


@dataclass
class Beats:
    """The beats of one stream.

    Attributes:
        name: bus name, for example ``in0_V``.
        words: uint32 [beats, 32-bit words per beat], lowest word first; inputs are read from it,
            outputs are written to it.
        is_output: whether the design drives the stream.
        stall: of 256, how often a beat is held back at random.
        group, period: inputs: if given, a group of so many beats is offered every so many ticks.
        timeout: outputs: ticks without a beat after which the run ends.
        ticks: uint64 [beats], the clock tick at which each beat passed; filled by the run.
    """

    name: str
    words: np.ndarray
    is_output: bool
    stall: int = 0
    timeout: int | None = None
    group: int = 0
    period: int = 0
    ticks: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        if self.words.dtype != np.uint32 or not self.words.flags.c_contiguous:
            raise TypeError("Beats.words must be a contiguous array of uint32")
        if not 0 <= self.stall < 256:
            raise ValueError(f"stall={self.stall} must be from 0 to 255 (of 256)")
        self.ticks = np.zeros(len(self.words), dtype=np.uint64)


def stream_words(design: Design, name: str) -> int:
    """32-bit words per beat of the bus ``name``."""
    return (_port(design, name, "TDATA").width() + 31) // 32


def run_streams(
    design: Design,
    streams: list[Beats],
    *,
    tick: int = 0,
    seed: int = 1,
    progress: Callable[[int], Any] | None = None,
    interval: int = 200_000,
) -> tuple[int, int]:
    """Passes all beats, or as many as pass before an output starves.

    Args:
        design: an open design after reset.
        streams: inputs and outputs.
        tick: clock ticks so far.
        seed: of the stalls.
        progress: called every ``interval`` ticks with the beats of the first output so far.

    Returns (``DONE`` or ``STARVED``, clock ticks so far). SimulationError for an assertion that
    failed in the design, or for a stream it does not have.
    """
    table = (_Stream * len(streams))(*(_entry(design, beats) for beats in streams))
    clock = design.getPort("ap_clk").index
    try:
        clock2x = design.getPort("ap_clk2x").index
    except RuntimeError:
        clock2x = -1
    ticks, random = ctypes.c_uint64(tick), ctypes.c_uint32(seed)
    first_output = next((entry for entry in table if entry.is_output), None)
    status = PAUSED
    while status == PAUSED:
        status = design.check(
            design.library.dhq_stream(
                design.handle,
                clock,
                clock2x,
                table,
                len(streams),
                interval,
                ctypes.byref(ticks),
                ctypes.byref(random),
            )
        )
        if progress is not None and first_output is not None:
            progress(first_output.done)
    for entry, beats in zip(table, streams, strict=True):
        beats.ticks = beats.ticks[: entry.done]
    return status, ticks.value


def _entry(design: Design, beats: Beats) -> _Stream:
    """A stream as harness.cpp takes it."""
    data = _port(design, beats.name, "TDATA")
    words = (data.width() + 31) // 32
    if beats.words.ndim != 2 or beats.words.shape[1] != words:
        raise SimulationError(
            f"stream {beats.name} has {words} words per beat, not {beats.words.shape}"
        )
    entry = _Stream()
    entry.data = data.index
    entry.valid = _port(design, beats.name, "TVALID").index
    entry.ready = _port(design, beats.name, "TREADY").index
    entry.is_output = int(beats.is_output)
    entry.words, entry.stall, entry.count = words, beats.stall, len(beats.words)
    entry.group, entry.period = beats.group, beats.period
    entry.buffer, entry.ticks = beats.words.ctypes.data, beats.ticks.ctypes.data
    entry.timeout = _NEVER if beats.timeout is None else beats.timeout
    entry.active = 1
    return entry


def _port(design: Design, bus: str, suffix: str) -> Any:
    for name in (f"{bus}_{suffix.lower()}", f"{bus}_{suffix}"):
        try:
            return design.getPort(name)
        except RuntimeError:
            continue
    raise SimulationError(f"the design has no stream {bus}: there is no port {bus}_{suffix}")
