# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Bits of two's complement."""

from qonnx.core.datatype import BaseDataType

__all__ = ["signed_bits", "signed_width"]


def signed_bits(low: int, high: int) -> int:
    """Bits that hold every integer from ``low`` to ``high``, at least 1."""
    return max(-low - 1, high, 0).bit_length() + 1


def signed_width(datatype: BaseDataType) -> int:
    """Bits that hold every value of an integer type: an unsigned one gets a sign."""
    return int(datatype.bitwidth()) + (0 if datatype.signed() else 1)
