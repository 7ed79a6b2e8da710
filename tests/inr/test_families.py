# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import math
from functools import cache

import numpy as np
import pytest
import torch

from dhq_brevitas.analysis.layer_table import measure_layers
from dhq_brevitas.inr import families
from dhq_brevitas.inr.families import FAMILIES, Activation, Family, get_family, register_family
from dhq_brevitas.inr.integers import evaluate, layer_codes
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.inr.training import TrainSpec, fit_float, tensor_psnr
from dhq_brevitas.nn.activations import QuantLookupActivation
from dhq_brevitas.quantization.calibration import calibrate
from dhq_brevitas.quantization.recipe import quantize_in_place
from dhq_brevitas.signals.grid import code_bits, grid_codes, grid_step
from dhq_brevitas.signals.pictures import load_image
from paper_networks import paper_network

STEP, BITS = grid_step((20, 20)), code_bits(grid_codes((20, 20)))
CODES = torch.from_numpy(grid_codes((20, 20))).float()


def picture() -> torch.Tensor:
    return torch.from_numpy(load_image("astronaut", 20).pixels).flatten(0, 1)


@cache
def fitted(family: str, steps: int = 40) -> Inr:
    model = Inr(InrSpec(hidden=16, layers=2, family=family))
    rate = get_family(family).learning_rate
    fit_float(model, CODES * STEP, picture(), TrainSpec(steps, 4096, rate), progress=False)
    return model


def output_of(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(x)


# -- float -----------------------------------------------------------------------------------------


def trained_linears(model: Inr) -> list[torch.nn.Linear]:
    return [linear for linear in model.linears if linear.weight.requires_grad]


def start_as(ours: Inr, plain: torch.nn.Module) -> None:
    """Gives ours the weights of the paper's network."""
    with torch.no_grad():
        for target, source in zip(trained_linears(ours), plain.linears, strict=True):
            target.weight.copy_(source.weight)
            target.bias.copy_(source.bias)
        if ours.spec.family == "relu":  # ours has the features of one coordinate after the other
            target, source = trained_linears(ours)[0].weight, plain.linears[0].weight
            for k in range(8):
                for half in range(2):
                    for coordinate in range(2):
                        column = source[:, 4 * k + 2 * half + coordinate]
                        target[:, 16 * coordinate + 8 * half + k] = column


@pytest.mark.parametrize("family", FAMILIES)
def test_quality_of_the_paper(family):
    """One start, trained the same way: a decibel at most; at the start the same numbers."""
    x, y = CODES * STEP, picture()
    torch.manual_seed(0)
    plain = paper_network(family, 16, 2, 3)
    ours = Inr(InrSpec(hidden=16, layers=2, family=family))
    start_as(ours, plain)
    # The highest frequencies of both are computed in float32 in a different order.
    torch.testing.assert_close(output_of(ours, x), output_of(plain, x), rtol=0, atol=2e-4)
    spec = TrainSpec(100, 4096, get_family(family).learning_rate)
    quality = [fit_float(model, x, y, spec, progress=False).psnr for model in (ours, plain)]
    assert quality[0] == pytest.approx(quality[1], abs=1.0)
    assert quality[0] > 12


@pytest.mark.parametrize("family", FAMILIES)
def test_initialization_of_the_paper(family):
    torch.manual_seed(0)
    plain = paper_network(family, 64, 2, 3)
    ours = trained_linears(Inr(InrSpec(hidden=64, layers=2, family=family)))
    for linear, expected in zip(ours, plain.linears, strict=True):
        for name in ("weight", "bias"):
            a, b = getattr(linear, name).detach(), getattr(expected, name).detach()
            if a.numel() >= 64:  # uniform with one bound: largest magnitudes within 10 %
                assert float(a.abs().max()) == pytest.approx(float(b.abs().max()), rel=0.1)
                assert float(a.std()) == pytest.approx(float(b.std()), rel=0.25)


def test_encoding_is_not_trained():
    before = Inr(InrSpec(hidden=16, layers=2, family="relu")).linears[0].weight
    assert torch.equal(fitted("relu", 5).linears[0].weight, before)


def test_variable_sine_takes_no_gradient_through_its_factor():
    z = torch.tensor([0.3], requires_grad=True)
    families.finer.variable_sine(30.0, z).backward()
    assert z.grad.item() == pytest.approx(39 * math.cos(39 * 0.3), rel=1e-5)


# -- quantized -------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_wide_quantizers_reproduce_the_float_network(family):
    float_model = fitted(family)
    quant = QuantSpec(weight_bits=12, act_bits=12, phase_bits=16)
    model = QuantInr.from_float(float_model, quant, STEP, BITS, CODES)
    calibrate(model, CODES)
    expected = output_of(float_model, CODES * STEP)
    assert tensor_psnr(output_of(model, CODES), expected) > 50


@pytest.mark.parametrize("family", FAMILIES)
def test_eight_bits_train_and_settle(family):
    model = QuantInr.from_float(fitted(family), QuantSpec(), STEP, BITS, CODES)
    target, starts = picture(), []
    trained = quantize_in_place(
        model,
        CODES,
        target,
        TrainSpec(8, 400, 1e-4),
        progress=False,
        after_rounding=lambda post: starts.append(tensor_psnr(output_of(model, CODES), target)),
    )
    assert trained.psnr >= starts[0]
    reference = evaluate(model, CODES)
    assert reference.dtype == "float32"
    np.testing.assert_array_equal(reference.outputs, output_of(model, CODES).numpy())
    layers = measure_layers(model, CODES)
    assert all("act_sqnr_before" in layer for layer in layers[1:])


@pytest.mark.parametrize(("family", "signed"), [("siren", True), ("gaussian", False)])
def test_outputs_that_are_never_negative_have_no_sign(family, signed):
    model = QuantInr.from_float(fitted(family, 1), QuantSpec(), STEP, BITS)
    assert all(
        module.act_quant.is_signed == signed
        for module in model
        if isinstance(module, QuantLookupActivation)
    )


def test_measured_range_covers_the_trained_network():
    inr = fitted("finer")
    model = QuantInr.from_float(inr, QuantSpec(), STEP, BITS, CODES)
    measured = inr.measured_limits(CODES * STEP)
    for limit, largest in zip(model.limits, measured, strict=True):
        assert largest <= limit <= largest * (1 + 2**-4)
    again = QuantInr(inr.spec, QuantSpec(layers=tuple(model.plans)), STEP, BITS, model.limits)
    tables = [
        m.act_quant.fused_activation_quant_proxy.activation_impl.table for m in list(again)[2::2]
    ]
    assert len(tables) == 2
    for table, limit in zip(tables, model.limits, strict=True):
        x = (torch.arange(4096, dtype=torch.float64) - 2047.5) / 2048 * limit
        assert torch.equal(table, torch.sin(30 * (x.abs() + 1) * x).float())
    with pytest.raises(ValueError, match="limits: this family's activations have no range"):
        QuantInr(inr.spec, QuantSpec(layers=tuple(model.plans)), STEP, BITS)


def test_encoding_is_exact_in_hardware():
    """Its weights are powers of two and its phases quarter turns, so nothing is rounded."""
    model = QuantInr.from_float(fitted("relu", 5), QuantSpec(), STEP, BITS, CODES)
    calibrate(model, CODES)
    layer, linear = layer_codes(model, CODES)[0], model.linears[0]
    assert linear.in_features == 2
    x = CODES.double() * STEP
    phases = torch.from_numpy(layer.accumulators() * layer.scale + layer.bias)
    assert not linear.weight.requires_grad
    expected = torch.cat(
        [
            x[:, [c]] * 2.0 ** (torch.arange(8) - 1) + shift
            for c in range(2)
            for shift in (0.0, 0.25)
        ],
        dim=1,
    )
    # STEP = 1/10 is no dyadic number: 12 bits of it, times codes up to 10 and 2^6.
    torch.testing.assert_close(phases, expected, rtol=0, atol=10 * 2**6 * STEP * 2**-11)


# -- the registry ----------------------------------------------------------------------------------

OWN_FAMILY = """
import torch
from dhq_brevitas.inr.families import Activation, Family, default_initialize

def activation(parameters, index):
    return Activation(torch.tanh, gain=parameters["gain"], limit=4.0)

FAMILY = Family("tanh", "nobody", activation, default_initialize, 1e-3, {"gain": 5.0})
"""


def test_a_family_in_a_file_of_its_own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN_FAMILY)
    spec = InrSpec(hidden=8, layers=1, family=str(path), parameters={"gain": 3.0})
    first = Inr(spec)
    x = CODES * STEP
    expected = first.linears[1](torch.tanh(3 * first.linears[0](x)))
    assert torch.equal(first(x), expected)
    assert get_family(str(path)) is get_family(str(path))  # executed once


def test_a_registered_family(monkeypatch):
    monkeypatch.setattr(families, "FAMILIES", dict(FAMILIES))
    family = get_family("siren")
    register_family(
        Family(
            "cosine",
            "nobody",
            lambda parameters, index: Activation(torch.cos, gain=20.0, period=2 * math.pi),
            family.initialize,
            1e-3,
            {"omega": 20.0},
        )
    )
    assert InrSpec(family="cosine").activations[0].gain == 20.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file"),
        ("1 / 0", "cannot be executed: ZeroDivisionError"),
        ("", "must define FAMILY, a dhq_brevitas.inr.families.base.Family, not NoneType"),
        ("FAMILY = 3", "must define FAMILY, a dhq_brevitas.inr.families.base.Family, not int"),
    ],
)
def test_a_file_without_a_family(tmp_path, content, message):
    path = tmp_path / "own.py"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=message):
        get_family(str(path))


@pytest.mark.parametrize("frequencies", [2.5, 17])
def test_frequencies_that_do_not_exist(frequencies):
    with pytest.raises(ValueError, match="must be a whole number, 1 to 16"):
        InrSpec(family="relu", parameters={"frequencies": frequencies})


def test_every_family_names_its_paper():
    assert all("arXiv:" in family.paper for family in FAMILIES.values())
