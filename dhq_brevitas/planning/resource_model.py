# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What each way of quantizing each layer takes in hardware, before anything is quantized.

A plan takes Σ_i linear_i + table_i. ``linear_i`` depends on the layer's rotation, weight and
activation bits, with a table as the uniform network has; ``table_i`` is what another table behind
it, of other address or output bits, adds to that. Each is estimated from the integers that rounding
to nearest gives, by the operators' own methods (:mod:`dhq_brevitas.finn_flow.estimates`). For a
given rotation, what the widths of weights and of activations change is taken to add up, so that not
every pair has to be estimated. Networks 16 wide took up to 2 LUTs more or less, and up to 18 less
with a rotation of the output; plans that are quantized in earnest are estimated as they are.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from dhq_brevitas.inr.integers import LayerCodes, activation_codes, entries_per_unit
from dhq_brevitas.inr.layer_plan import LayerPlan
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.nn.scales import ScaleKind
from dhq_brevitas.nn.rotation import Side
from dhq_brevitas.nn.activations import QuantLookupActivation
from dhq_brevitas.planning.limits import Estimator, Resources
from dhq_brevitas.planning.program import given_bits
from dhq_brevitas.planning.sensitivity import Probe, Turn
from dhq_brevitas.nn.scales import FLOAT_MANTISSA_BITS, odd_mantissa

__all__ = ["Prices"]


class Prices:
    """See the module docstring.

    Args:
        probe: of the float network.
        model: its uniform quantized counterpart, unrotated, to which tables are compared.
        estimate: the resources of layers in a row.
    """

    def __init__(self, probe: Probe, model: QuantInr, estimate: Estimator) -> None:
        self.probe, self.model, self.estimate = probe, model, estimate
        self._known: dict[tuple[int, LayerPlan], Resources] = {}
        self._activations: dict[tuple[int, int | None, int | None], QuantLookupActivation] = {}

    def of(self, layers: Sequence[LayerPlan]) -> Resources:
        """The resources of a plan, about."""
        total = Resources()
        for index, layer in enumerate(layers):
            total += self.linear(index, layer) + self.table(
                index, layer.phase_bits, layer.sine_bits
            )
        return total

    def linear(self, index: int, layer: LayerPlan) -> Resources:
        """Those of one layer, its table apart."""
        uniform = self.model.plans[index]
        layer = replace(layer, phase_bits=uniform.phase_bits, sine_bits=uniform.sine_bits)
        weight = replace(layer, act_bits=uniform.act_bits)
        act = replace(layer, weight_bits=uniform.weight_bits)
        both = replace(weight, weight_bits=uniform.weight_bits)
        return self._alone(index, weight) + self._alone(index, act) - self._alone(index, both)

    def table(self, index: int, phase_bits: int | None, sine_bits: int | None) -> Resources:
        """What the table behind a layer takes more than that of the uniform network."""
        uniform = self.model.plans[index]
        other = replace(uniform, phase_bits=phase_bits, sine_bits=sine_bits)
        return self._alone(index, other) - self._alone(index, uniform)

    def _alone(self, index: int, layer: LayerPlan) -> Resources:
        key = (index, layer)
        if key not in self._known:
            self._known[key] = self.estimate([self._codes(index, layer)])[0]
        return self._known[key]

    def _codes(self, index: int, layer: LayerPlan) -> LayerCodes:
        """``layer``'s integers, with scales of least squared error, rounded to nearest."""
        turn = Turn(layer.rotation, layer.order, layer.signs_seed)
        size = layer.in_features if turn.side.of_inputs else layer.out_features
        other_scale = turn.scales(size)[1]
        signs = turn.signs(size)
        given: Any = self._given(index, layer)
        x_scale, requant = float(given.scale), None
        if turn.side == Side.INPUT:
            x_step = self.probe.act_step(index, turn, layer.act_bits, layer.scale)
            requant = x_scale * other_scale / float(_settled(x_step, layer.scale))
            x_scale = float(_settled(x_step, layer.scale))
        elif turn.side == Side.AFTER:
            x_scale = x_scale * other_scale
        step = self.probe.weight_step(
            index, turn, layer.weight_bits, layer.scale, layer.granularity
        )
        weight = self.probe.quantized_weight(
            index, turn, layer.weight_bits, layer.scale, layer.granularity, learned=False
        )
        scale = _settled(step, layer.scale).double().reshape(-1) * x_scale
        if turn.side == Side.OUTPUT:
            scale = scale * other_scale
        bias = self.probe.linears[index].bias.detach().double() * self.model.bias_factors[index]
        entries, table = 1.0, {}
        if layer.phase_bits is not None:
            activation = self._activation(index, layer)
            entries, table = entries_per_unit(activation), activation_codes(activation)
            if activation.period is not None:
                bias = bias - torch.round(bias)
        return LayerCodes(
            input_bits=int(given.bit_width),
            input_signed=bool(given.signed),
            side=turn.side,
            order=turn.order,
            signs=None if signs is None else signs.long().numpy(),
            requant=requant,
            act_bits=layer.act_bits,
            weight=torch.round(weight / step).long().numpy(),
            weight_bits=layer.weight_bits,
            scale=(scale * entries).numpy(),
            bias=(torch.round(bias / scale) * scale * entries).numpy(),
            **table,
        )

    def _given(self, index: int, layer: LayerPlan) -> Any:
        """A value of what ``layer`` is given, with its scale, width and sign."""
        if index == 0:
            return self.model[0](torch.zeros(1))
        bits = given_bits(layer.rotation, layer.act_bits)
        before = replace(self.model.plans[index - 1], sine_bits=bits)
        with torch.no_grad():
            return self._activation(index - 1, before)(torch.zeros(1))

    def _activation(self, index: int, layer: LayerPlan) -> QuantLookupActivation:
        key = (index, layer.phase_bits, layer.sine_bits)
        if key not in self._activations:
            self._activations[key] = self.model.activation_like(layer, index)
        return self._activations[key]


def _settled(step: torch.Tensor, scale: ScaleKind) -> torch.Tensor:
    """The step as post-training quantization leaves it."""
    return odd_mantissa(step, FLOAT_MANTISSA_BITS) if scale == ScaleKind.FLOAT else step
