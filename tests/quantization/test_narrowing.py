# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Neurons that others replace are taken out of the first hidden layer."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dhq_brevitas as dhq
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec, plan_layers
from dhq_brevitas.inr.quantized import shapes_of_inr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.quantization.narrowing import kept_neurons, narrowed
from dhq_brevitas.util.errors import ArgumentError

pytestmark = pytest.mark.once
POINTS = torch.cartesian_prod(*[torch.linspace(-1, 1, 24)] * 2)


def outputs(network):
    with torch.no_grad():
        return network(POINTS)


def twofold(family, layers):
    """A network in which each neuron of the first hidden layer is there twice."""
    network = Inr(InrSpec(hidden=16, layers=layers, family=family), seed=1)
    index = 0 if network.spec.encoding is None else 1
    layer = network.linears[index]
    with torch.no_grad():
        layer.weight[1::2] = layer.weight[::2]
        layer.bias[1::2] = layer.bias[::2]
    return network, index


@given(
    st.sampled_from(["siren", "relu", "gaussian", "wire", "finer", "quadinr"]), st.integers(1, 3)
)
@settings(max_examples=12, deadline=None)
def test_what_is_there_twice_goes_and_nothing_is_lost(family, layers):
    network, index = twofold(family, layers)
    before, narrow = outputs(network), narrowed(network, POINTS, 8)
    # The damping, 1e-4 of a neuron's power, leaves some of it at the one that goes.
    assert (outputs(narrow) - before).std() < 5e-3 * before.std()
    rows = network.linears[index].weight
    kept = [
        row.eq(rows).all(dim=1).nonzero().flatten().tolist() for row in narrow.linears[index].weight
    ]
    if family == "siren":  # smoother ones are nearly replaced by others, too
        assert sorted(kept) == [[i, i + 1] for i in range(0, 16, 2)]
    assert torch.equal(outputs(network), before)
    sizes = [(a.in_features, a.out_features) for a in narrow.linears]
    assert sizes == narrow.spec.sizes == replace(network.spec, first_hidden=8).sizes
    assert sizes[index][1] == 8


def test_negative_control_cutting_off_as_many_loses_far_more():
    network = Inr(InrSpec(hidden=208, layers=2), seed=0)
    before, narrow = outputs(network), narrowed(network, POINTS, 176)
    lost = (outputs(narrow) - before).square().mean()
    with torch.no_grad():
        network.linears[1].weight[:, 176:] = 0
    assert (outputs(network) - before).square().mean() > 100 * lost


def test_a_fit_is_narrowed_and_files_hold_it(tmp_path):
    values = torch.sin(3 * POINTS[:, 0]).mul(POINTS[:, 1]).numpy()
    options = {"hidden": 16, "layers": 2, "steps": 200, "progress": False}
    whole = dhq.fit(POINTS.numpy(), values, **options)
    fitted = whole.narrowed(12)
    inputs = torch.from_numpy(fitted.codes).float() * fitted.grid.step
    expected = narrowed(whole.network, inputs, 12).state_dict()
    for name, value in fitted.network.state_dict().items():
        assert torch.equal(value, expected[name])
    assert 20 < fitted.psnr < whole.psnr
    quantized = fitted.quantize(steps=0, progress=False)
    plan = QuantSpec(layers=tuple(quantized.model.plans))  # which says the width
    of_plan = whole.quantize(plan, steps=0, progress=False).model.state_dict()
    for name, value in quantized.model.state_dict().items():
        assert torch.equal(value, of_plan[name])
    quantized.pack(tmp_path / "a.dhq")
    again = dhq.unpack(tmp_path / "a.dhq")
    assert again.model.spec.sizes == [(2, 12), (12, 16), (16, 1)]
    points = POINTS.numpy()
    assert (again(points) == quantized(points)).all()
    fitted.save(tmp_path / "a.pt")
    assert (dhq.Fitted.load(tmp_path / "a.pt")(points) == fitted(points)).all()


@pytest.mark.parametrize("family", ["siren", "relu"])
@pytest.mark.parametrize("layers", [1, 2])
def test_neurons_that_a_plan_keeps(family, layers):
    whole = InrSpec(hidden=16, layers=layers, family=family)

    def plans(**changed):
        return plan_layers(shapes_of_inr(replace(whole, **changed), 8), QuantSpec(scheme="stock"))

    assert kept_neurons(whole, plans(first_hidden=12)) == 12
    narrow = replace(whole, first_hidden=12)
    assert kept_neurons(narrow, plans(first_hidden=6)) == 6
    for spec, other in (
        (whole, plans()),
        (narrow, plans(first_hidden=12)),
        (whole, plans(first_hidden=20)),
        (whole, plans(first_hidden=12, out_features=1)),
        (whole, plans(first_hidden=12, layers=3)),
        (whole, None),
    ):
        assert kept_neurons(spec, other) is None


@pytest.mark.parametrize(
    ("width", "message"),
    [
        (16, "first_hidden=16 is what to keep of hidden=16: give fewer"),
        (0, "first_hidden=0 must be at least 1"),
        (2.5, "first_hidden=2.5 must be an integer"),
    ],
)
def test_widths_that_are_no_fewer_are_refused(width, message):
    network = Inr(InrSpec(hidden=16, layers=1))
    with pytest.raises(ArgumentError, match=message):
        narrowed(network, POINTS, width)
