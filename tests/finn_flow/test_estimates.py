# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Estimates from a network's integers are those that a build reports."""

import dataclasses

import numpy as np
import pytest
import torch

from dhq_brevitas.export import export_qonnx
from dhq_brevitas.finn_flow import build_dataflow
from dhq_brevitas.finn_flow.estimates import LayerEstimator
from dhq_brevitas.inr.integers import layer_codes
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.models import quantize
from dhq_brevitas.planning.limits import Hardware, Limits, Resources
from dhq_brevitas.quantization.post_training import post_train
from dhq_brevitas.quantization.settle import settle
from own_networks import grid

PART = "xczu3eg-sbva484-1-e"
CODES = torch.cartesian_prod(torch.arange(-8.0, 8.0), torch.arange(-8.0, 8.0))


def quantized(family, spec):
    inr = Inr(InrSpec(hidden=16, layers=2, family=family), seed=1)
    model = QuantInr.from_float(inr, spec, 1 / 8, 4, CODES)
    post_train(model, CODES)
    return model


def of_report(report):
    names = ("lut", "dsp_rtl", "bram18", "uram", "cycles_per_sample")
    return Resources(*(report[f"{name}_estimate"] for name in names))


ROTATED = QuantSpec(scale="float", rotation=("output", "input", "after"), signs_seed=1, act_bits=6)


@pytest.mark.parametrize(
    ("family", "spec", "cycles", "mvau"),
    [
        # Thresholds behind the rotation of an input, since the scale is no power of two; two tables
        # that clip, one of them behind a rotation of sums; codes without sign rotated for a wider
        # multiplier. (tests/integration has a sine's.)
        ("gaussian", ROTATED, 16, "matrix_vector"),
        # No multiplier at all.
        ("siren", QuantSpec(scheme="stock"), 1, "adders"),
    ],
)
def test_estimates_of_a_network_are_those_of_its_build(tmp_path, family, spec, cycles, mvau):
    if mvau == "adders":
        pytest.importorskip("da4ml", reason="pip install 'dhq-brevitas[adders]'")
    model = quantized(family, spec)
    layers = layer_codes(model, CODES)
    estimates = LayerEstimator(cycles, PART, mvau)(layers)
    total = sum(estimates, Resources())

    settle(model, CODES)
    model.eval()
    graph = export_qonnx(model, args=CODES[:1])
    options = {"cycles_per_sample": cycles, "mvau": mvau, "progress": False}
    result = build_dataflow(graph, tmp_path, **options)
    assert total == of_report(result.report)
    assert total.cycles <= cycles
    assert (total.dsp == 0) == (mvau == "adders")
    # Layer by layer, in the order of the nodes.
    nodes = iter(result.report["layers"])
    for estimate, layer in zip(estimates, layers, strict=True):
        mine = [next(nodes) for _ in range(number_of_nodes(layer))]
        assert estimate.lut == sum(node["lut_estimate"] for node in mine)
        assert estimate.bram18 == sum(node["bram18_estimate"] for node in mine)
    assert next(nodes, None) is None


def number_of_nodes(layer):
    rotation = layer.rotation.side != "none"
    thresholds = layer.requant is not None and np.frexp(layer.requant)[0] != 0.5
    return 1 + rotation + thresholds + (layer.table is not None)


def test_what_changes_a_layer_changes_its_estimate():
    first, second, _ = layer_codes(quantized("siren", QuantSpec(scheme="stock")), CODES)
    estimate = LayerEstimator(64, PART)
    # A layer alone has another stream before it, which costs a LUT or two.
    for one, (alone,) in zip(
        estimate([first, second]), (estimate([first]), estimate([second])), strict=True
    ):
        assert one.lut == pytest.approx(alone.lut, rel=0.02)
        assert dataclasses.replace(one, lut=0) == dataclasses.replace(alone, lut=0)
    coarse = dataclasses.replace(
        second, table=second.table[::64], entries_per_unit=second.entries_per_unit / 64
    )
    assert estimate([coarse])[0].bram18 < estimate([second])[0].bram18
    wide = dataclasses.replace(second, weight=second.weight * 512, weight_bits=18)
    assert estimate([wide])[0].bram18 > estimate([second])[0].bram18
    assert LayerEstimator(4, PART)([second])[0].dsp > estimate([second])[0].dsp


def test_limits_bind_what_they_name():
    used = Resources(lut=10, dsp=2) + Resources(lut=5, bram18=3, cycles=7) + Resources(cycles=4)
    assert used == Resources(15, 2, 3, 0, 7)
    assert Limits().hold(used)
    assert Limits(lut=15, bram18=3).hold(used)
    assert not Limits(lut=14).hold(used)
    assert not Limits(dsp=1).hold(used)
    assert Limits(dsp=1).given() == {"dsp": 1}


class Skipping(torch.nn.Module):
    """A residual layer, and the input once more beside its sum."""

    def __init__(self):
        super().__init__()
        self.first, self.inner = torch.nn.Linear(2, 8), torch.nn.Linear(8, 8)
        self.last = torch.nn.Linear(10, 1)

    def forward(self, x):
        h = torch.sin(9 * self.first(x))
        h = h + torch.sin(self.inner(h))
        return torch.tanh(self.last(torch.cat([h, x], dim=-1)))


@pytest.mark.parametrize("mvau", ["matrix_vector", "finn"])
def test_a_network_whose_branches_meet_is_estimated_as_it_is_built(tmp_path, mvau):
    torch.manual_seed(0)
    network = quantize(Skipping(), grid(8), progress=False)
    hardware = Hardware(Limits(cycles_per_sample=64), LayerEstimator(64, PART, mvau))
    with network.flat():
        *layers, between = hardware.used(network, grid(8))
    graph = export_qonnx(network, args=grid(8)[:1])
    options = {"cycles_per_sample": 64, "mvau": mvau, "progress": False}
    report = build_dataflow(graph, tmp_path, **options).report
    assert sum(layers, between) == of_report(report)
    built = {node["op_type"]: node["lut_estimate"] for node in report["layers"]}
    assert between.lut > built["StreamAdd_rtl"] + built["StreamingConcat_rtl"] > 0
    assert len(layers) == 3
