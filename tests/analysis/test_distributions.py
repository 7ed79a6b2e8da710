# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Distributions by name, their SQNR, and models of any kind."""

import json
import math

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from dhq_brevitas.analysis.distributions import (
    analysis_text,
    analyze_layers,
    classify,
    save_pictures,
)

N = 20001
UNIT = torch.linspace(-1, 1, N)
NORMAL = torch.distributions.Normal(0, 1).icdf(torch.linspace(1e-4, 1 - 1e-4, N))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (torch.zeros(5), "constant"),
        (UNIT, "uniform"),
        (torch.sin(UNIT * math.pi), "U-shaped"),
        (torch.cat([NORMAL / 5 - 1, NORMAL / 5 + 1]), "bimodal"),
        (NORMAL, "bell"),
        (NORMAL**3, "heavy-tailed"),
        (NORMAL.relu(), "one-sided"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_shapes_have_their_names(values, kind):
    assert classify(values) == kind


def model(linear=nn.Linear):
    torch.manual_seed(0)
    layers = nn.Sequential(linear(2, 32, bias=True), nn.Tanh(), linear(32, 3, bias=True))
    with torch.no_grad():
        layers[2].weight[:, 0] = 3.0  # heavy tails, which a rotation spreads
    return layers


INPUTS = torch.cartesian_prod(torch.linspace(-1, 1, 8), torch.linspace(-1, 1, 8))


@pytest.mark.parametrize("linear", [nn.Linear, qnn.QuantLinear])
def test_any_model_of_linear_layers_is_analyzed(linear, tmp_path):
    first, last = analyze_layers(model(linear), INPUTS, weight_bits=6, act_bits=8)
    assert (first.name, last.name) == ("0", "2")
    assert set(last.weight_sqnr) == {"none", "input 32", "input 32, signs", "input 16"}
    assert set(first.weight_sqnr) == {"none", "input 2", "input 2, signs", "output 32"}
    assert "channel" not in first.weight_sqnr["output 32"]
    assert last.weight["none"].kind == "heavy-tailed"
    assert last.weight_sqnr["input 32"]["tensor"] > last.weight_sqnr["none"]["tensor"] + 3
    assert sum(last.weight["none"].histogram) == pytest.approx(1, abs=1e-4)
    json.dumps([first.to_json(), last.to_json()], allow_nan=False)
    assert "heavy-tailed" in analysis_text([first, last])
    assert save_pictures([first, last], tmp_path) == ["analysis_0.png", "analysis_2.png"]
    with Image.open(tmp_path / "analysis_2.png") as image:
        assert len(np.unique(np.asarray(image.convert("L")))) > 20  # more than a background


def test_what_cannot_be_analyzed_is_refused():
    with pytest.raises(ValueError, match="0: a Conv2d cannot be analyzed, only linear layers can"):
        analyze_layers(nn.Sequential(nn.Conv2d(1, 1, 3)), INPUTS)
    with pytest.raises(ValueError, match="Tanh has no linear layer to analyze"):
        analyze_layers(nn.Tanh(), INPUTS)
    with pytest.raises(ValueError, match="the calibration data hold NaN"):
        analyze_layers(model(), INPUTS * float("nan"))
    with pytest.raises(ValueError, match=r"data of shape \(64, 1\) do not fit the model"):
        analyze_layers(model(), INPUTS[:, :1])
    with pytest.raises(ValueError, match="weight_bits=1 is out of range"):
        analyze_layers(model(), INPUTS, weight_bits=1)
