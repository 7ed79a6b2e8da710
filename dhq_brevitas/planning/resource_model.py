# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What each way of quantizing each layer takes in hardware, before anything is quantized.

A plan takes Σ_i (linear_i + table_i) + between. ``linear_i`` depends on the layer's rotation,
weight and activation bits, with a table as the uniform network has; ``table_i`` is what another
table behind it, of other address or output bits, adds to that. Each is estimated from the integers
that rounding to nearest gives, by the operators' own methods
(:mod:`dhq_brevitas.finn_flow.estimates`). For a given rotation, what the widths of weights and of
activations change is taken to add up, so that not every pair has to be estimated. ``between``, what
joins branches, forks them and quantizes their sums, is that of the network of one cheap plan; with
wider sums it is more. Networks 16 wide took up to 2 LUTs more or less, and up to 18 less with a
rotation of the output; plans that are quantized in earnest are estimated as they are.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from brevitas.quant_tensor import IntQuantTensor

from dhq_brevitas.inr.integers import LayerCodes, codes_of
from dhq_brevitas.inr.layer_plan import LayerPlan
from dhq_brevitas.inr.layers import Layer
from dhq_brevitas.inr.planned import linear_like
from dhq_brevitas.nn.activations import QuantLookupActivation
from dhq_brevitas.planning.alternatives import given_bits
from dhq_brevitas.planning.limits import Estimator, Resources
from dhq_brevitas.planning.sensitivity import Probe
from dhq_brevitas.quantization.calibration import calibrate
from dhq_brevitas.quantization.settle import settle_scales

__all__ = ["Prices"]


class Prices:
    """See the module docstring.

    Args:
        probe: of the network without quantizers.
        layers: its layers, :attr:`uniform` the unrotated plan to whose tables others are compared.
        estimate: the resources of layers in a row.
    """

    def __init__(
        self,
        probe: Probe,
        layers: Sequence[Layer],
        uniform: Sequence[LayerPlan],
        estimate: Estimator,
    ) -> None:
        self.probe, self.layers, self.uniform, self.estimate = probe, layers, uniform, estimate
        #: What is between the layers; of a chain nothing.
        self.between = Resources()
        self._known: dict[tuple[int, LayerPlan], Resources] = {}
        self._tables: dict[tuple[int, int, int], QuantLookupActivation] = {}

    def of(self, layers: Sequence[LayerPlan]) -> Resources:
        """The resources of a plan, about."""
        total = self.between
        for index, layer in enumerate(layers):
            total += self.linear(index, layer) + self.table(
                index, layer.phase_bits, layer.sine_bits
            )
        return total

    def linear(self, index: int, layer: LayerPlan) -> Resources:
        """Those of one layer, its table apart."""
        uniform = self.uniform[index]
        layer = replace(layer, phase_bits=uniform.phase_bits, sine_bits=uniform.sine_bits)
        weight = replace(layer, act_bits=uniform.act_bits)
        act = replace(layer, weight_bits=uniform.weight_bits)
        both = replace(weight, weight_bits=uniform.weight_bits)
        return self._alone(index, weight) + self._alone(index, act) - self._alone(index, both)

    def table(self, index: int, phase_bits: int | None, sine_bits: int | None) -> Resources:
        """What the table behind a layer takes more than that of the uniform network."""
        uniform = self.uniform[index]
        other = replace(uniform, phase_bits=phase_bits, sine_bits=sine_bits)
        return self._alone(index, other) - self._alone(index, uniform)

    def _alone(self, index: int, plan: LayerPlan) -> Resources:
        key = (index, plan)
        if key not in self._known:
            self._known[key] = self.estimate([self._codes(index, plan)])[0]
        return self._known[key]

    def _codes(self, index: int, plan: LayerPlan) -> LayerCodes:
        """Integers of the layer that ``plan`` makes, with scales of least squared error."""
        layer, given = self.layers[index], self._given(index, plan)
        linear = linear_like(layer, plan).eval()
        calibrate(linear, given)
        settle_scales(linear)
        activation = None
        if plan.phase_bits is not None and plan.sine_bits is not None:
            activation = self._table(index, plan.phase_bits, plan.sine_bits)
        with torch.no_grad():
            return codes_of(replace(layer, linear=linear, given=given, activation=activation))

    def _given(self, index: int, plan: LayerPlan) -> torch.Tensor | IntQuantTensor:
        """What the layer is given by a table of the width that ``plan`` takes, [N, n]."""
        layer, x = self.layers[index], self.probe.inputs_of[index]
        if layer.feeder is None:
            if not isinstance(layer.given, IntQuantTensor):
                return x
            quantized = layer.given
            value, scale, zero, bits = x, quantized.scale, quantized.zero_point, quantized.bit_width
            return IntQuantTensor(value, scale, zero, bits, quantized.signed, False)
        phase_bits = self.uniform[layer.feeder].phase_bits
        assert phase_bits is not None
        table = self._table(layer.feeder, phase_bits, given_bits(plan.rotation, plan.act_bits))
        with torch.no_grad():
            quantizer = table.act_quant.fused_activation_quant_proxy.tensor_quant
            return IntQuantTensor(*quantizer(x), table.act_quant.is_signed, False)

    def _table(self, index: int, phase_bits: int, sine_bits: int) -> QuantLookupActivation:
        """The table behind a layer, of other widths; few of them serve many alternatives."""
        key = (index, phase_bits, sine_bits)
        if key not in self._tables:
            activation = self.layers[index].activation
            assert activation is not None
            self._tables[key] = activation.with_bits(phase_bits, sine_bits)
        return self._tables[key]
