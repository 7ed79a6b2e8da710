# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The planner's choice of how many neurons of the first hidden layer to keep."""

import pytest
import torch

from dhq_brevitas.inr.layer_plan import weight_bits
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.planning import widths
from dhq_brevitas.planning.alternatives import Budget, average_act_bits
from dhq_brevitas.planning.widths import candidate_widths, plan_widths, same_bits
from dhq_brevitas.quantization.narrowing import narrowed

pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore")]
STEP = 2 / 16
CODES = torch.cartesian_prod(*[torch.arange(-8.0, 8.0)] * 2)
BASE = QuantSpec(scheme="stock", weight_bits=3, act_bits=6)


def models(twofold: bool, layers: int = 1, family: str = "siren"):
    """A network, whose neurons of the first hidden layer may be there twice, and half of it."""
    parameters = {"frequencies": 2} if family == "relu" else {}
    network = Inr(InrSpec(16, layers, family=family, parameters=parameters), seed=1)
    layer = network.linears[0 if network.spec.encoding is None else 1]
    if twofold:
        with torch.no_grad():
            layer.weight[1::2] = layer.weight[::2]
            layer.bias[1::2] = layer.bias[::2]
    networks = [network, narrowed(network, CODES * STEP, 8)]
    return [QuantInr.from_float(n, BASE, STEP, 4, CODES) for n in networks]


def choose(of, **options):
    return plan_widths(of[0], of, CODES, BASE, progress=False, **options)


@pytest.fixture(autouse=True)
def few_trials(monkeypatch):
    monkeypatch.setattr(widths, "MAX_TRIALS", 4)


def test_widths_that_are_tried():
    found = [candidate_widths(hidden) for hidden in (256, 192, 64, 24, 16, 1)]
    assert found == [[256, 208, 168], [192, 160, 128], [64, 56, 48], [24, 16], [16], [1]]


def test_the_same_bits_in_total():
    whole, half = (model.plans for model in models(False, layers=2))
    budget = same_bits(Budget(weight_bits(whole), 6.0), whole, half)
    assert budget.weight_bits == weight_bits(whole) == 32 * 12 + 256 * 3 + 48 * 3
    assert budget.act_bits * (8 + 16) == 6 * (16 + 16)
    budget = same_bits(Budget(10**6, 11.0), whole, half)
    assert (budget.weight_bits, budget.act_bits) == (12 * (16 + 128 + 48), 12)


@pytest.mark.parametrize("family", ["siren", "relu"])
def test_neurons_that_are_there_twice_are_not_kept(family):
    of = models(True, family=family)
    choice = choose(of)
    whole, half = choice.widths
    assert [whole.neurons, half.neurons] == [16, 8]
    assert choice.best is half
    assert whole.narrowing == 0 < half.narrowing < half.quantization < whole.quantization / 2
    assert [(x.in_features, x.out_features) for x in choice.plan.layers] == of[1].spec.sizes
    assert weight_bits(choice.plan.layers) <= weight_bits(of[0].plans)
    before, after = (sum(x.in_features for x in model.plans[1:]) for model in of)
    assert average_act_bits(choice.plan.layers) * after <= 6 * before
    # The scouted error is one of the plan's own trials, or it has found a better one.
    assert choice.plan.trials[0].measured <= half.quantization
    assert choice.text().splitlines()[-1].split()[-1] == "taken"
    assert [x["taken"] for x in choice.to_json()] == [False, True]


def test_negative_control_neurons_that_nothing_replaces_are_kept():
    choice = choose(models(False))
    whole, half = choice.widths
    assert choice.best is whole
    assert half.narrowing > whole.error
    assert (half.quantization, half.error) == (None, float("inf"))
    lines = choice.text().splitlines()
    assert lines[-2].endswith("taken")
    assert lines[-1].endswith("narrowing alone loses more than another width in all")
    assert choice.to_json()[1]["sqnr"] is None


def test_one_width_is_planned_once_and_why_is_said():
    of = models(False)
    choice = plan_widths(of[0], of[:1], CODES, BASE, progress=False)
    assert choice.best.quantization == choice.plan.trials[0].measured
    assert "no width is worth a try that is a multiple of 8" in choice.text()
    narrow = plan_widths(of[0], of[1:], CODES, BASE, progress=False)
    assert narrow.best.neurons == 8
    assert "worth a try" not in narrow.text()


def test_a_budget_that_only_few_neurons_keep():
    of = models(False)
    few = Budget(2 * 60, 6.0)  # of 40 weights, and the whole network has 80
    choice = choose(of, budget=few)
    assert choice.best.neurons == 8
    assert "budget=120 weight bits cannot be met" in choice.widths[0].reason
    with pytest.raises(ValueError, match="the smallest that can is 80, 2 bits for each of 40"):
        choose(of, budget=Budget(79, 6.0))
