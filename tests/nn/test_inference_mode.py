# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Brevitas's quant_inference_mode on DHQ quantizers."""

import brevitas.nn as qnn
import pytest
import torch
from brevitas.export.inference.manager import quant_inference_mode
from brevitas.quant.scaled_int import Int32Bias

import dhq_brevitas.nn.quantizers as q
from networks import grid_codes, outputs_of, sine_network

LAYERS = {
    "input": {"weight_quant": q.Int8DHQWeightPerChannelFixedPoint},
    "signs": {"weight_quant": q.Int8DHQWeightPerChannelFloat, "weight_hadamard_signs": 3},
    "after": {
        "weight_quant": q.Int8DHQWeightPerChannelFixedPoint,
        "input_hadamard_after": True,
    },
    "output": {
        "weight_quant": q.Int8DHQWeightPerTensorFixedPoint,
        "weight_hadamard_side": "output",
        "input_quant": q.Int8ActPerTensorDyadic,
    },
}


def layer(kind):
    torch.manual_seed(0)
    options = {"input_quant": q.Int8DHQActPerTensorFixedPoint, **LAYERS[kind]}
    module = qnn.QuantLinear(
        16, 8, bias=True, bias_quant=Int32Bias, input_collect_stats_steps=1, **options
    )
    x = torch.randn(50, 16)
    with torch.no_grad():
        module(x)
        module(x)
    return module.eval(), x


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_outputs_are_the_same(kind, cached):
    module, x = layer(kind)
    expected = outputs_of(module, x)
    with torch.no_grad(), quant_inference_mode(module, cache_quant_weight=cached):
        module(x)  # caches
        torch.testing.assert_close(module(x), expected, rtol=1e-6, atol=1e-6)
        other = torch.randn(7, 16)
        inside = module(other)
    torch.testing.assert_close(inside, outputs_of(module, other), rtol=1e-6, atol=1e-6)
    assert torch.equal(outputs_of(module, x), expected)


@pytest.mark.parametrize("options", [{}, {"side": "output"}, {"after": True}], ids=str)
def test_whole_networks(options):
    network, x = sine_network(**options), grid_codes(60)
    expected = outputs_of(network, x)
    with torch.no_grad(), quant_inference_mode(network):
        network(x)
        assert torch.equal(network(x), expected)
    assert torch.equal(outputs_of(network, x), expected)
