# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Integer codes to the 32 bit words of a simulated stream and back, packed as FINN does."""

import numpy as np
from qonnx.core.datatype import BaseDataType

from dhq_brevitas.finn_flow import host


def pack(codes: np.ndarray, datatype: BaseDataType, lanes: int, words: int) -> np.ndarray:
    """uint32 [beats, words] from integers [..., n·lanes] in the order they pass."""
    content = host.pack(codes, datatype.bitwidth(), lanes, 4 * words)
    return content.view("<u4").astype(np.uint32)


def unpack(beats: np.ndarray, datatype: BaseDataType, lanes: int) -> np.ndarray:
    """int64 [beats·lanes] from uint32 [beats, words]."""
    content = np.ascontiguousarray(beats, dtype="<u4").view(np.uint8)
    return host.unpack(content, datatype.bitwidth(), datatype.signed(), lanes)
