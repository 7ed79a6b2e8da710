# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Integers in as few bytes as their distribution allows: range coding, by ``constriction``.

An array [rows, n] is coded as its least value, its span, and its values, which are taken to be
bell-shaped around 0 (around the middle of the span if that leaves 0 out). The spread is chosen so
that the code is shortest, for each row or for all of them, whichever takes less with what the
spreads take themselves. Of spans of more than 12 bits the lower bits are coded as they are.

Both sides must have the same probabilities to the last bit, on any machine. So they are made with
additions, multiplications and divisions alone, which IEEE 754 defines exactly, and no logarithm or
power: the bell of spread s is 1 / (1 + x² / 16 s²)⁸, a Student t distribution, near a normal one.
``constriction`` makes fixed-point numbers of them.
"""

from functools import cache, lru_cache
from typing import Any

import numpy as np

__all__ = ["IntegerReader", "IntegerWriter"]

#: Bits of a value that are modeled; the others are coded as they are.
MODELED_BITS = 12
#: Most bits of a value's distance from the least one, and of the least one.
MAX_BITS = 48
#: Most symbols of a uniform distribution that constriction takes, as bits.
UNIFORM_BITS = 24
#: 2^-2 … 1.75·2^13, four an octave.
SPREADS = [(1 + quarter / 4) * 2.0**octave for octave in range(-2, 14) for quarter in range(4)]
SPREAD_BITS = 6
SMALLEST_PROBABILITY = 2.0**-24
#: Most values of all arrays together that are read: more are not ours.
MAX_VALUES = 1 << 26


class IntegerWriter:
    """Codes arrays one behind the other; :class:`IntegerReader` needs their shapes."""

    def __init__(self) -> None:
        self._coder = _constriction().stream.queue.RangeEncoder()

    def write(self, values: np.ndarray) -> None:
        """Integers [rows, n]; ValueError if they span more than 48 bits."""
        values = np.asarray(values).astype(np.int64)
        low = int(values.min()) if values.size else 0
        span = int(values.max()) - low if values.size else 0
        if max(span.bit_length(), low.bit_length()) > MAX_BITS:
            raise ValueError(f"integers {low} to {low + span} need more than {MAX_BITS} bits")
        self._number(2 * low if low >= 0 else -2 * low - 1)
        self._number(span)
        if span == 0:
            return
        shift = _shift(span)
        self._write_symbols((values - low) >> shift, _symbols(span), _center(low, span))
        if shift:
            self._bits((values - low) & (2**shift - 1), shift)

    def getvalue(self) -> bytes:
        """All of it; a multiple of four bytes."""
        return self._coder.get_compressed().astype("<u4").tobytes()

    def _write_symbols(self, symbols: np.ndarray, count: int, center: float) -> None:
        lengths = _lengths(symbols, count, center)
        rows = len(symbols)
        if rows > 1:
            each = lengths.argmin(axis=1)
            # The spreads take at most so much.
            per_row = lengths.min(axis=1).sum() + rows * np.log2(1 + np.ptp(each))
            differ = bool(per_row < lengths.sum(axis=0).min())
            self._bits(np.array([differ]), 1)
            if differ:
                self.write(each[None])
                for row, spread in zip(symbols, each, strict=True):
                    self._encode(row, _model(count, center, int(spread)))
                return
        spread = int(lengths.sum(axis=0).argmin())
        self._bits(np.array([spread]), SPREAD_BITS)
        self._encode(symbols, _model(count, center, spread))

    def _number(self, value: int) -> None:
        """Not negative: its length, then its bits."""
        self._bits(np.array([value.bit_length()]), SPREAD_BITS)
        if value:
            self._bits(np.array([value]), value.bit_length())

    def _bits(self, values: np.ndarray, bits: int) -> None:
        for start, some in _parts(bits):
            self._encode((values >> start) & (2**some - 1), _uniform(some))

    def _encode(self, symbols: np.ndarray, model: Any) -> None:
        self._coder.encode(np.ascontiguousarray(symbols.reshape(-1), dtype=np.int32), model)


class IntegerReader:
    """Reads what :class:`IntegerWriter` wrote; ValueError for bytes that it cannot have written."""

    def __init__(self, data: bytes) -> None:
        if len(data) % 4:
            raise ValueError(f"{len(data)} bytes of coded integers are no multiple of 4")
        words = np.frombuffer(data, dtype="<u4").astype(np.uint32)
        self._coder = _constriction().stream.queue.RangeDecoder(words)
        self._left = MAX_VALUES

    def read(self, rows: int, count: int) -> np.ndarray:
        """int64 [rows, count]."""
        self._left -= rows * count
        if self._left < 0:
            raise ValueError(f"there are more than {MAX_VALUES} integers")
        zigzag = self._number()
        low = zigzag // 2 if zigzag % 2 == 0 else -(zigzag // 2) - 1
        span = self._number()
        if span == 0:
            return np.full((rows, count), low)
        shift = _shift(span)
        values = self._read_symbols(rows, count, _symbols(span), _center(low, span)) << shift
        if shift:
            values += self._bits(rows * count, shift).reshape(rows, count)
        return values + low

    def _read_symbols(self, rows: int, count: int, symbols: int, center: float) -> np.ndarray:
        if rows > 1 and self._bits(1, 1)[0]:
            spreads = self.read(1, rows)[0]
            if spreads.min() < 0 or spreads.max() >= len(SPREADS):
                raise ValueError("a spread of coded integers is out of range")
            decoded = [
                self._decode(count, _model(symbols, center, int(spread))) for spread in spreads
            ]
            return np.stack(decoded)
        spread = int(self._bits(1, SPREAD_BITS)[0])
        return self._decode(rows * count, _model(symbols, center, spread)).reshape(rows, count)

    def _number(self) -> int:
        bits = int(self._bits(1, SPREAD_BITS)[0])
        if bits > MAX_BITS + 1:
            raise ValueError(f"a coded integer has {bits} bits")
        return int(self._bits(1, bits)[0]) if bits else 0

    def _bits(self, count: int, bits: int) -> np.ndarray:
        values = np.zeros(count, dtype=np.int64)
        for start, some in _parts(bits):
            values |= self._decode(count, _uniform(some)) << start
        return values

    def _decode(self, count: int, model: Any) -> np.ndarray:
        try:
            return self._coder.decode(model, count).astype(np.int64)
        except AssertionError as error:  # what constriction raises for data that it never writes
            raise ValueError("the coded integers are damaged") from error


def _shift(span: int) -> int:
    """Bits that are coded as they are."""
    return max(0, span.bit_length() - MODELED_BITS)


def _symbols(span: int) -> int:
    return (span >> _shift(span)) + 1


def _center(low: int, span: int) -> float:
    """Symbol around which the bell stands."""
    return (-low if low <= 0 <= low + span else span // 2) / 2 ** _shift(span)


def _parts(bits: int) -> list[tuple[int, int]]:
    """(lowest bit, number of bits) of each part that constriction takes at once."""
    return [(start, min(UNIFORM_BITS, bits - start)) for start in range(0, bits, UNIFORM_BITS)]


def _lengths(symbols: np.ndarray, count: int, center: float) -> np.ndarray:
    """Bits that each row [rows, n] takes with each spread: float64 [rows, spreads]."""
    found = []
    for spread in range(len(SPREADS)):
        bell = _bell(count, center, spread)
        bits = -np.log2(np.maximum(bell / bell.sum(), SMALLEST_PROBABILITY))
        found.append(bits[symbols].sum(axis=1))
    return np.stack(found, axis=1)


def _bell(count: int, center: float, spread: int) -> np.ndarray:
    """Not normalized, float64 [count]."""
    x = (np.arange(count) - center) / SPREADS[spread]
    first = 1 + x * x / 16
    second = first * first
    fourth = second * second
    return 1 / (fourth * fourth)


@lru_cache(maxsize=256)
def _model(count: int, center: float, spread: int) -> Any:
    return _constriction().stream.model.Categorical(_bell(count, center, spread), perfect=False)


@cache
def _uniform(bits: int) -> Any:
    return _constriction().stream.model.Uniform(2**bits)


def _constriction() -> Any:
    """Imported when it is needed; ModuleNotFoundError that says what to install."""
    try:
        import constriction
    except ImportError as error:
        raise ModuleNotFoundError(
            "packed files need constriction: pip install 'constriction>=0.5,<0.6'"
        ) from error
    return constriction
