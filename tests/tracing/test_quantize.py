# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Float modules through the whole recipe: calibrated, planned, fine-tuned, trained on."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import dhq_brevitas as dhq
import own_networks as own
from dhq_brevitas.export import export_qonnx, run_qonnx
from dhq_brevitas.inr.layers import layers_of
from dhq_brevitas.inr.planned import plans_of
from dhq_brevitas.tracing.build import Widths
from dhq_brevitas.tracing.trace import trace

GRID = own.grid()


def sqnr(found, expected):
    found, expected = found.detach(), expected.detach()
    error = (found - expected).square().mean()
    return float(10 * torch.log10((expected - expected.mean()).square().mean() / error))


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_a_plan_and_fine_tuning():
    module = own.chain(nn.SiLU()).eval()
    expected = module(GRID).detach()
    spec = dhq.QuantSpec(weight_bits=4)
    chosen = dhq.plan(module, GRID, spec, progress=False)
    assert [layer.name for layer in chosen.layers] == ["0", "2", "4"]
    uniform = dhq.quantize(module, GRID, spec, progress=False)
    planned = dhq.quantize(module, GRID, chosen, progress=False)
    assert sqnr(planned(GRID), expected) > sqnr(uniform(GRID), expected) - 0.5
    tuned = dhq.quantize(module, GRID, chosen, target=expected, steps=30, progress=False)
    assert sqnr(tuned(GRID), expected) >= sqnr(planned(GRID), expected)


def test_targets_have_the_structure_and_layout_of_the_outputs():
    module = own.Pixelwise().eval()
    x = torch.rand(4, 2, 5, 6)
    network = trace(module, [x])
    target = torch.arange(4 * 10 * 12.0).reshape(4, 1, 10, 12)
    rows = network.flat_target(target, [x])
    assert rows.shape == (120, 4)
    # Of the first pixel the four values of its square.
    assert rows[0].tolist() == [0, 1, 12, 13]
    assert rows[31].tolist() == target[1, 0, 0:2, 2:4].flatten().tolist()
    with pytest.raises(ValueError, match=r"target must be like the outputs, of shapes"):
        network.flat_target({"y": target}, [x])


@pytest.mark.once
def test_branches_of_several_inputs_are_planned():
    module = own.Nerf().eval()
    points = torch.rand(300, 3) * 2 - 1
    inputs = (points, points.flip(0))
    quantized = dhq.quantize(module, inputs, "auto", progress=False)
    with torch.no_grad():
        expected, found = module(*inputs), quantized(*inputs)
    assert sqnr(found["color"], expected["color"]) > 25
    assert found["density"].shape == (300,)
    rows = quantized.flat_inputs(inputs)
    with quantized.flat():
        plans = plans_of(layers_of(quantized, rows))
    assert {plan.name for plan in plans} == {"first", "second", "density", "view", "color"}


def test_a_plan_of_few_activation_bits_is_followed():
    module = own.Nerf().eval()
    points = torch.rand(100, 3) * 2 - 1
    inputs, spec = (points, points.flip(0)), dhq.QuantSpec("stock", act_bits=6)
    built = dhq.quantize(module, inputs, spec, progress=False)
    rows = built.flat_inputs(inputs)
    with built.flat():
        plans = plans_of(layers_of(built, rows))
    assert {plan.act_bits for plan in plans if plan.name in ("second", "view")} == {6}
    again = dhq.quantize(module, inputs, plans, progress=False)
    assert torch.equal(again(*inputs)["color"], built(*inputs)["color"])


def test_layers_fed_with_the_inputs_have_wide_weights():
    quantized = dhq.quantize(own.Filters().eval(), GRID, progress=False)
    with quantized.flat():
        plans = {plan.name: plan for plan in plans_of(layers_of(quantized, GRID))}
    first = [plan for name, plan in plans.items() if name.startswith("filters")]
    assert [plan.weight_bits for plan in first] == [12, 12, 12]
    assert {str(plan.rotation) for plan in first} == {"none"}
    assert plans["linears.0"].weight_bits == 8


def test_the_result_trains_further():
    quantized = dhq.quantize(own.chain(nn.Tanh()).eval(), GRID, progress=False).train()
    loss = quantized(GRID).square().mean()
    loss.backward()
    assert float(quantized.get_submodule("2").weight.grad.abs().sum()) > 0
    again = copy.deepcopy(quantized).eval()
    again.load_state_dict(quantized.state_dict())
    assert torch.equal(again(GRID), quantized.eval()(GRID))


def test_odd_widths_are_not_rotated():
    module = own.chain(nn.ReLU(), hidden=7).eval()
    assert sqnr(dhq.quantize(module, GRID, progress=False)(GRID), module(GRID)) > 20


@pytest.mark.parametrize("shift", [0.0, 1000.0])
def test_grids_of_any_origin_are_exact(shift):
    """512 points an axis with an offset: no two are taken for one."""
    line = torch.linspace(-1, 1, 512) + shift
    module = nn.Sequential(nn.Linear(1, 1), nn.Identity())
    network = trace(module, [line[:, None]], Widths())
    codes = []
    network.get_submodule("codes").register_forward_hook(lambda m, a, y: codes.append(y.int()))
    network(line[:, None])
    assert len(codes[0].unique()) == 512


class Named(nn.Module):
    """Called with a dictionary, or with a keyword."""

    def __init__(self):
        super().__init__()
        self.net = own.chain(nn.SiLU(), hidden=8)

    def forward(self, batch=None, *, points=None):
        if batch is None:
            return self.net(points)
        return {"out": self.net(batch["coords"]), "coords": batch["coords"]}


@pytest.mark.parametrize("name", ["coords", "points"])
def test_called_as_the_module_is(name):
    quantized = dhq.quantize(Named().eval(), {name: GRID}, progress=False)
    graph = export_qonnx(quantized, args={name: GRID[:1]})
    with torch.no_grad():
        plain = quantized(GRID)
        found = quantized(points=GRID) if name == "points" else quantized({name: GRID})
        with pytest.raises(TypeError, match=f"inputs other given; the network takes {name}"):
            quantized(other=GRID)
    found, plain = (y if name == "points" else y["out"] for y in (found, plain))
    assert torch.equal(found, plain)
    assert np.array_equal(run_qonnx(graph, GRID), found.numpy())


def test_lists_of_numbers():
    module = nn.Sequential(nn.Unflatten(0, (-1, 1)), own.chain(nn.SiLU(), hidden=8), nn.Flatten(0))
    module[1][0], module[1][4] = nn.Linear(1, 8), nn.Linear(8, 1)
    x = torch.linspace(-1, 1, 64)
    quantized = dhq.quantize(module.eval(), x, progress=False)
    graph = export_qonnx(quantized, args=x[:1])
    assert np.array_equal(run_qonnx(graph, x), quantized(x).detach().numpy())


def test_the_graph_takes_the_users_units():
    module = own.NotebookSiren().eval()
    quantized = dhq.quantize(module, GRID, progress=False)
    graph = export_qonnx(quantized, args=GRID[:1])
    with torch.no_grad():
        expected, coordinates = quantized(GRID)
    assert torch.equal(coordinates, GRID)
    assert np.array_equal(run_qonnx(graph, GRID), expected.numpy())
