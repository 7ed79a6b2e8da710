# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The form that is trained: the same numbers as the network's Brevitas layers, and compilable."""

from functools import partial, reduce

import brevitas.nn as qnn
import pytest
import torch
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat, Int32Bias
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dhq_brevitas import (
    Int8DHQActPerTensorDyadic,
    Int8DHQActPerTensorFloat,
    Int8DHQWeightPerChannelFloat,
    Int8DHQWeightPerTensorDyadic,
    QuantLookupActivation,
    QuantSine,
)
from dhq_brevitas.inr.families import FAMILIES
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.nn import training_form as module
from dhq_brevitas.nn.quantizers import IntegerCodes
from dhq_brevitas.nn.training_form import CompileWarning, compiled, training_form
from dhq_brevitas.quantization.calibration import calibrate

# Of PyTorch's compiler about PyTorch.
pytestmark = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
CODES = torch.cartesian_prod(torch.arange(-8.0, 8.0), torch.arange(-8.0, 8.0))


def quantized(family="siren", **quant):
    inr = Inr(InrSpec(hidden=16, layers=2, out_features=3, family=family), seed=1)
    model = QuantInr.from_float(inr, QuantSpec(**quant), 2 / 16, 4)
    calibrate(model, CODES)
    return model.train()


def results(network, model, inputs=CODES):
    """Outputs and gradients, those of ``model``'s parameters."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    output = network(inputs)
    output = getattr(output, "value", output)
    target = torch.linspace(-1, 1, output.numel()).view(output.shape)
    loss = (output - target).square().mean()
    return [output.detach(), *torch.autograd.grad(loss, parameters, allow_unused=True)]


def assert_same(found, expected):
    """Outputs to the bit; gradients but for rounding: the terms of a scale's may cancel."""
    assert torch.equal(found[0], expected[0])
    largest = max(float(g.abs().max()) for g in expected[1:] if g is not None)
    for a, b in zip(found[1:], expected[1:], strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6 * largest)


@given(
    st.sampled_from(["none", "input", "after", "output"]),
    st.sampled_from(["po2", "dyadic", "float"]),
    st.sampled_from(["dhq", "stock"]),
    st.integers(2, 8),
    st.integers(2, 8),
    st.none() | st.integers(0, 9),
    st.sampled_from(["siren", "relu", "gaussian", "wire", "finer"]),
)
@settings(max_examples=15, deadline=None)
def test_random_networks_are_the_same(rotation, scale, scheme, weights, acts, seed, family):
    rotated = {} if scheme == "stock" else {"rotation": rotation, "signs_seed": seed}
    model = quantized(
        family, scheme=scheme, scale=scale, weight_bits=weights, act_bits=acts, **rotated
    )
    form = training_form(model, CODES[:50])
    assert form is not None
    assert form is not model
    assert_same(results(form, model), results(model, model))


class Residual(nn.Module):
    """A user's own network: quantized inputs, a sum, a layer in a list, scales learned."""

    def __init__(self):
        super().__init__()
        self.codes = qnn.QuantIdentity(
            act_quant=IntegerCodes, bit_width=4, return_quant_tensor=True
        )
        self.first = qnn.QuantLinear(
            2, 16, True, weight_quant=Int8WeightPerChannelFloat, bias_quant=Int32Bias
        )
        self.sine = QuantSine(period=1.0)
        self.blocks = nn.ModuleList(
            [
                self.linear(16, Int8DHQWeightPerChannelFloat, Int8DHQActPerTensorFloat),
                self.linear(16, Int8DHQWeightPerTensorDyadic, Int8DHQActPerTensorDyadic),
                self.linear(1, Int8WeightPerChannelFloat, Int8ActPerTensorFloat),
            ]
        )
        self.bend = QuantLookupActivation(torch.tanh, limit=4.0)

    @staticmethod
    def linear(size, weight, act):
        return qnn.QuantLinear(
            16, size, True, weight_quant=weight, input_quant=act, bias_quant=Int32Bias
        )

    def forward(self, x):
        x = self.sine(self.first(self.codes(x)))
        x = x + self.bend(self.blocks[0](x))
        return self.blocks[2](torch.relu(self.blocks[1](x)))


def test_the_function_of_every_family_is_looked_up_in_the_layer_behind_it():
    for family in FAMILIES:
        form = training_form(quantized(family), CODES[:50])
        lookups = [m for m in form.modules() if isinstance(m, module._Lookup)]
        assert len(lookups) >= 2, family
        assert all(lookup.table is not None and lookup.joined for lookup in lookups), family


def test_a_function_with_a_parameter_is_not():
    slope = torch.nn.Parameter(torch.tensor(1.0))
    assert module._pure(partial(torch.mul, 2.0))
    assert module._pure(partial(reduce, partial(torch.mul, 2.0), 3))
    for fn in (lambda x: slope * x, nn.Tanh(), partial(torch.mul, slope)):
        assert not module._pure(fn)
        assert not module._pure(partial(reduce, fn))


def test_a_network_of_ones_own_gives_the_same_numbers():
    torch.manual_seed(0)
    model = Residual()
    calibrate(model, CODES)
    model.train()
    form = training_form(model, CODES[:50])
    assert form is not None
    assert_same(results(form, model), results(model, model))


def test_a_learned_scale_that_is_handed_on_gets_its_gradient():
    torch.manual_seed(0)
    model = nn.Sequential(
        qnn.QuantIdentity(return_quant_tensor=True),
        qnn.QuantLinear(2, 3, True, weight_quant=Int8WeightPerChannelFloat, bias_quant=Int32Bias),
    )
    calibrate(model, CODES)
    found, expected = results(training_form(model.train(), CODES), model), results(model, model)
    assert torch.equal(found[0], expected[0])
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_a_network_that_looks_into_quant_tensors_has_no_form():
    class Looking(Residual):
        def forward(self, x):
            return super().forward(x) * self.codes(x).value[:, :1]

    model = Looking()
    calibrate(model, CODES)
    message = r"takes several times longer: .* fails \('Tensor' object has no attribute 'value'\)"
    with pytest.warns(CompileWarning, match=message):
        assert training_form(model.train(), CODES[:50]) is None
    assert model.training


def test_other_layers_have_no_form():
    model = nn.Sequential(qnn.QuantLinear(2, 4, True), qnn.QuantReLU(), qnn.QuantLinear(4, 1, True))
    calibrate(model, CODES)
    assert training_form(model, CODES) is None


def test_scales_still_being_collected_have_no_form():
    model = nn.Sequential(qnn.QuantLinear(2, 1, True, input_quant=Int8ActPerTensorFloat))
    model.train()
    before = model[0].input_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl.counter
    with pytest.warns(CompileWarning, match=r"longer: 0\.input_quant\..* still collects"):
        assert training_form(model, CODES) is None
    after = model[0].input_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl.counter
    assert before == after == 0


def test_a_float_network_is_its_own_form():
    model = nn.Linear(2, 1)
    assert training_form(model, CODES) is model


def test_negative_control_a_form_that_differs_is_refused(monkeypatch):
    model = quantized()
    assert training_form(model, CODES[:50]) is not None
    forward = module._Linear.forward
    monkeypatch.setattr(module._Linear, "forward", lambda self, x: forward(self, x) * (1 + 1e-6))
    assert training_form(model, CODES[:50]) is None


@pytest.mark.parametrize("rotation", ["input", "after"])
def test_it_compiles_to_the_same_numbers(rotation):
    """By the compiler's front end; what its back end rounds otherwise is tested below."""
    torch.compiler.reset()
    model = quantized(rotation=rotation, scale="float")
    run = torch.compile(training_form(model, CODES), fullgraph=True, backend="aot_eager")
    assert_same(results(run, model), results(model, model))


@pytest.mark.exhaustive
@pytest.mark.parametrize("scale", ["po2", "float"])
def test_compiled_it_gives_the_same_outputs_with_powers_of_two(scale):
    torch.compiler.reset()
    model = quantized(scale=scale, rotation="after")
    found = results(compiled(training_form(model, CODES), CODES), model)
    expected = results(model, model)
    if scale == "po2":
        assert torch.equal(found[0], expected[0])
    for a, b in zip(found, expected, strict=True):
        # A sine rounded otherwise in the last bit can move a code, one step of 2^-7 in the next.
        torch.testing.assert_close(a, b, rtol=0, atol=1e-2 * float(b.abs().max()))


def test_every_network_of_a_process_is_compiled(monkeypatch):
    """By the compiler's front end, which counts them."""
    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    with torch._dynamo.config.patch(recompile_limit=1):  # instead of training nine networks
        for outputs in (1, 2):
            model = nn.Linear(2, outputs)
            run = compiled(model, CODES)
            assert run is not model
            torch.testing.assert_close(run(CODES), model(CODES))


def test_without_a_compiler_one_sentence_says_why(monkeypatch):
    def broken(*args, **kwargs):
        def run(x):
            raise RuntimeError("no compiler\nand a long story")

        return run

    model = nn.Linear(2, 1)
    monkeypatch.setattr(torch, "compile", broken)
    with pytest.warns(CompileWarning, match=r"uncompiled.*cannot compile it here \(no compiler\)"):
        assert compiled(model, CODES) is model
