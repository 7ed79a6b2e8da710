# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``write_project``: Tcl, settings and host software beside a design."""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dhq_brevitas.finn_flow import host
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.host import CHECK_FILE, RECORD_FILE, Record
from dhq_brevitas.finn_flow.stitching.design import StitchedDesign
from dhq_brevitas.finn_flow.vivado.boards import ZynqBoard
from dhq_brevitas.util.files import atomic_path, write_text

HERE = Path(__file__).parent
#: Checks streams in simulation; nothing instantiates it where SYNTHESIS is defined.
MONITOR = "dhq_stream_monitor.sv"
SETTINGS_FILE = "settings.tcl"
COPIED = (
    HERE / "package_ip.tcl",
    HERE / "block_design.tcl",
    HERE / "run_on_board.py",
    Path(host.__file__),
)
#: Of a packet of AXI DMA, whose lengths have at most 26 bits (PG021).
MAX_PACKET = (1 << 26) - 1
#: Bytes of a line and lines of AXI VDMA, by the bits of its registers (PG020).
MAX_LINE, MAX_LINES = (1 << 16) - 1, (1 << 13) - 1

_SETTINGS = """\
# What the other Tcl files read; generated.
set TOP {top}
set SOURCES {{{sources}}}
set PART {part}
set BOARD_PART {board_part}
set CLOCK_MHZ {mhz}
# Of the streams of codes into the design, 0 without, and out of it.
set INPUT_BITS {given}
set OUTPUT_BITS {wanted}
# 1: the output is AXI4-Stream Video, for AXI VDMA instead of AXI DMA.
set VIDEO {video}
"""


def write_project(
    design: StitchedDesign,
    board: ZynqBoard,
    clk_period_ns: float,
    record: Record,
    samples: Mapping[str, Any],
) -> list[str]:
    """Writes the project into the folder of ``design``; the names of its files.

    Args:
        design: with the top module last in its list.
        board: for which it is.
        clk_period_ns: of the design.
        record: of its streams, and of the host.
        samples: arrays of ``check.npz``, see :func:`dhq_brevitas.finn_flow.host.check`.

    FlowError for a packet that is too long for the DMA, or a picture too large for the video DMA.
    """
    _check_sizes(record)
    folder = design.folder
    names = [path.name for path in design.sources if path.name != MONITOR]
    headers = sorted(path.name for path in folder.glob("*.*vh"))
    settings = _SETTINGS.format(
        top=Path(names[-1]).stem,
        sources=" ".join([*headers, *names]),
        part=board.part,
        board_part=board.board_part,
        # Rounded down: a clock of the build is a promise of its timing.
        mhz=f"{math.floor(1e5 / clk_period_ns) / 100:g}",
        given=0 if record.given is None else 8 * record.given.beat_bytes,
        wanted=8 * record.wanted.beat_bytes,
        video=int(record.video),
    )
    write_text(folder / SETTINGS_FILE, settings)
    write_text(folder / RECORD_FILE, record.to_json())
    with atomic_path(folder / CHECK_FILE) as temporary:
        np.savez_compressed(temporary, **samples)
    for path in COPIED:
        shutil.copyfile(path, folder / path.name)
    return [SETTINGS_FILE, RECORD_FILE, CHECK_FILE, *(path.name for path in COPIED)]


def _check_sizes(record: Record) -> None:
    if record.video:
        lines, line = record.shape[0], record.shape[1] * record.wanted.beat_bytes
        if lines > MAX_LINES or line > MAX_LINE:
            raise FlowError(
                f"{lines} lines of {line} bytes are more than the {MAX_LINES} of {MAX_LINE} of AXI "
                "VDMA: take a smaller picture, or --shell axis"
            )
        return
    for stream in (record.given, record.wanted):
        if stream is not None and stream.size > MAX_PACKET:
            raise FlowError(
                f"a signal of {stream.size} bytes is more than the {MAX_PACKET} of one transfer of "
                "AXI DMA: take a smaller one"
            )
