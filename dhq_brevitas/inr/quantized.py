# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The quantized counterpart of a float INR, made of ordinary Brevitas layers.

It computes what the hardware computes:

    codes -> QuantLinear -> QuantLookupActivation -> ... -> QuantLinear -> y

* Its input are integer codes (:func:`dhq_brevitas.signals.grid.grid_codes`); the coordinate step is
  folded into W_0, so nothing is lost at the input.
* Pre-activations are in units of the activation's period, or of the limit of its range: g_i and
  the unit are folded into W_i and b_i. Since whole periods do not matter, b_i of a periodic
  activation is taken to half a period on either side of 0.
* Biases are integers on the scale of the accumulator. With power-of-two or dyadic scales every
  value is then an integer times a scale, and float32 computes it exactly as long as the sums are
  small enough: see :func:`dhq_brevitas.inr.integers.exact_in_float32`.
* The last layer has no output quantizer: hardware emits its integer accumulator, the host applies
  scale and bias.

Quantization, planning and analysis treat it as any other module of Brevitas layers.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

import brevitas.nn as qnn
import torch
from torch import Tensor, nn

from dhq_brevitas.inr.families import Activation
from dhq_brevitas.inr.layer_plan import (
    MAX_COORDINATE_BITS,
    MIN_BITS,
    LayerPlan,
    LayerShape,
    check_bits,
)
from dhq_brevitas.inr.layers import Fold, fold_of, layers_of, set_fold
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.planned import plans_of, quant_linear
from dhq_brevitas.inr.quant_spec import QuantSpec, plan_layers
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.nn.activations import QuantLookupActivation
from dhq_brevitas.nn.quantizers import IntegerCodes

__all__ = ["QuantInr", "shapes_of_inr"]

MEASURED_SAMPLES = 4096
# A measured limit is rounded up to so many bits, so that the last bit of a sum does not move it.
LIMIT_MANTISSA_BITS = 5


def shapes_of_inr(spec: InrSpec, coordinate_bits: int) -> list[LayerShape]:
    """The layers ``linear0``, ``linear1``, … of a :class:`QuantInr`, without building it.

    ``coordinate_bits``: signed width of the input codes.
    """
    last = len(spec.sizes) - 1
    return [
        LayerShape(f"linear{i}", n_in, n_out, i < last, feeder=i - 1)
        if i
        else LayerShape("linear0", n_in, n_out, i < last, coordinate_bits, of_inputs=True)
        for i, (n_in, n_out) in enumerate(spec.sizes)
    ]


class QuantInr(nn.Sequential):
    """Quantized network; see the module docstring. Build it with :meth:`from_float`.

    Children: ``codes``, then ``linear0``, ``activation0``, ``linear1``, …, the last ``linear``.
    Input: codes as float32 [N, in_features], integers of ``coordinate_bits`` signed bits.
    Output: float32 [N, out_features].

    ``limits``: for each activation without period and limit of its own, half its range in units of
    gain · z; None for the others.
    """

    def __init__(
        self,
        spec: InrSpec,
        quant: QuantSpec,
        coordinate_step: float,
        coordinate_bits: int,
        limits: Sequence[float | None] | None = None,
    ) -> None:
        if not coordinate_step > 0:
            raise ValueError(f"coordinate_step={coordinate_step} must be positive")
        check_bits("coordinate_bits", coordinate_bits, MIN_BITS, MAX_COORDINATE_BITS)
        plans = plan_layers(shapes_of_inr(spec, coordinate_bits), quant)
        given = [None] * len(spec.activations) if limits is None else list(limits)
        units = [_unit(*pair) for pair in zip(spec.activations, given, strict=True)]
        gains = [a.gain / unit for a, unit in zip(spec.activations, units, strict=True)]
        steps = [coordinate_step, *[1.0] * len(gains)]
        children: OrderedDict[str, nn.Module] = OrderedDict()
        children["codes"] = qnn.QuantIdentity(
            act_quant=IntegerCodes, bit_width=coordinate_bits, return_quant_tensor=True
        )
        for index, (plan, gain, step) in enumerate(zip(plans, [*gains, 1.0], steps, strict=True)):
            children[plan.name] = quant_linear(plan)
            set_fold(children[plan.name], Fold(gain * step, gain))
            if index < len(units):
                children[f"activation{index}"] = _quant_activation(
                    plan, spec.activations[index], units[index]
                )
        super().__init__(children)
        self.spec, self.limits = spec, given
        self.coordinate_step, self.coordinate_bits = coordinate_step, coordinate_bits
        if spec.encoding is not None:
            self.linears[0].requires_grad_(False)

    @classmethod
    def from_float(
        cls,
        inr: Inr,
        quant: QuantSpec,
        coordinate_step: float,
        coordinate_bits: int,
        codes: Tensor | None = None,
    ) -> "QuantInr":
        """The quantized counterpart of a trained float network, its scales not yet calibrated.

        ``coordinate_step``: float coordinate of code 1. Without quantization the two agree:
        quantized(codes) = inr(codes · coordinate_step). ``codes``: inputs on which the ranges of
        activations without a limit are measured (rounded up to 5 bits); by default 4096 random
        ones of all that fit ``coordinate_bits``.
        """
        spec = inr.spec
        if codes is None:
            codes = _random_codes(spec.in_features, coordinate_bits)
        limits = inr.measured_limits(codes.float() * coordinate_step)
        model = cls(spec, quant, coordinate_step, coordinate_bits, [_rounded(x) for x in limits])
        with torch.no_grad():
            for index, (source, target) in enumerate(zip(inr.linears, model.linears, strict=True)):
                fold = fold_of(target)
                # In float64, so that the folded value is rounded once.
                weight = source.weight.double() * fold.weight
                bias = source.bias.double() * fold.bias
                if index < len(inr.activations) and inr.activations[index].period is not None:
                    bias = bias - torch.round(bias)
                target.weight.copy_(weight)
                target.bias.copy_(bias)
        return model

    @property
    def linears(self) -> list[qnn.QuantLinear]:
        """The linear layers in order."""
        return [module for module in self if isinstance(module, qnn.QuantLinear)]

    @property
    def plans(self) -> list[LayerPlan]:
        """The plan that the layers follow."""
        device = self.linears[0].weight.device
        return plans_of(layers_of(self, torch.zeros(1, self.spec.in_features, device=device)))


def _random_codes(features: int, bits: int) -> Tensor:
    check_bits("coordinate_bits", bits, MIN_BITS, MAX_COORDINATE_BITS)
    high = 2 ** (bits - 1)
    generator = torch.Generator().manual_seed(0)
    return torch.randint(-high, high, (MEASURED_SAMPLES, features), generator=generator)


def _rounded(limit: float | None) -> float | None:
    """``limit`` rounded up to LIMIT_MANTISSA_BITS bits."""
    if limit is None:
        return None
    mantissa, exponent = math.frexp(limit)
    steps = math.ceil(mantissa * 2**LIMIT_MANTISSA_BITS)
    return math.ldexp(max(steps, 1), exponent - LIMIT_MANTISSA_BITS)


def _unit(activation: Activation, measured: float | None) -> float:
    unit = activation.period or activation.limit or measured
    if unit is None:
        raise ValueError(
            "limits: this family's activations have no range of their own; measure it with "
            "Inr.measured_limits, or use QuantInr.from_float, which does"
        )
    return unit


def _quant_activation(
    plan: LayerPlan, activation: Activation, unit: float
) -> QuantLookupActivation:
    """The table of an activation whose input is in units of ``unit``."""
    assert plan.phase_bits is not None
    assert plan.sine_bits is not None
    return QuantLookupActivation(
        partial(_of_units, activation.fn, unit),
        period=None if activation.period is None else 1.0,
        limit=1.0 if activation.period is None else None,
        table_bit_width=plan.phase_bits,
        bit_width=plan.sine_bits,
        return_quant_tensor=True,
    )


def _of_units(fn: Callable[[Tensor], Tensor], unit: float, t: Tensor) -> Tensor:
    return fn(t * unit)
