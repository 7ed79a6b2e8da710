# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What the host computes around an accelerator that takes and gives integers only."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.general.quant import max_int, min_int
from qonnx.custom_op.general.quant import quant as int_quant

from dhq_brevitas.export.execute import one_or_all
from dhq_brevitas.finn_flow.errors import FlowError

METADATA_KEY = "dhq_host_affine"
FORMAT_VERSION = 2
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
            raise FlowError(f"operator={self.operator!r} is not one of {known}")

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
        return int(min_int(self.signed, self.narrow, self.bits))

    @property
    def high(self) -> int:
        """Highest code."""
        return int(max_int(self.signed, self.narrow, self.bits))

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Codes as int64."""
        one, zero = np.float32(1), np.float32(0)
        bits = np.array(self.bits, dtype=np.float32)
        codes = int_quant(x, one, zero, bits, self.signed, self.narrow, self.rounding)
        return codes.astype(np.int64)


@dataclass(frozen=True)
class HostInput:
    """From real numbers to the codes of one input: ``steps``, then ``quantizer``.

    ``quantizer`` None: the graph takes codes already.
    """

    steps: tuple[HostStep, ...] = ()
    quantizer: InputQuantizer | None = None

    def encode(self, inputs: np.ndarray) -> np.ndarray:
        """int64 codes of real ``inputs`` [..., channels]; FlowError if codes are no integers."""
        x = np.asarray(inputs)
        if not np.all(np.isfinite(x)):
            raise FlowError("inputs hold NaN or infinity, which have no code; remove those samples")
        if self.quantizer is None:
            codes = x.astype(np.int64)
            if np.any(codes != x):
                raise FlowError(
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


End = TypeVar("End")


def only(ends: Sequence[End], what: str) -> End:
    """The only one; FlowError if there are several."""
    if len(ends) != 1:
        raise FlowError(f"the graph has {len(ends)} {what}; ask each of them")
    return ends[0]


@dataclass(frozen=True)
class HostAffine:
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
        of arrays; FlowError if codes are no integers."""
        given = self._listed("inputs", inputs, len(self.inputs))
        return one_or_all([end.encode(x) for end, x in zip(self.inputs, given, strict=True)])

    def decode(self, codes: Any) -> Any:
        """float32 outputs of integer ``codes`` [..., channels], one or several arrays."""
        given = self._listed("codes", codes, len(self.outputs))
        return one_or_all([end.decode(x) for end, x in zip(self.outputs, given, strict=True)])

    @property
    def input_steps(self) -> tuple[HostStep, ...]:
        """Steps of the only input."""
        return only(self.inputs, "inputs").steps

    @property
    def input_quantizer(self) -> InputQuantizer | None:
        """Quantizer of the only input."""
        return only(self.inputs, "inputs").quantizer

    @property
    def output_steps(self) -> tuple[HostStep, ...]:
        """Steps of the only output."""
        return only(self.outputs, "outputs").steps

    @property
    def output_scale(self) -> np.ndarray:
        """Scale of the only output."""
        return only(self.outputs, "outputs").scale

    @property
    def output_bias(self) -> np.ndarray:
        """Bias of the only output."""
        return only(self.outputs, "outputs").bias

    @staticmethod
    def _listed(name: str, arrays: Any, count: int) -> list[Any]:
        if count == 1:
            return [arrays]
        if not isinstance(arrays, list | tuple) or len(arrays) != count:
            raise FlowError(f"{name} must be a sequence of {count} arrays")
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
    def from_json(cls, text: str) -> "HostAffine":
        """Inverse of :meth:`to_json`; FlowError for another format."""
        try:
            data = json.loads(text)
            if data["version"] != FORMAT_VERSION:
                raise FlowError(
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
            raise FlowError(
                f"the host affine cannot be read ({error}); build the model again"
            ) from error

    def save_to(self, model: ModelWrapper) -> None:
        """Writes this into the metadata of ``model``."""
        model.set_metadata_prop(METADATA_KEY, self.to_json())

    @classmethod
    def from_model(cls, model: ModelWrapper) -> "HostAffine | None":
        """The host affine in the metadata of ``model``, or None."""
        text = model.get_metadata_prop(METADATA_KEY)
        return None if text is None else cls.from_json(text)


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
