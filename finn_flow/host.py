# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What the host computes around an accelerator, with NumPy alone.

This file stands by itself: ``dhq vivado`` puts a copy of it beside a design, with the numbers in
``host.json``, and ``python3 host.py`` there repeats the samples in ``check.npz``.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

AnyHost = TypeVar("AnyHost", bound="Host")
FORMAT_VERSION = 2
RECORD_FILE, CHECK_FILE = "host.json", "check.npz"
ROUNDINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ROUND": np.round,
    "HALF_EVEN": np.round,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "DOWN": np.trunc,
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + 0.5),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - 0.5),
}
OPERATORS = {"Mul": np.multiply, "Add": np.add, "Sub": np.subtract, "Div": np.divide}
# Of another arrangement of the values; the samples stay first, however many there are.
LAYOUTS = {
    "Transpose": lambda x, axes: np.transpose(x, axes),
    "Reshape": lambda x, shape: x.reshape(-1, *shape[1:]),
    "Expand": lambda x, shape: np.broadcast_to(x, (len(x), *shape[1:])),
}


@dataclass(frozen=True)
class HostStep:
    """One operation on all samples.

    ``operator`` Mul, Add, Sub or Div: ``x operator constant`` in the format of ``constant``,
    float32 or float64, a scalar or one value per channel of the last axis; x is on the left.
    Transpose, Reshape, Expand: int64 ``constant`` holds the axes, or the shape, whose first entry,
    of the samples, does not count.
    """

    operator: str
    constant: np.ndarray

    def __post_init__(self) -> None:
        known = sorted(OPERATORS | LAYOUTS)
        if self.operator not in known:
            raise ValueError(f"operator={self.operator!r} is not one of {known}")

    def apply(self, x: np.ndarray) -> np.ndarray:
        """The operation, rounded as IEEE 754 does, which is what ONNX Runtime computes."""
        if self.operator in LAYOUTS:
            return LAYOUTS[self.operator](x, self.constant.tolist())
        return OPERATORS[self.operator](x.astype(self.constant.dtype), self.constant)


@dataclass(frozen=True)
class InputQuantizer:
    """Quant with scale 1 and zero point 0: clip, then round."""

    bits: int
    signed: bool
    narrow: bool
    rounding: str

    @property
    def low(self) -> int:
        """Lowest code."""
        return int(self.narrow) - (1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """Highest code."""
        if self.signed:
            return (1 << (self.bits - 1)) - 1
        return (1 << self.bits) - 1 - int(self.narrow)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Codes as int64."""
        if self.bits == 1 and self.signed:
            return np.where(x >= 0, 1, -1)
        clipped = np.clip(x, np.float32(self.low), np.float32(self.high))
        return ROUNDINGS[self.rounding.upper()](clipped).astype(np.int64)


@dataclass(frozen=True)
class HostInput:
    """From real numbers to the codes of one input: ``steps``, then ``quantizer``.

    ``quantizer`` None: the graph takes codes already.
    """

    steps: tuple[HostStep, ...] = ()
    quantizer: InputQuantizer | None = None

    def encode(self, inputs: np.ndarray) -> np.ndarray:
        """int64 codes of real ``inputs`` [..., channels]; ValueError if codes are no integers."""
        x = np.asarray(inputs)
        if not np.all(np.isfinite(x)):
            raise ValueError(
                "inputs hold NaN or infinity, which have no code; remove those samples"
            )
        if self.quantizer is None:
            codes = x.astype(np.int64)
            if np.any(codes != x):
                raise ValueError(
                    "inputs: the graph has no input quantizer and takes integer codes, but some "
                    "values are not integers; quantize them first"
                )
            return codes
        x = x.astype(np.float32)
        for step in self.steps:
            x = step.apply(x)
        return self.quantizer.apply(x)


@dataclass(frozen=True)
class HostOutput:
    """From the codes of one output to real numbers."""

    steps: tuple[HostStep, ...] = ()

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """float32 outputs of integer ``codes`` [..., channels]."""
        y = np.asarray(codes).astype(np.float32)
        for step in self.steps:
            y = step.apply(y)
        return y.astype(np.float32)

    @property
    def scale(self) -> np.ndarray:
        """Factor of the codes in the outputs, float64, a scalar or per channel."""
        return self._line()[0]

    @property
    def bias(self) -> np.ndarray:
        """Output of code 0, float64, a scalar or per channel."""
        return self._line()[1]

    def _line(self) -> tuple[np.ndarray, np.ndarray]:
        scale, bias = np.ones(()), np.zeros(())
        for step in self.steps:
            if step.operator in LAYOUTS:
                continue
            constant = step.constant.astype(np.float64)
            bias = OPERATORS[step.operator](bias, constant)
            if step.operator in ("Mul", "Div"):
                scale = OPERATORS[step.operator](scale, constant)
        return scale, bias


@dataclass(frozen=True)
class Host:
    """Codes in, codes out, and the float operations on either side of them.

    ``encode`` turns real inputs into the integer codes that the accelerator takes; ``decode`` turns
    the integers it gives into real outputs. Both repeat the operations of the QONNX graph in its
    order and format, so the results are equal to QONNX's to the last bit. ``inputs`` and
    ``outputs`` are in the order of the graph's; where there are several, so are the arrays.
    """

    inputs: tuple[HostInput, ...] = (HostInput(),)
    outputs: tuple[HostOutput, ...] = (HostOutput(),)

    def encode(self, inputs: Any) -> Any:
        """int64 codes of real ``inputs`` [..., channels], an array or for several inputs a sequence
        of arrays; ValueError if codes are no integers."""
        given = self._listed("inputs", inputs, len(self.inputs))
        return _one_or_all([end.encode(x) for end, x in zip(self.inputs, given, strict=True)])

    def decode(self, codes: Any) -> Any:
        """float32 outputs of integer ``codes`` [..., channels], one or several arrays."""
        given = self._listed("codes", codes, len(self.outputs))
        return _one_or_all([end.decode(x) for end, x in zip(self.outputs, given, strict=True)])

    @staticmethod
    def _listed(name: str, arrays: Any, count: int) -> list[Any]:
        if count == 1:
            return [arrays]
        if not isinstance(arrays, list | tuple) or len(arrays) != count:
            raise ValueError(f"{name} must be a sequence of {count} arrays")
        return list(arrays)

    def to_json(self) -> str:
        """Exact text form: a float is written with enough digits to come back the same."""
        return json.dumps(
            {
                "version": FORMAT_VERSION,
                "inputs": [
                    {
                        "steps": _steps_to_json(end.steps),
                        "quantizer": None if end.quantizer is None else vars(end.quantizer),
                    }
                    for end in self.inputs
                ],
                "outputs": [{"steps": _steps_to_json(end.steps)} for end in self.outputs],
            }
        )

    @classmethod
    def from_json(cls: type[AnyHost], text: str) -> AnyHost:
        """Inverse of :meth:`to_json`; ValueError for another format."""
        try:
            data = json.loads(text)
            if data["version"] != FORMAT_VERSION:
                raise ValueError(
                    f"host affine of version {data['version']} found, version {FORMAT_VERSION} "
                    "expected; build the model again"
                )
            inputs = tuple(
                HostInput(
                    _steps_from_json(end["steps"]),
                    None if end["quantizer"] is None else InputQuantizer(**end["quantizer"]),
                )
                for end in data["inputs"]
            )
            outputs = tuple(HostOutput(_steps_from_json(end["steps"])) for end in data["outputs"])
            return cls(inputs, outputs)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(
                f"the host affine cannot be read ({error}); build the model again"
            ) from error


def _one_or_all(results: list[Any]) -> Any:
    return results[0] if len(results) == 1 else tuple(results)


def _steps_to_json(steps: Sequence[HostStep]) -> list[dict[str, Any]]:
    return [
        {
            "operator": step.operator,
            "dtype": step.constant.dtype.name,
            "shape": list(step.constant.shape),
            "values": [float(value) for value in step.constant.reshape(-1)],
        }
        for step in steps
    ]


def _steps_from_json(steps: list[dict[str, Any]]) -> tuple[HostStep, ...]:
    return tuple(
        HostStep(
            step["operator"],
            np.array(step["values"], dtype=step["dtype"]).reshape(step["shape"]),
        )
        for step in steps
    )


# ------------------------------------------------------------------------------------- streams
def pack(values: np.ndarray, bits: int, lanes: int, beat_bytes: int) -> np.ndarray:
    """uint8 [beats, beat_bytes] of integers [..., n·lanes] in the order they pass.

    A beat carries ``lanes`` consecutive values of ``bits`` bits each in two's complement, the first
    in the lowest bits; the bits above them are zero.
    """
    given = np.asarray(values, dtype=np.int64).reshape(-1, lanes)
    planes = (given[..., None] >> np.arange(bits)) & 1
    padded = np.zeros((len(given), beat_bytes * 8), dtype=np.uint8)
    padded[:, : lanes * bits] = planes.reshape(len(given), -1)
    return np.packbits(padded, axis=1, bitorder="little")


def unpack(content: np.ndarray, bits: int, signed: bool, lanes: int) -> np.ndarray:
    """int64 [beats·lanes] from uint8 [beats, bytes of a beat]; inverse of :func:`pack`."""
    planes = np.unpackbits(content, axis=1, bitorder="little")[:, : lanes * bits]
    weights = np.int64(1) << np.arange(bits, dtype=np.int64)
    if signed:
        weights[-1] = -weights[-1]
    return planes.reshape(-1, bits).astype(np.int64) @ weights


@dataclass(frozen=True)
class Stream:
    """A stream as DMA moves it: ``points`` of ``channels`` values make a packet.

    Attributes:
        points, channels: of a packet.
        bits, signed: of a value.
        lanes: values of a beat.
        beat_bytes: bytes of a beat.
        order: channel of each value of a beat that is a whole point; empty: as they come.
    """

    points: int
    channels: int
    bits: int
    signed: bool
    lanes: int
    beat_bytes: int
    order: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of a packet."""
        return self.points * self.channels // self.lanes * self.beat_bytes

    def pack(self, values: np.ndarray) -> np.ndarray:
        """uint8 [size] of integers [n <= points, channels]; those that are missing are 0.

        ValueError for another shape and for values beyond ``bits``.
        """
        given = np.asarray(values)
        if given.ndim != 2 or given.shape[1] != self.channels or len(given) > self.points:
            raise ValueError(
                f"values of shape {given.shape} must have {self.channels} channels and at most "
                f"{self.points} points: send them in several packets"
            )
        half = 1 << (self.bits - 1)
        low, high = (-half, half) if self.signed else (0, 2 * half)
        if given.size and not low <= given.min() <= given.max() < high:
            raise ValueError(f"values must lie in {low} to {high - 1}: encode the inputs")
        whole = np.zeros((self.points, self.channels), np.int64)
        whole[: len(given)] = given
        whole = whole[:, list(self.order) or slice(None)]
        return pack(whole, self.bits, self.lanes, self.beat_bytes).reshape(-1)

    def unpack(self, content: np.ndarray) -> np.ndarray:
        """int64 [points, channels] of the bytes of a packet."""
        beats = np.ascontiguousarray(content).view(np.uint8)
        if beats.size != self.size:
            raise ValueError(f"a packet has {self.size} bytes, not {beats.size}")
        values = unpack(beats.reshape(-1, self.beat_bytes), self.bits, self.signed, self.lanes)
        values = values.reshape(self.points, self.channels)
        return values[:, np.argsort(self.order)] if self.order else values


@dataclass(frozen=True)
class Record:
    """What ``host.json`` says of a design.

    Attributes:
        host: around the accelerator.
        shape: of the signal, without its channels.
        given: codes that the design takes; None: it counts through the points by itself.
        wanted: what it gives, codes, or without ``given`` the samples of the signal.
        gain, offset: value = sample / gain - offset, without ``given``.
        video: ``wanted`` is AXI4-Stream Video, for a video DMA.
    """

    host: Host
    shape: tuple[int, ...]
    given: Stream | None
    wanted: Stream
    gain: float
    offset: float
    video: bool = False

    def decode(self, received: np.ndarray) -> np.ndarray:
        """float32 values [points, channels] of what the design gave."""
        if self.given is not None:
            return self.host.decode(received)
        return (received / self.gain - self.offset).astype(np.float32)

    def to_json(self) -> str:
        """Inverse of :func:`read_record`."""
        fields = {name: value for name, value in vars(self).items() if name != "host"}
        for name in ("given", "wanted"):
            fields[name] = None if fields[name] is None else vars(fields[name])
        return json.dumps({**fields, "host": json.loads(self.host.to_json())}, indent=1) + "\n"


def read_record(folder: Path) -> Record:
    """``host.json`` of a folder; ValueError for another format."""
    fields = json.loads((folder / RECORD_FILE).read_text())
    fields |= {"host": Host.from_json(json.dumps(fields["host"])), "shape": tuple(fields["shape"])}
    for name in ("given", "wanted"):
        fields[name] = None if fields[name] is None else Stream(**fields[name])
    return Record(**fields)


def check(folder: Path) -> str:
    """Repeats the samples of ``check.npz``; ValueError if one value differs.

    It has ``inputs`` and ``codes`` of the first points, and ``received`` and ``values`` of all.
    """
    record = read_record(folder)
    samples = np.load(folder / CHECK_FILE)
    pairs = {"values": record.decode(samples["received"])}
    pairs["received"] = record.wanted.unpack(record.wanted.pack(samples["received"]))
    if record.given is not None:
        pairs["codes"] = record.host.encode(samples["inputs"])
        sent = record.given.unpack(record.given.pack(samples["codes"]))
        pairs["codes sent"] = sent[: len(samples["codes"])]
    for name, found in pairs.items():
        if not np.array_equal(found, samples[name.split()[0]]):
            raise ValueError(f"{name} of {CHECK_FILE} differ on this computer")
    return f"{len(samples['received'])} points: {', '.join(pairs)} as they must be"


if __name__ == "__main__":
    print(check(Path(__file__).resolve().parent))
