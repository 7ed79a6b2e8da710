# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import math

import brevitas.nn as qnn
import pytest
import torch
from brevitas.quant.fixed_point import Int8ActPerTensorFixedPoint, Int8WeightPerChannelFixedPoint
from brevitas.quant.scaled_int import (
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloat,
)
from torch import nn

from dhq_brevitas.nn.quantizers import (
    Int8DHQActPerTensorDyadic,
    Int8DHQActPerTensorFixedPoint,
    Int8DHQActPerTensorFloat,
    Int8DHQWeightPerChannelFloat,
    Int8UnitActPerTensorFixedPoint,
)
from dhq_brevitas.nn.scales import set_scale
from dhq_brevitas.quantization.calibration import calibrate, sqnr, step_of_least_error

pytestmark = pytest.mark.filterwarnings("ignore:Named tensors")


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def dhq_layer(act_quant=Int8DHQActPerTensorFloat):
    layer = qnn.QuantLinear(
        16,
        4,
        weight_quant=Int8DHQWeightPerChannelFloat,
        weight_scaling_impl_type="parameter_from_stats",
        input_quant=act_quant,
    )
    layer.weight.data = normal(4, 16, seed=1)
    return layer


def mean_error(rows, step, low, high):
    return (rows - (rows / step).round().clamp(low, high) * step).square().mean()


def test_sqnr_of_a_uniform_tensor():
    # Uniform over the full range: noise step²/12, signal (256·step)²/12.
    values = torch.linspace(-128, 128, 100_001)[:-1].reshape(1, -1)
    assert sqnr(values, torch.tensor([1.0]), -128, 127) == pytest.approx(48.16, abs=0.1)
    assert sqnr(values.round(), torch.tensor([1.0]), -128, 128) == math.inf


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_search_finds_the_least_error(bits):
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    rows = normal(3, 500) * torch.tensor([[1.0], [0.1], [20.0]])
    start = rows.abs().amax(dim=1) / high
    found = step_of_least_error(rows, start, low, high)
    for row, step, first in zip(rows, found, start, strict=True):
        best = min(mean_error(row, first * f / 1000, low, high) for f in range(100, 1101))
        assert mean_error(row, step, low, high) <= best * 1.1
        assert mean_error(row, step, low, high) <= mean_error(row, first, low, high)


def test_search_takes_allowed_steps_only():
    rows = normal(1, 500)
    start = rows.abs().amax(dim=1) / 7

    def restrict(step):
        return torch.exp2(torch.ceil(torch.log2(step)))

    found = step_of_least_error(rows, start, -8, 7, restrict)
    powers = [2.0**e for e in range(-8, 3)]
    errors = {p: mean_error(rows, p, -8, 7).item() for p in powers}
    assert found.item() == min(errors, key=errors.get)


def test_dhq_quantizers_are_calibrated_on_the_rotated_tensors():
    layer = dhq_layer()
    x = normal(200, 16) + 3  # the mean gathers in one coefficient
    records = {record.name: record for record in calibrate(layer, x)}
    rotated_x = layer.input_quant.rotate_input(x)
    rotated_w = layer.weight_quant.rotate_weight(layer.weight)
    act, weight = records["input_quant"], records["weight_quant"]
    assert (act.kind, weight.kind) == ("act", "weight")
    assert weight.step.shape == (4,)
    expected = step_of_least_error(
        rotated_w.detach(), rotated_w.detach().abs().amax(dim=1) / 127, -127, 127
    )
    torch.testing.assert_close(weight.step, expected)
    assert act.step.item() * 128 > 0.9 * rotated_x.abs().max().item()
    # Negative control: the unrotated input needs less than half that range.
    assert act.step.item() * 128 > 2 * x.abs().max().item()
    assert sqnr(rotated_x.reshape(1, -1), act.step, -128, 127) == pytest.approx(act.sqnr, abs=1e-3)
    layer.eval()
    torch.testing.assert_close(layer.input_quant.scale(), act.step.reshape(()))
    torch.testing.assert_close(layer.quant_weight().scale.flatten(), weight.step)


@pytest.mark.parametrize("earlier_steps", [0, 1, 7])
def test_statistics_of_brevitas_play_no_part(earlier_steps):
    layer, x = dhq_layer(), normal(100, 16)
    layer.train()
    for seed in range(earlier_steps):
        layer(100 * normal(100, 16, seed=seed))
    records = calibrate(layer, x)
    assert [r.step.tolist() for r in records] == [
        r.step.tolist() for r in calibrate(dhq_layer(), x)
    ]
    # Nor do they afterwards: training mode keeps the calibrated scale.
    layer.train()
    layer(1000 * x)
    assert layer.input_quant.scale().item() == pytest.approx(records[0].step.item())


@pytest.mark.parametrize(
    ("act_quant", "mantissas"),
    [(Int8DHQActPerTensorFixedPoint, {0.5}), (Int8DHQActPerTensorDyadic, {0.5, 0.75})],
)
def test_restricted_scales(act_quant, mantissas):
    for seed in range(5):
        layer = dhq_layer(act_quant)
        calibrate(layer, normal(100, 16) * (1 + 0.3 * seed))
        assert math.frexp(layer.eval().input_quant.scale().item())[0] in mantissas


def test_refinement_reduces_the_error():
    x = normal(500, 16) ** 3  # heavy tails

    def measured(refine):
        layer = qnn.QuantLinear(
            16,
            4,
            weight_quant=Int8WeightPerTensorFloat,
            weight_scaling_impl_type="parameter_from_stats",
            weight_bit_width=4,
            input_quant=Int8ActPerTensorFloat,
            input_bit_width=4,
        )
        layer.weight.data = normal(4, 16, seed=2) ** 3
        return {record.name: record.sqnr for record in calibrate(layer, x, refine)}

    with_search, without = measured(True), measured(False)
    assert with_search["input_quant"] >= without["input_quant"]
    assert with_search["weight_quant"] > without["weight_quant"]


def test_later_layers_see_quantized_values():
    first = qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat, bit_width=2)
    second = qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat, bit_width=8)
    x = normal(300, 4)
    records = calibrate(nn.Sequential(first, second), x)
    assert [record.name for record in records] == ["0.act_quant", "1.act_quant"]
    with torch.no_grad():
        seen = first.eval()(x)
    largest = seen.abs().max().item()
    assert records[1].step.item() * 128 == pytest.approx(largest, rel=0.1)
    assert largest < 0.8 * x.abs().max().item()


def test_only_learned_scales_are_touched():
    model = nn.Sequential(
        qnn.QuantIdentity(act_quant=Int8UnitActPerTensorFixedPoint),
        qnn.QuantLinear(4, 4, weight_quant=Int8WeightPerChannelFloat),
    )
    assert calibrate(model, normal(10, 4)) == []


def test_all_zero_and_invalid_tensors():
    layer = dhq_layer()
    layer.weight.data.zero_()
    records = calibrate(layer, torch.zeros(10, 16))
    assert all((record.step > 0).all() for record in records)
    with torch.no_grad():
        assert torch.equal(layer.eval()(torch.zeros(10, 16)), layer.bias.expand(10, 4))
    with pytest.raises(ValueError, match="inputs: the calibration data hold NaN or infinity"):
        calibrate(dhq_layer(), torch.full((10, 16), math.nan))
    logarithm = type("Logarithm", (nn.Module,), {"forward": lambda self, x: torch.log(x)})()
    with pytest.raises(ValueError, match=r"1.input_quant: the tensor .* holds NaN or infinity"):
        calibrate(nn.Sequential(logarithm, dhq_layer()), torch.zeros(10, 16))


def test_mode_is_restored_and_hooks_are_removed():
    layer = dhq_layer().train()
    first = calibrate(layer, normal(100, 16))
    assert layer.training
    layer.eval()(5 * normal(100, 16))
    assert layer.input_quant.scale().item() == pytest.approx(first[0].step.item())


def test_set_scale():
    identity = qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint)
    quantizer = identity.act_quant.fused_activation_quant_proxy.tensor_quant
    set_scale(quantizer, torch.tensor(2.0**-5))
    assert identity.eval().act_quant.scale().item() == 2.0**-5
    with pytest.raises(ValueError, match="cannot hold the scale"):
        set_scale(quantizer, torch.tensor(0.3))
    layer = qnn.QuantLinear(4, 4, weight_quant=Int8WeightPerChannelFixedPoint)
    with pytest.raises(ValueError, match="has no learned scale to set"):
        set_scale(layer.weight_quant.tensor_quant, torch.tensor(0.5))
