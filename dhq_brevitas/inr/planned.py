# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Layers as a plan says, and the plan that a network's layers follow: each way between the two."""

import copy
from collections.abc import Sequence
from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.inject.enum import ScalingImplType
from brevitas.quant.scaled_int import Int32Bias
from brevitas.quant_tensor import IntQuantTensor
from torch import Tensor, nn

from dhq_brevitas.inr.layer_plan import LayerPlan, LayerShape, check_plans
from dhq_brevitas.inr.layers import Layer, fold_of, layers_of, set_fold
from dhq_brevitas.nn.proxies import HadamardActQuantProxy, HadamardWeightQuantProxy
from dhq_brevitas.nn.quantizers import DHQActOfIntegers, rotated
from dhq_brevitas.nn.rotation import Rotation, Side
from dhq_brevitas.nn.scales import SCALES, Granularity, ScaleKind, scale_of

__all__ = ["linear_like", "plans_of", "quant_linear", "rotation_of", "shapes_of", "with_plans"]


def rotation_of(linear: qnn.QuantLinear) -> Rotation:
    """The rotation of a layer, as its quantizers have it."""
    proxy, taken = linear.weight_quant, linear.input_quant
    if not isinstance(proxy, HadamardWeightQuantProxy) or proxy.rotation.order == 1:
        return Rotation()
    turn = proxy.rotation
    if isinstance(taken, HadamardActQuantProxy) and turn.side == Side.INPUT:
        no_quantizer = taken.fused_activation_quant_proxy is None
        if taken.rotates_after or no_quantizer:
            return Rotation(Side.AFTER, turn.order, turn.signs, turn.signs_seed)
    return turn


def quant_linear(
    plan: LayerPlan, quantizes_input: bool = False, bias: bool = True, bias_quant: Any = Int32Bias
) -> qnn.QuantLinear:
    """The Brevitas layer of a plan, with learned scales; weights as Brevitas starts them.

    ``quantizes_input``: it is given values rather than integers, which it quantizes to the plan's
    ``act_bits`` whatever its rotation.
    """
    quantizers = SCALES[plan.scale].quantizers
    weight_quant, act_quant = quantizers[plan.granularity], quantizers["act"]
    options: dict[str, Any] = {
        "weight_bit_width": plan.weight_bits,
        "weight_scaling_impl_type": ScalingImplType.PARAMETER_FROM_STATS,
        "bias_quant": bias_quant,
    }
    if plan.rotation != Side.NONE:
        weight_quant = rotated(weight_quant)
        options["weight_hadamard_side"] = "input" if plan.rotation.of_inputs else "output"
        options["weight_hadamard_order"] = plan.order
        options["weight_hadamard_signs"] = plan.signs_seed
    if plan.rotation == Side.INPUT or quantizes_input:
        options["input_bit_width"] = plan.act_bits
        options["input_quant"] = rotated(act_quant) if plan.rotation.of_inputs else act_quant
        if plan.rotation == Side.AFTER:
            options["input_hadamard_after"] = True
    elif plan.rotation == Side.AFTER:
        options["input_quant"] = DHQActOfIntegers
    return qnn.QuantLinear(
        plan.in_features, plan.out_features, bias=bias, weight_quant=weight_quant, **options
    )


def shapes_of(layers: Sequence[Layer]) -> list[LayerShape]:
    """What a plan of these layers has to fit."""
    shapes = []
    for layer in layers:
        given = None
        if layer.feeder is None and isinstance(layer.given, IntQuantTensor):
            given = int(layer.given.bit_width)
        linear = layer.linear
        has_table = layer.activation is not None
        shapes.append(
            LayerShape(
                layer.name,
                linear.in_features,
                linear.out_features,
                has_table,
                given,
                layer.feeder,
                layer.of_inputs,
            )
        )
    return shapes


def plans_of(layers: Sequence[Layer]) -> list[LayerPlan]:
    """The plan that these layers follow.

    Raises ValueError, naming the layer, for one that no plan describes: weights without a
    quantizer, or of widths that no plan has, or a rotation whose signs have no seed.
    """
    return [_plan_of(layer) for layer in layers]


def _plan_of(layer: Layer) -> LayerPlan:
    linear = layer.linear
    proxy, turn = linear.weight_quant, rotation_of(linear)
    if not proxy.is_quant_enabled:
        raise ValueError(f"{layer.name}: its weight has no quantizer; give it a weight_quant")
    if turn.signs is not None and turn.signs_seed is None:
        raise ValueError(
            f"{layer.name}: the signs of its rotation were not drawn from a seed, so no plan can "
            "hold them; give weight_hadamard_signs a seed"
        )
    with torch.no_grad():
        taken = linear.input_quant(layer.given)
    bits: Any = getattr(layer.given if turn.side == Side.AFTER else taken, "bit_width", None)
    if turn.side == Side.AFTER and bits is None:
        bits = taken.bit_width - turn.growth
    if bits is None:
        raise ValueError(
            f"{layer.name}: its input is not quantized; let the layer before it return a quant "
            "tensor (return_quant_tensor=True), or give it an input_quant"
        )
    activation = layer.activation
    per_channel = "CHANNEL" in str(proxy.quant_injector.scaling_per_output_type)
    return LayerPlan(
        name=layer.name,
        in_features=linear.in_features,
        out_features=linear.out_features,
        rotation=turn.side,
        order=turn.order,
        weight_bits=int(proxy.tensor_quant.msb_clamp_bit_width_impl()),
        act_bits=int(bits),
        granularity=Granularity.CHANNEL if per_channel else Granularity.TENSOR,
        sine_bits=None if activation is None else int(activation.act_quant.bit_width()),
        scale=_kind(proxy.tensor_quant),
        phase_bits=None if activation is None else activation.table_bit_width,
        signs_seed=turn.signs_seed,
    )


def _kind(quantizer: Any) -> ScaleKind:
    kind = type(scale_of(quantizer))
    return next(ScaleKind(name) for name, known in SCALES.items() if known is kind)


def with_plans(model: nn.Module, plans: Sequence[LayerPlan], inputs: Tensor) -> nn.Module:
    """A copy of ``model`` whose layers, and the tables between them, are as ``plans`` say.

    Weights and biases are kept, scales are not: calibrate the copy. Raises ValueError, naming the
    layer, for plans that do not fit the layers that the model calls on ``inputs``.
    """
    layers = layers_of(model, inputs[:1])
    check_plans(plans, shapes_of(layers))
    # Only the modules that are replaced need not be copied, but a memo of them would share them.
    model = copy.deepcopy(model)
    for layer, plan in zip(layers, plans, strict=True):
        _replace(model, layer.name, linear_like(layer, plan))
        if layer.activation is not None:
            assert plan.phase_bits is not None
            assert plan.sine_bits is not None
            table = layer.activation.with_bits(plan.phase_bits, plan.sine_bits)
            _replace(model, layer.activation_name, table)
    return model.eval()


def linear_like(layer: Layer, plan: LayerPlan) -> qnn.QuantLinear:
    """``layer`` with the quantizers of ``plan``, its weights copied."""
    original = layer.linear
    bias_quant = None
    if original.bias_quant.is_quant_enabled:
        bias_quant = original.bias_quant.quant_injector
    linear = quant_linear(
        plan, not isinstance(layer.given, IntQuantTensor), original.bias is not None, bias_quant
    )
    linear.return_quant_tensor = original.return_quant_tensor
    for name, parameter in original.named_parameters(recurse=False):
        getattr(linear, name).data.copy_(parameter.data)
        getattr(linear, name).requires_grad_(parameter.requires_grad)
    set_fold(linear, fold_of(original))
    return linear.to(original.weight.device)


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
