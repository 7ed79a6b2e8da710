# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Explicit plans, one a linear layer: what is accepted, what is refused, what is built."""

from dataclasses import replace

import pytest
import torch
from brevitas.core.restrict_val import PowerOfTwoRestrictValue

from dhq_brevitas.inr.integers import layer_codes
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec, plan_layers
from dhq_brevitas.inr.quantized import QuantInr, shapes_of_inr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.nn.proxies import HadamardWeightQuantProxy
from dhq_brevitas.quantization.calibration import calibrate
from dhq_brevitas.signals.pictures import pixel_codes

SPEC = InrSpec(hidden=16, layers=2, out_features=3)
CODES = torch.from_numpy(pixel_codes(8, 8)).float()


def plans(**quant):
    return plan_layers(shapes_of_inr(SPEC, 4), QuantSpec(**quant))


def changed(index, **values):
    layers = plans(scheme="stock")
    layers[index] = replace(layers[index], **values)
    return QuantSpec(layers=tuple(layers))


def test_explicit_plans_replace_the_other_options():
    layers = tuple(plans(weight_bits=5, act_bits=7, signs_seed=3))
    assert plan_layers(shapes_of_inr(SPEC, 4), QuantSpec(weight_bits=2, layers=layers)) == list(
        layers
    )
    assert [plan.signs_seed for plan in layers] == [None, 4, 5]
    assert [plan.weights for plan in layers] == [32, 256, 48]


def test_every_layer_is_built_as_its_own_plan_says():
    layers = plans(scheme="stock", scale="float", act_bits=7)
    layers[0] = replace(layers[0], phase_bits=9)
    layers[1] = replace(
        layers[1], rotation="input", order=8, act_bits=6, scale="po2", signs_seed=5, weight_bits=3
    )
    model = QuantInr.from_float(Inr(SPEC), QuantSpec(layers=tuple(layers)), 1 / 4, 4)
    calibrate(model, CODES)
    first, middle, last = model.linears
    assert [layer.weight_quant.bit_width() for layer in model.linears] == [12, 3, 8]
    assert [isinstance(x.weight_quant, HadamardWeightQuantProxy) for x in model.linears] == [
        False,
        True,
        False,
    ]
    assert middle.weight_quant.rotation.order == 8
    assert middle.weight_quant.hadamard_signs is not None
    powers = [
        any(isinstance(m, PowerOfTwoRestrictValue) for m in layer.weight_quant.modules())
        for layer in (first, middle, last)
    ]
    assert powers == [False, True, False]
    assert [model.activation0.table_bit_width, model.activation1.table_bit_width] == [9, 12]
    assert layer_codes(model, CODES)[1].x.abs().max() <= 32


@pytest.mark.parametrize(
    ("index", "values", "message"),
    [
        (1, {"rotation": "sideways"}, "linear1: rotation='sideways' is unknown"),
        (1, {"rotation": "input", "order": 32}, "linear1: order=32 must be a power of two that"),
        (1, {"rotation": "input", "order": 1}, "linear1: order=1 must be a power of two"),
        (
            2,
            {"rotation": "output", "order": 2, "granularity": "tensor"},
            "linear2: rotation='output'",
        ),
        (1, {"rotation": "output", "order": 16}, "linear1: an output rotation mixes"),
        (0, {"order": 2}, "linear0: order=2 without a rotation must be 1"),
        (0, {"weight_bits": 1}, "linear0: weight_bits=1 is out of range"),
        (0, {"phase_bits": None}, "linear0: sine_bits and phase_bits must both be"),
    ],
)
def test_a_layer_plan_that_contradicts_itself_is_refused(index, values, message):
    with pytest.raises(ValueError, match=message):
        changed(index, **values)


@pytest.mark.parametrize(
    ("index", "values", "message"),
    [
        (1, {"in_features": 8}, "linear1: the plan is for 8 inputs and 16 outputs, the network's"),
        (1, {"name": "hidden"}, "layer 1 of the plan is 'hidden', not 'linear1'"),
        (1, {"act_bits": 9}, "linear1: act_bits=9 must be 8, the width of what the layer is given"),
        (0, {"act_bits": 5}, "linear0: act_bits=5 must be 4"),
        (2, {"sine_bits": 8, "phase_bits": 9}, "linear2: sine_bits=8, but every layer except"),
    ],
)
def test_plans_that_do_not_fit_the_network_are_refused(index, values, message):
    with pytest.raises(ValueError, match=message):
        plan_layers(SPEC, changed(index, **values), 4)


def test_a_plan_for_another_depth_is_refused():
    with pytest.raises(ValueError, match="the plan has 2 layers, the network has 3 linear layers"):
        plan_layers(SPEC, QuantSpec(layers=tuple(plans()[:2])), 4)


def test_a_seed_of_signs_is_not_negative():
    with pytest.raises(ValueError, match="signs_seed=-1 must be at least 0"):
        QuantSpec(signs_seed=-1)
