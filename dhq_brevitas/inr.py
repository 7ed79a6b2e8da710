# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""SIREN networks (Sitzmann et al., 2020, arXiv:2006.09661), float and quantized.

Both are built from one description.

The float network maps coordinates x to samples:

    z_0 = x,  z_{i+1} = sin(ω_i (W_i z_i + b_i)),  y = W_L z_L + b_L.

The quantized one is made of ordinary Brevitas layers and computes what the hardware computes:

    pixel codes -> QuantLinear -> QuantSine -> ... -> QuantLinear -> y

* Its input are the integer codes of :func:`dhq_brevitas.signals.pixel_codes`; the coordinate step
  is folded into W_0, so nothing is lost at the input.
* Pre-activations are in turns: ω_i/2π is folded into W_i and b_i, and since whole turns do not
  matter, b_i is taken to [-1/2, 1/2].
* Biases are integers on the scale of the accumulator. With power-of-two or dyadic scales every
  value is then an integer times a scale, and float32 computes it exactly as long as the sums are
  small enough: see :meth:`QuantSiren.exact_in_float32`.
* The last layer has no output quantizer: hardware emits its integer accumulator, the host applies
  scale and bias.
"""

import itertools
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.inject.enum import ScalingImplType
from brevitas.quant.fixed_point import (
    Int8WeightPerChannelFixedPoint,
    Int8WeightPerTensorFixedPoint,
)
from brevitas.quant.scaled_int import Int8WeightPerChannelFloat, Int8WeightPerTensorFloat, Int32Bias
from brevitas.quant_tensor import IntQuantTensor
from torch import Tensor, nn

from dhq_brevitas import quantizers
from dhq_brevitas.activations import MAX_PHASE_BITS, MIN_PHASE_BITS, QuantSine
from dhq_brevitas.hadamard import largest_order

__all__ = [
    "FAMILIES",
    "Granularity",
    "LayerPlan",
    "QuantSiren",
    "QuantSpec",
    "ScaleKind",
    "Scheme",
    "Side",
    "Siren",
    "SirenSpec",
    "plan_layers",
]

MIN_BITS, MAX_BITS = 2, 12
MAX_LAYERS = 5
# A rotated activation is quantized a second time; two more bits before the rotation make the first
# quantization negligible, and cost hardware only a wider table.
EXTRA_SINE_BITS = 2


class Scheme(StrEnum):
    """``dhq``: Hadamard-rotated quantizers where a rotation applies; ``stock``: none."""

    DHQ = "dhq"
    STOCK = "stock"


class ScaleKind(StrEnum):
    """Quantizer scales: ``po2`` 2^e, ``dyadic`` m·2^e with a short m, ``float`` unrestricted."""

    PO2 = "po2"
    DYADIC = "dyadic"
    FLOAT = "float"


class Granularity(StrEnum):
    """Weight scales: one a tensor or one an output channel."""

    TENSOR = "tensor"
    CHANNEL = "channel"


class Side(StrEnum):
    """Where a layer is rotated; see :mod:`dhq_brevitas.proxies`."""

    INPUT = "input"
    OUTPUT = "output"
    NONE = "none"


@dataclass(frozen=True)
class SirenSpec:
    """Shape of a SIREN.

    Attributes:
        hidden: width of every sine layer.
        layers: number of sine layers, 1 to 5; a linear layer follows.
        in_features: coordinates, out_features: samples (3 for RGB, 1 for grey).
        omega_first, omega_hidden: ω_0 and ω_i of the other sine layers.
    """

    hidden: int = 128
    layers: int = 3
    in_features: int = 2
    out_features: int = 3
    omega_first: float = 30.0
    omega_hidden: float = 30.0

    def __post_init__(self) -> None:
        for name in ("hidden", "in_features", "out_features"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        if not 1 <= self.layers <= MAX_LAYERS:
            raise ValueError(f"layers={self.layers} is out of range: use 1 to {MAX_LAYERS}")
        for name in ("omega_first", "omega_hidden"):
            omega = getattr(self, name)
            if not (math.isfinite(omega) and omega > 0):
                raise ValueError(f"{name}={omega} must be a positive number (30 is usual)")

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(in_features, out_features) of every linear layer."""
        widths = [self.in_features, *[self.hidden] * self.layers, self.out_features]
        return list(itertools.pairwise(widths))

    @property
    def omegas(self) -> list[float]:
        """ω of every sine layer."""
        return [self.omega_first] + [self.omega_hidden] * (self.layers - 1)


@dataclass(frozen=True)
class QuantSpec:
    """How a network is quantized.

    Attributes:
        scheme, scale, granularity: see the enumerations.
        weight_bits: of all layers but the first and the last, 2 to 12.
        act_bits: of the activations that are multiplied, 2 to 12.
        first_weight_bits: own width of the first layer. It has few weights, which ω_0 amplifies: at
            8 bits it alone costs a picture 1 to 8 dB, at 12 next to nothing.
        last_weight_bits: own width of the last layer; None: as ``weight_bits``.
        phase_bits: the sine's table has 2^phase_bits entries, 4 to 16.
        sine_bits: sine output ahead of an input rotation, which is followed by the ``act_bits``
            quantizer; None: ``act_bits`` + 2, at most 12.
        rotation: side on which the layers are rotated (scheme ``dhq``). One value holds for every
            layer but the first, which has two inputs, and skips layers whose axis is odd; a tuple
            names the side of each layer.
        signs_seed: None for the plain transform, or the seed of random ±1 signs.
    """

    scheme: Scheme = Scheme.DHQ
    scale: ScaleKind = ScaleKind.PO2
    granularity: Granularity = Granularity.CHANNEL
    weight_bits: int = 8
    act_bits: int = 8
    first_weight_bits: int = 12
    last_weight_bits: int | None = None
    phase_bits: int = 12
    sine_bits: int | None = None
    rotation: Side | tuple[Side, ...] = Side.INPUT
    signs_seed: int | None = None

    def __post_init__(self) -> None:
        convert = {"scheme": Scheme, "scale": ScaleKind, "granularity": Granularity}
        for name, kind in convert.items():
            object.__setattr__(self, name, _member(kind, name, getattr(self, name)))
        if isinstance(self.rotation, str):
            rotation: Any = _member(Side, "rotation", self.rotation)
        else:
            rotation = tuple(_member(Side, "rotation", side) for side in self.rotation)
        object.__setattr__(self, "rotation", rotation)
        for name in (
            "weight_bits",
            "act_bits",
            "first_weight_bits",
            "last_weight_bits",
            "sine_bits",
        ):
            _check_bits(name, getattr(self, name), MIN_BITS, MAX_BITS)
        _check_bits("phase_bits", self.phase_bits, MIN_PHASE_BITS, MAX_PHASE_BITS)


def _member(kind: type[StrEnum], name: str, value: str) -> StrEnum:
    try:
        return kind(value)
    except ValueError:
        choices = ", ".join(repr(str(member)) for member in kind)
        raise ValueError(f"{name}={value!r} is unknown: use {choices}") from None


def _check_bits(name: str, bits: int | None, low: int, high: int) -> None:
    if bits is not None and not low <= bits <= high:
        raise ValueError(f"{name}={bits} is out of range: use {low} to {high} bits")


@dataclass(frozen=True)
class LayerPlan:
    """What becomes of one linear layer.

    ``order`` is the block size of the rotation (1: none); ``act_bits`` the width of the integers
    the weights are multiplied with; ``sine_bits`` that of the sine after the layer (None: last
    layer).
    """

    name: str
    in_features: int
    out_features: int
    rotation: Side
    order: int
    weight_bits: int
    act_bits: int
    granularity: Granularity
    sine_bits: int | None


def plan_layers(spec: SirenSpec, quant: QuantSpec, coordinate_bits: int) -> list[LayerPlan]:
    """One plan a linear layer. ``coordinate_bits``: signed width of the pixel codes.

    Raises ValueError if ``quant.rotation`` names a side for a layer that has no rotation there (odd
    size), does not have one entry a layer, or if no layer at all can be rotated.
    """
    sides = _sides(spec, quant)
    last = len(sides) - 1
    plans = []
    for index, ((n_in, n_out), side) in enumerate(zip(spec.sizes, sides, strict=True)):
        weight_bits = quant.weight_bits
        if index == 0:
            weight_bits = quant.first_weight_bits
        elif index == last:
            weight_bits = quant.last_weight_bits or quant.weight_bits
        sine_bits = None
        if index < last:
            sine_bits = quant.act_bits
            if sides[index + 1] == Side.INPUT:
                sine_bits = quant.sine_bits or min(quant.act_bits + EXTRA_SINE_BITS, MAX_BITS)
        plans.append(
            LayerPlan(
                name=f"linear{index}",
                in_features=n_in,
                out_features=n_out,
                rotation=side,
                order=_order(n_in, n_out, side),
                weight_bits=weight_bits,
                act_bits=coordinate_bits if index == 0 and side != Side.INPUT else quant.act_bits,
                # An output-side rotation mixes the channels, so their scales must be one.
                granularity=Granularity.TENSOR if side == Side.OUTPUT else quant.granularity,
                sine_bits=sine_bits,
            )
        )
    return plans


def _sides(spec: SirenSpec, quant: QuantSpec) -> list[Side]:
    sizes = spec.sizes
    if quant.scheme == Scheme.STOCK:
        return [Side.NONE] * len(sizes)
    if isinstance(quant.rotation, Side):
        side = quant.rotation
        sides = [Side.NONE] + [
            side if _order(n_in, n_out, side) > 1 else Side.NONE for n_in, n_out in sizes[1:]
        ]
        if side != Side.NONE and not any(s != Side.NONE for s in sides):
            raise ValueError(
                f"rotation={str(side)!r} applies to no layer of sizes {sizes}: "
                f"hidden={spec.hidden} must be even (a Hadamard block is a power of two), or use "
                "scheme='stock'"
            )
        return sides
    if len(quant.rotation) != len(sizes):
        raise ValueError(
            f"rotation has {len(quant.rotation)} entries, the network {len(sizes)} linear layers"
        )
    for index, ((n_in, n_out), side) in enumerate(zip(sizes, quant.rotation, strict=True)):
        if side != Side.NONE and _order(n_in, n_out, side) == 1:
            size = n_in if side == Side.INPUT else n_out
            raise ValueError(
                f"linear{index} has no {side}-side rotation: its size {size} is odd; use 'none' "
                "there"
            )
    return list(quant.rotation)


def _order(n_in: int, n_out: int, side: Side) -> int:
    return 1 if side == Side.NONE else largest_order(n_in if side == Side.INPUT else n_out)


class Siren(nn.Module):
    """Float SIREN: coordinates float32 [N, in_features] in [-1, 1] to [N, out_features].

    Initialised as in the paper, section 3.2: W_0 uniform in ±1/n, the others in ±√(6/n)/ω (the last
    with ω_hidden, too), biases uniform in ±1/√n; ``seed`` makes it reproducible.
    """

    def __init__(self, spec: SirenSpec, seed: int = 0) -> None:
        super().__init__()
        self.spec = spec
        generator = torch.Generator().manual_seed(seed)
        linears = []
        for index, (n_in, n_out) in enumerate(spec.sizes):
            # Without PyTorch's own initialisation, which would draw from the global generator.
            linear = nn.utils.skip_init(nn.Linear, n_in, n_out)
            weight_bound = 1 / n_in if index == 0 else math.sqrt(6 / n_in) / spec.omega_hidden
            bias_bound = 1 / math.sqrt(n_in)
            with torch.no_grad():
                linear.weight.uniform_(-weight_bound, weight_bound, generator=generator)
                linear.bias.uniform_(-bias_bound, bias_bound, generator=generator)
            linears.append(linear)
        self.layers = nn.ModuleList(linears)

    @property
    def linears(self) -> list[nn.Linear]:
        """The linear layers in order."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def forward(self, coordinates: Tensor) -> Tensor:
        x = coordinates
        *hidden, last = self.layers
        for linear, omega in zip(hidden, self.spec.omegas, strict=True):
            x = torch.sin(omega * linear(x))
        return last(x)


class QuantSiren(nn.Sequential):
    """Quantized SIREN; see the module docstring. Build it with :meth:`from_float`.

    Children: ``codes``, then ``linear0``, ``sine0``, ``linear1``, …, the last ``linear``.
    Input: pixel codes as float32 [N, in_features], integers of ``coordinate_bits`` signed bits.
    Output: float32 [N, out_features].

    Attributes: ``spec``, ``quant``, ``plans`` (one LayerPlan a linear layer), and ``fold_factors``
    (what the weights of each linear layer were multiplied with).
    """

    def __init__(
        self, spec: SirenSpec, quant: QuantSpec, coordinate_step: float, coordinate_bits: int
    ) -> None:
        if not coordinate_step > 0:
            raise ValueError(f"coordinate_step={coordinate_step} must be positive")
        _check_bits("coordinate_bits", coordinate_bits, 2, 16)
        plans = plan_layers(spec, quant, coordinate_bits)
        children: OrderedDict[str, nn.Module] = OrderedDict()
        children["codes"] = qnn.QuantIdentity(
            act_quant=quantizers.IntegerCodes, bit_width=coordinate_bits, return_quant_tensor=True
        )
        for index, plan in enumerate(plans):
            children[plan.name] = _quant_linear(index, plan, quant)
            if plan.sine_bits is not None:
                children[f"sine{index}"] = QuantSine(
                    phase_bit_width=quant.phase_bits,
                    period=1.0,
                    bit_width=plan.sine_bits,
                    return_quant_tensor=True,
                )
        super().__init__(children)
        self.spec, self.quant, self.plans = spec, quant, plans
        turns = [omega / (2 * math.pi) for omega in spec.omegas]
        self.fold_factors = [turns[0] * coordinate_step, *turns[1:], 1.0]
        self.bias_factors = [*turns, 1.0]

    @classmethod
    def from_float(
        cls, siren: Siren, quant: QuantSpec, coordinate_step: float, coordinate_bits: int
    ) -> "QuantSiren":
        """The quantized counterpart of a trained float network, its scales not yet calibrated.

        ``coordinate_step``: float coordinate of code 1. Without quantization the two agree:
        quantized(codes) = siren(codes · coordinate_step).
        """
        model = cls(siren.spec, quant, coordinate_step, coordinate_bits)
        with torch.no_grad():
            for index, (source, target) in enumerate(
                zip(siren.linears, model.linears, strict=True)
            ):
                # In float64, so that the folded value is rounded once.
                weight = source.weight.double() * model.fold_factors[index]
                bias = source.bias.double() * model.bias_factors[index]
                if index < len(model.linears) - 1:
                    bias = bias - torch.round(bias)
                target.weight.copy_(weight)
                target.bias.copy_(bias)
        return model

    @property
    def linears(self) -> list[qnn.QuantLinear]:
        """The linear layers in order."""
        return [self.get_submodule(plan.name) for plan in self.plans]

    def integer_layers(self, codes: Tensor) -> list["IntegerLayer"]:
        """Integers that every linear layer multiplies in evaluation mode, for input ``codes``.

        The model must be calibrated; it is left in the mode it was in.
        """
        training = self.training
        self.eval()
        layers: list[IntegerLayer] = []
        try:
            with torch.no_grad():
                x: Any = codes
                for module in self:
                    if isinstance(module, qnn.QuantLinear):
                        layers.append(_integer_layer(module, x))
                    x = module(x)
        finally:
            self.train(training)
        return layers

    def accumulators(self, codes: Tensor) -> Tensor:
        """Output codes: the last layer's integer sums before bias and scale, int64 [N, out].

        They are what the hardware emits; the output is accumulator · scale + bias.
        """
        return self.integer_layers(codes)[-1].accumulators()

    def accumulator_bits(self, codes: Tensor) -> list[int]:
        """Signed bits that hold every partial sum and the bias of each linear layer."""
        return [int(layer.bound().max()).bit_length() + 1 for layer in self.integer_layers(codes)]

    def exact_in_float32(self, codes: Tensor) -> bool:
        """Whether float32 evaluates this network exactly, whatever the order of its sums.

        A sum is exact if its bound, in units of the power of two that divides its scale, is at most
        2^24. Power-of-two scales leave accumulators of 25 bits, dyadic scales fewer by the bits of
        their mantissas, float scales none.
        """
        return all(layer.float32_units() <= 2**24 for layer in self.integer_layers(codes))


@dataclass(frozen=True)
class IntegerLayer:
    """A linear layer as integers, in float64: x [N, n], weight [m, n], bias [m], scale [1 or m].

    The layer's output is scale · (x Wᵀ + bias).
    """

    x: Tensor
    weight: Tensor
    bias: Tensor
    scale: Tensor

    def accumulators(self) -> Tensor:
        """x Wᵀ as int64 [N, m]; exact, since float64 carries 53 bits."""
        return (self.x @ self.weight.T).to(torch.int64)

    def bound(self) -> Tensor:
        """Σ|w|·max|x| + |bias| for each output, float64 [m]: no partial sum exceeds it."""
        return self.weight.abs().sum(dim=1) * self.x.abs().max() + self.bias.abs()

    def float32_units(self) -> float:
        """Largest bound in units of the power of two that divides its scale."""
        mantissa = (torch.frexp(self.scale)[0] * 2.0**53).to(torch.int64)
        odd_part = mantissa // (mantissa & -mantissa)
        return float((self.bound() * odd_part).max())


def _integer_layer(layer: qnn.QuantLinear, inputs: Any) -> IntegerLayer:
    x = layer.input_quant(inputs)
    weight = layer.quant_weight(x)
    bias = layer.bias_quant(layer.bias, x, weight)
    return IntegerLayer(_codes(x), _codes(weight), _codes(bias), bias.scale.double().reshape(-1))


def _codes(tensor: IntQuantTensor) -> Tensor:
    return torch.round(tensor.value.double() / tensor.scale.double())


def _quant_linear(index: int, plan: LayerPlan, quant: QuantSpec) -> qnn.QuantLinear:
    """The Brevitas layer of a plan, with learned scales and an integer bias on their product."""
    kind = {ScaleKind.PO2: "FixedPoint", ScaleKind.DYADIC: "Dyadic", ScaleKind.FLOAT: "Float"}
    suffix = f"Per{plan.granularity.capitalize()}{kind[quant.scale]}"
    options: dict[str, Any] = {
        "weight_bit_width": plan.weight_bits,
        "weight_scaling_impl_type": ScalingImplType.PARAMETER_FROM_STATS,
        "bias_quant": Int32Bias,
    }
    if plan.rotation == Side.NONE:
        options["weight_quant"] = _STOCK_WEIGHTS[f"Weight{suffix}"]
    else:
        options["weight_quant"] = getattr(quantizers, f"Int8DHQWeight{suffix}")
        options["weight_hadamard_side"] = str(plan.rotation)
        if quant.signs_seed is not None:
            options["weight_hadamard_signs"] = quant.signs_seed + index
    if plan.rotation == Side.INPUT:
        options["input_quant"] = getattr(quantizers, f"Int8DHQActPerTensor{kind[quant.scale]}")
        options["input_bit_width"] = plan.act_bits
    return qnn.QuantLinear(plan.in_features, plan.out_features, bias=True, **options)


_STOCK_WEIGHTS = {
    "WeightPerTensorFixedPoint": Int8WeightPerTensorFixedPoint,
    "WeightPerChannelFixedPoint": Int8WeightPerChannelFixedPoint,
    "WeightPerTensorDyadic": quantizers.Int8WeightPerTensorDyadic,
    "WeightPerChannelDyadic": quantizers.Int8WeightPerChannelDyadic,
    "WeightPerTensorFloat": Int8WeightPerTensorFloat,
    "WeightPerChannelFloat": Int8WeightPerChannelFloat,
}


@dataclass(frozen=True)
class Family:
    """An INR family the command line can build: its description, float and quantized network."""

    spec: Callable[..., Any]
    float_network: Callable[..., nn.Module]
    quant_network: Callable[..., nn.Module]


FAMILIES: dict[str, Family] = {"siren": Family(SirenSpec, Siren, QuantSiren)}
