# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What a quantized network becomes in hardware, as far as its size depends on it.

:class:`LayerCodes` are the integers of one linear layer and of the activation behind it. From them
:mod:`dhq_brevitas.finn_flow.estimates` makes the hardware layers and asks them what they take,
which :class:`Resources` hold. Nothing here needs FINN.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import brevitas.nn as qnn
import numpy as np
import torch
from torch import Tensor

from dhq_brevitas.activations import QuantLookupActivation
from dhq_brevitas.inr import QuantInr
from dhq_brevitas.options import BuildOptions
from dhq_brevitas.proxies import HadamardWeightQuantProxy
from dhq_brevitas.specs import Side

__all__ = [
    "LIMITED",
    "Estimator",
    "Hardware",
    "LayerCodes",
    "Limits",
    "Resources",
    "activation_codes",
    "entries_per_unit",
    "layer_codes",
]


LIMITED = ("lut", "dsp", "bram18", "uram")


@dataclass(frozen=True)
class Resources:
    """Estimates of FINN's and our operators; ``cycles`` a sample, of the slowest one."""

    lut: int = 0
    dsp: int = 0
    bram18: int = 0
    uram: int = 0
    cycles: int = 0

    def __add__(self, other: "Resources") -> "Resources":
        """Both in one pipeline."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in LIMITED}
        return Resources(**sums, cycles=max(self.cycles, other.cycles))

    def __sub__(self, other: "Resources") -> "Resources":
        """How much more of each; ``cycles`` of this one."""
        return Resources(
            **{name: getattr(self, name) - getattr(other, name) for name in LIMITED},
            cycles=self.cycles,
        )


@dataclass(frozen=True)
class Limits:
    """At most so many of each resource for the whole network, None: any number; in such a build.

    ValueError for a limit below zero, or cycles or a part that no build can have.
    """

    lut: int | None = None
    dsp: int | None = None
    bram18: int | None = None
    uram: int | None = None
    cycles_per_sample: int = BuildOptions.cycles_per_sample
    fpga_part: str = BuildOptions.fpga_part

    def __post_init__(self) -> None:
        for name, limit in self.given().items():
            if type(limit) is not int or limit < 0:
                raise ValueError(f"max_{name}={limit!r} must be an integer of at least 0")
        if type(self.cycles_per_sample) is not int or self.cycles_per_sample < 1:
            raise ValueError(f"cycles_per_sample={self.cycles_per_sample!r} must be at least 1")
        if not str(self.fpga_part).startswith("xc"):
            raise ValueError(
                f"fpga_part={self.fpga_part!r} is no FPGA part, as {BuildOptions.fpga_part} is one"
            )

    @property
    def build(self) -> str:
        """The build they are for, in words."""
        return f"{self.cycles_per_sample} cycles a sample on {self.fpga_part}"

    def given(self) -> dict[str, int]:
        """Those that are set, by the name in :class:`Resources`."""
        limits = {name: getattr(self, name) for name in LIMITED}
        return {name: limit for name, limit in limits.items() if limit is not None}

    def exceeded(self, resources: Resources) -> dict[str, int]:
        """By how much ``resources`` exceed those that they do not keep to."""
        excess = {name: getattr(resources, name) - limit for name, limit in self.given().items()}
        return {name: more for name, more in excess.items() if more > 0}

    def hold(self, resources: Resources) -> bool:
        """Whether ``resources`` keep to them."""
        return not self.exceeded(resources)


@dataclass(frozen=True, eq=False)
class LayerCodes:
    """A linear layer and the activation behind it as integers.

    Attributes:
        input_bits, input_signed: datatype of the stream that comes in.
        side, order, signs: of the rotation; signs ±1, int64 [size], or None.
        requant: for an input rotation, what its unnormalised integers are multiplied with before
            they are rounded to ``act_bits`` signed bits.
        weight: codes, int64 [m, n], rotated where the layer rotates them.
        weight_bits: their width.
        scale, bias: float64 [1 or m] and [m]: accumulator · scale + bias (the accumulator behind an
            output rotation) is a position in units of table entries.
        table: codes of the activation, int64 [2^P]; None for the last layer.
        periodic: the position wraps around; else the table's middle is position 0, and it clips.
        output_bits, output_signed: datatype of the table.
    """

    input_bits: int
    input_signed: bool
    side: Side
    order: int
    signs: np.ndarray | None
    requant: float | None
    act_bits: int
    weight: np.ndarray
    weight_bits: int
    scale: np.ndarray
    bias: np.ndarray
    table: np.ndarray | None = None
    periodic: bool = True
    output_bits: int = 0
    output_signed: bool = True


Estimator = Callable[[Sequence[LayerCodes]], list[Resources]]


@dataclass(frozen=True)
class Hardware:
    """What a plan's network may take, and who says what it takes."""

    limits: Limits
    estimate: Estimator

    def exceeded(self, model: QuantInr) -> str:
        """What a network takes beyond the limits, in words; "" if it keeps to them."""
        total = sum(self.estimate(layer_codes(model)), Resources())
        limits = self.limits.given()
        return ", ".join(
            f"{limits[name] + more} {name}, not {limits[name]}"
            for name, more in self.limits.exceeded(total).items()
        )


def activation_codes(activation: QuantLookupActivation) -> dict[str, Any]:
    """``table``, ``periodic``, ``output_bits``, ``output_signed`` of :class:`LayerCodes`."""
    bits = activation.table_bit_width
    positions = torch.arange(2**bits, dtype=torch.float32) * 2.0**-bits
    if activation.period is None:
        positions = 2 * positions - 1
    with torch.no_grad():
        output: Any = activation(positions * activation.unit)
    return {
        "table": _integers(output.value, output.scale),
        "periodic": activation.period is not None,
        "output_bits": int(output.bit_width),
        "output_signed": bool(output.signed),
    }


@torch.no_grad()
def layer_codes(model: QuantInr) -> list[LayerCodes]:
    """Those of every layer of a network after post-training quantization."""
    training = model.training
    model.eval()
    x: Any = model[0](torch.zeros(1, model.spec.in_features))
    result = []
    try:
        for index, (plan, linear) in enumerate(zip(model.plans, model.linears, strict=True)):
            last = index == len(model.plans) - 1
            activation = None if last else model.get_submodule(f"activation{index}")
            result.append(_codes_of(plan, linear, activation, x))
            if activation is not None:
                x = activation(linear(x))
    finally:
        model.train(training)
    return result


def _codes_of(plan: Any, linear: qnn.QuantLinear, activation: Any, given: Any) -> LayerCodes:
    taken = linear.input_quant(given)
    proxy, weight = linear.weight_quant, linear.weight.detach()
    rotation = proxy.rotation if isinstance(proxy, HadamardWeightQuantProxy) else None
    signs = None
    scale = taken.scale.double()
    if rotation is not None:
        weight = proxy.rotate_weight(weight)
        if proxy.hadamard_signs is not None:
            signs = proxy.hadamard_signs.numpy().astype(np.int64)
        if plan.rotation == Side.OUTPUT:
            scale = scale * rotation.other_scale
    requant = None
    if rotation is not None and plan.rotation == Side.INPUT:
        requant = float(given.scale.double() * rotation.other_scale / taken.scale.double())
    value, step, *_ = proxy.tensor_quant(weight)
    bias = linear.bias_quant(linear.bias, taken, linear.quant_weight(taken)).value
    entries = 1.0 if activation is None else entries_per_unit(activation)
    return LayerCodes(
        input_bits=int(given.bit_width),
        input_signed=bool(given.signed),
        side=plan.rotation,
        order=plan.order,
        signs=signs,
        requant=requant,
        act_bits=plan.act_bits,
        weight=_integers(value, step),
        weight_bits=plan.weight_bits,
        scale=(scale * step.double() * entries).numpy().reshape(-1),
        bias=(bias.double() * entries).numpy(),
        **({} if activation is None else activation_codes(activation)),
    )


def entries_per_unit(activation: QuantLookupActivation) -> float:
    """Table entries that one unit of the activation's input spans."""
    bits = activation.table_bit_width
    return 2.0 ** (bits if activation.period is not None else bits - 1) / activation.unit


def _integers(value: Tensor, step: Tensor) -> np.ndarray:
    return torch.round(value.double() / step.double()).numpy().astype(np.int64)
