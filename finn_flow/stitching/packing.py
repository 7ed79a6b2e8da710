# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Integer codes to the beats of an AXI stream and back, as FINN packs them.

A beat carries ``lanes`` consecutive values of b bits each in two's complement, the first in the
lowest bits; the rest up to the width of the stream is zero.
"""

import numpy as np
from qonnx.core.datatype import BaseDataType


def pack(codes: np.ndarray, datatype: BaseDataType, lanes: int, words: int) -> np.ndarray:
    """uint32 [beats, words] from integers [..., n·lanes] in the order they pass."""
    bits = datatype.bitwidth()
    values = np.asarray(codes, dtype=np.int64).reshape(-1, lanes)
    planes = (values[..., None] >> np.arange(bits)) & 1
    padded = np.zeros((len(values), words * 32), dtype=np.uint8)
    padded[:, : lanes * bits] = planes.reshape(len(values), -1)
    return np.packbits(padded, axis=1, bitorder="little").view("<u4").astype(np.uint32)


def unpack(beats: np.ndarray, datatype: BaseDataType, lanes: int) -> np.ndarray:
    """int64 [beats·lanes] from uint32 [beats, words]."""
    bits = datatype.bitwidth()
    content = np.ascontiguousarray(beats, dtype="<u4").view(np.uint8)
    planes = np.unpackbits(content, axis=1, bitorder="little")[:, : lanes * bits]
    planes = planes.reshape(-1, bits).astype(np.int64)
    weights = np.int64(1) << np.arange(bits, dtype=np.int64)
    if datatype.signed():
        weights[-1] = -weights[-1]
    return planes @ weights
