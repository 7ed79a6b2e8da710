# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Tables of functions with trained parameters: evaluation has the values of today."""

import copy

import brevitas.export
import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.quant.fixed_point import Int8WeightPerChannelFixedPoint
from qonnx.core.modelwrapper import ModelWrapper
from torch import Tensor, nn

from dhq_brevitas.export import export_qonnx, run_qonnx
from dhq_brevitas.nn.activations import QuantLookupActivation
from dhq_brevitas.nn.quantizers import IntegerCodes
from networks import calibrated, grid_codes, outputs_of


class Swish(nn.Module):
    """x · sigmoid(β x) with a trained β."""

    def __init__(self) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.beta * x)


def network(fn: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [
        qnn.QuantIdentity(act_quant=IntegerCodes, bit_width=7, return_quant_tensor=True),
        qnn.QuantLinear(2, 16, bias=True, weight_quant=Int8WeightPerChannelFixedPoint),
        QuantLookupActivation(fn, limit=16.0, table_bit_width=12, return_quant_tensor=True),
        qnn.QuantLinear(16, 1, bias=True, weight_quant=Int8WeightPerChannelFixedPoint),
    ]
    layers[1].weight.data *= 0.2
    return calibrated(nn.Sequential(*layers))


def trained() -> tuple[nn.Sequential, Swish]:
    """A network whose β has moved far in training mode."""
    fn = Swish()
    model = network(fn).train()
    x = grid_codes(64)
    optimizer = torch.optim.Adam([fn.beta], lr=0.2)
    for _ in range(40):
        optimizer.zero_grad()
        (model(x) - 40).square().mean().backward()
        optimizer.step()
    assert abs(float(fn.beta.detach()) - 1) > 0.25
    return model, fn


def expected_table(fn: nn.Module) -> Tensor:
    centers = (torch.arange(4096, dtype=torch.float64) - 2047.5) / 128
    with torch.no_grad():
        return fn(centers).float()


def test_evaluation_gives_what_training_gave():
    model, fn = trained()
    x = grid_codes(200, seed=1)
    in_training = outputs_of(model, x)
    in_evaluation = outputs_of(model.eval(), x)
    # Table entries are rounded from float64, training computes in float32.
    assert torch.allclose(in_training, in_evaluation, atol=0.02 * float(in_training.abs().max()))
    assert torch.equal(model[2].lookup.table, expected_table(fn))


def test_eval_alone_makes_the_table():
    model, fn = trained()
    before = model[2].lookup.table.clone()
    model.eval()
    assert torch.equal(model[2].lookup.table, expected_table(fn))
    assert not torch.equal(model[2].lookup.table, before)


@pytest.mark.parametrize("mode", [True, False])
def test_loading_a_state_makes_the_table(mode):
    model, fn = trained()
    other = network(Swish()).train(mode)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other[2].lookup.table, expected_table(fn))
    x = grid_codes(50)
    assert torch.equal(outputs_of(other.eval(), x), outputs_of(model.eval(), x))


def test_changes_in_evaluation_mode_count():
    model, fn = trained()
    model.eval()
    with torch.no_grad():
        fn.beta.fill_(3.0)
    outputs_of(model, grid_codes(3))
    assert torch.equal(model[2].lookup.table, expected_table(fn))
    assert torch.equal(copy.deepcopy(model)[2].lookup.table, expected_table(fn))


def test_a_parameter_in_a_closure_counts():
    slope = nn.Parameter(torch.tensor(1.0))
    model = network(lambda x: torch.tanh(slope * x))
    before = outputs_of(model, grid_codes(20))
    with torch.no_grad():
        slope.fill_(0.1)
    assert not torch.equal(outputs_of(model, grid_codes(20)), before)


@pytest.mark.parametrize("stock", [False, True], ids=["ours", "Brevitas's"])
def test_export_has_the_table_of_today(stock, tmp_path):
    model, _ = trained()  # in training mode, as after a training loop
    x = grid_codes(100)
    if stock:
        path = str(tmp_path / "model.onnx")
        brevitas.export.export_qonnx(model, args=x, export_path=path)
        graph = ModelWrapper(path)
    else:
        graph = export_qonnx(model, args=x[:1])
    np.testing.assert_allclose(
        run_qonnx(graph, x.numpy()), outputs_of(model.eval(), x).numpy(), rtol=1e-6
    )
