# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""On a board with PYNQ, as root, beside zynq.bit, zynq.hwh and the other files of this folder:

python3 run_on_board.py

Runs the signal through the accelerator, compares it with check.npz and writes values.npy.
"""

from pathlib import Path

import numpy as np
from host import CHECK_FILE, Record, read_record
from pynq import Overlay, allocate

HERE = Path(__file__).resolve().parent


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


def main() -> None:
    record, samples = read_record(HERE), np.load(HERE / CHECK_FILE)
    overlay = Overlay(str(HERE / "zynq.bit"))
    codes = None if record.given is None else record.host.encode(samples["inputs"])
    received = run(overlay.dma, record, codes)[: len(samples["received"])]
    differing = int(np.count_nonzero(received != samples["received"]))
    print(f"{differing} of {received.size} integers differ from those of the simulation")
    np.save(HERE / "values.npy", record.decode(received).reshape(*record.shape, -1))


if __name__ == "__main__":
    main()
