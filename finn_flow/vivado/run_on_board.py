# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""On a board with PYNQ, as root, beside zynq.bit, zynq.hwh and the other files of this folder:

python3 run_on_board.py

Runs the signal through the accelerator, compares it with check.npz and writes values.npy.
"""

import time
from pathlib import Path

import numpy as np
from host import CHECK_FILE, Record, read_record
from pynq import MMIO, Overlay, allocate

HERE = Path(__file__).resolve().parent
# Registers of AXI VDMA, S2MM (PG020).
CONTROL, STATUS, LINES, LINE, STRIDE, ADDRESS = 0x30, 0x34, 0xA0, 0xA4, 0xA8, 0xAC
RUN, CIRCULAR, FRAMES, FRAME_DONE = 1, 1 << 1, 1 << 16, 1 << 12
PATIENCE = 10  # seconds for one frame


def run(dma, record: Record, codes: np.ndarray | None = None) -> np.ndarray:
    """int64 [points, channels] that the design gives, for ``codes`` if it takes any."""
    wanted = allocate(shape=(record.wanted.size,), dtype=np.uint8)
    dma.recvchannel.transfer(wanted)
    if record.given is not None:
        given = allocate(shape=(record.given.size,), dtype=np.uint8)
        given[:] = record.given.pack(codes)
        dma.sendchannel.transfer(given)
        dma.sendchannel.wait()
    dma.recvchannel.wait()
    return record.wanted.unpack(np.array(wanted))


def capture(vdma, record: Record) -> np.ndarray:
    """int64 [points, channels] of a frame that the video DMA ``vdma``, its registers, has written.

    Every frame is the same picture, so one buffer is written again and again. The driver of PYNQ
    wants an interrupt, which the design does not have. TimeoutError without a frame in time.
    """
    frame = allocate(shape=(record.wanted.size,), dtype=np.uint8)
    lines = record.shape[0]
    vdma.write(CONTROL, RUN | CIRCULAR | 2 * FRAMES)
    vdma.write(ADDRESS, frame.physical_address)
    vdma.write(STRIDE, record.wanted.size // lines)
    vdma.write(LINE, record.wanted.size // lines)
    vdma.write(STATUS, FRAME_DONE)  # a 1 clears it
    vdma.write(LINES, lines)  # starts
    end = time.monotonic() + PATIENCE
    while not (status := vdma.read(STATUS)) & FRAME_DONE:
        if time.monotonic() > end:
            raise TimeoutError(
                f"the video DMA has written no frame in {PATIENCE} s (its status is {status:#x}): "
                "is zynq.bit the one of this folder?"
            )
    vdma.write(CONTROL, 0)
    frame.invalidate()
    return record.wanted.unpack(np.array(frame))


def main() -> None:
    record, samples = read_record(HERE), np.load(HERE / CHECK_FILE)
    overlay = Overlay(str(HERE / "zynq.bit"))
    codes = None if record.given is None else record.host.encode(samples["inputs"])
    if record.video:
        received = capture(MMIO(overlay.ip_dict["dma"]["phys_addr"], 0x100), record)
    else:
        received = run(overlay.dma, record, codes)[: len(samples["received"])]
    differing = int(np.count_nonzero(received != samples["received"]))
    print(f"{differing} of {received.size} integers differ from those of the simulation")
    np.save(HERE / "values.npy", record.decode(received).reshape(*record.shape, -1))


if __name__ == "__main__":
    main()
