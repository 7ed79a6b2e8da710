# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Sensitivities, the integer program, plans and their files."""

import itertools
import json
import re
from dataclasses import replace

import pytest
import torch

from dhq_brevitas.inr.layer_plan import LayerShape, check_plans, weight_bits
from dhq_brevitas.inr.layers import layers_of
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quant_spec import QuantSpec, plan_layers
from dhq_brevitas.inr.quantized import QuantInr, shapes_of_inr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.nn.rotation import Rotation, Side
from dhq_brevitas.nn.scales import Granularity, ScaleKind
from dhq_brevitas.planning.alternatives import (
    MULTIPLIED_BITS,
    Alternative,
    Budget,
    _rotated_after,
    average_act_bits,
    connected,
    measure_alternatives,
    measure_tables,
    predicted_error,
)
from dhq_brevitas.planning.limits import Hardware, Limits, Resources
from dhq_brevitas.planning.neighbors import neighbors
from dhq_brevitas.planning.plan_file import (
    layers_to_json,
    plan_to_json,
    read_limits,
    read_plan,
)
from dhq_brevitas.planning.plan_text import plan_to_text
from dhq_brevitas.planning.program import IntegerProgram
from dhq_brevitas.planning.search import make_plan
from dhq_brevitas.planning.sensitivity import Probe

SPEC = InrSpec(hidden=8, layers=2, out_features=3, parameters={"omega": 6.0})
STEP = 2 / 16
CODES = torch.cartesian_prod(torch.arange(-8.0, 8.0), torch.arange(-8.0, 8.0))
INR = Inr(SPEC, seed=3)
UNIFORM = plan_layers(shapes_of_inr(SPEC, 4), QuantSpec(scheme="stock", weight_bits=4))
CHANNEL = Granularity.CHANNEL


def build(spec):
    return QuantInr.from_float(INR, spec, STEP, 4)


def model():
    return build(QuantSpec(scheme="stock"))


def probe():
    return Probe(model(), CODES)


@pytest.fixture(scope="module")
def plan():
    base = QuantSpec(weight_bits=4, scale="float")
    return make_plan(model(), CODES, base, progress=False, max_trials=8)


def some_alternatives(seed):
    generator = torch.Generator().manual_seed(seed)
    result = []
    for index, layer in enumerate(UNIFORM):
        options = []
        for bits, act in itertools.product((2, 4, 6), (6, 8, 10) if index else (layer.act_bits,)):
            noise = torch.rand(2, generator=generator).tolist()
            error = (noise[0] * 4.0**-bits, noise[1] * 4.0**-act * (index > 0))
            options.append(Alternative(Rotation(), bits, act, CHANNEL, *error))
        result.append(options)
    return result


@pytest.mark.parametrize("seed", range(3))
def test_the_program_finds_the_best_of_all_combinations(seed):
    alternatives, budget = some_alternatives(seed), Budget(4 * 104, 8)
    found = IntegerProgram(alternatives, UNIFORM, budget).solve()
    assert budget.holds(found)
    best = min(
        sum(a.error for a in picked)
        for picked in itertools.product(*alternatives)
        if sum(x.weights * a.weight_bits for a, x in zip(picked, UNIFORM, strict=True)) <= 416
        and sum(8 * a.act_bits for a in picked[1:]) <= 8 * 16
    )
    assert predicted_error(alternatives, found) == pytest.approx(best, rel=1e-9)


def test_tables_cost_less_error_the_more_entries_they_have():
    network = model()
    *tables, none = measure_tables(Probe(network, CODES), network.plans, layers_of(network, CODES))
    assert none == {}
    for errors in tables:
        assert list(errors) == [8, 9, 10, 11, 12]
        # Each bit halves the error: a quarter of its square, here over four bits.
        assert 100 < errors[8] / errors[12] < 600


def test_a_limit_on_block_ram_shortens_the_table_that_matters_least():
    class Blocks(TablePrices):
        """A block for each 2^9 entries."""

        def table(self, index, phase_bits, sine_bits):
            return Resources(bram18=2 ** (phase_bits - 9) if sine_bits else 0)

    errors = [{9: 4e-3, 10: 1e-3, 11: 0.0}, {9: 2e-3, 10: 5e-4, 11: 0.0}, {}]
    alternatives, budget, prices = some_alternatives(0), Budget(4 * 104, 8), Blocks()
    bits = {}
    for limit in (1, 2, 3, 4, 6, 8):
        limits = Limits(bram18=limit)
        layers = IntegerProgram(alternatives, UNIFORM, budget, prices, errors).solve(limits)
        bits[limit] = layers and [layer.phase_bits for layer in layers[:-1]]
    assert bits == {1: None, 2: [9, 9], 3: [10, 9], 4: [10, 10], 6: [11, 10], 8: [11, 11]}


class TablePrices:
    """Prices without a network: LUTs of a layer by its bits, of a table by its width, of joints."""

    between = Resources(lut=7)

    def linear(self, index, layer):
        return Resources(lut=layer.weight_bits * (index + 1) + layer.act_bits)

    def table(self, index, phase_bits, sine_bits):
        return Resources(lut=0 if sine_bits is None else 3 * sine_bits - index)

    def of(self, layers):
        parts = [
            self.linear(i, x) + self.table(i, x.phase_bits, x.sine_bits)
            for i, x in enumerate(layers)
        ]
        return sum(parts, self.between)


@pytest.mark.parametrize("limit", [69, 70, 82, 1000])
def test_the_program_finds_the_best_within_a_limit_on_luts(limit):
    alternatives, budget, prices = some_alternatives(4), Budget(4 * 104, 12), TablePrices()
    plans = {}
    for picked in itertools.product(*alternatives):
        changes = [{"weight_bits": a.weight_bits, "act_bits": a.act_bits} for a in picked]
        layers = connected([replace(x, **c) for x, c in zip(UNIFORM, changes, strict=True)])
        if budget.holds(layers):
            plans[layers] = sum(a.error for a in picked)
    fitting = {layers: e for layers, e in plans.items() if prices.of(layers).lut <= limit}
    smallest = min(prices.of(layers).lut for layers in plans)
    assert smallest == 70
    program = IntegerProgram(alternatives, UNIFORM, budget, prices)
    found = program.solve(Limits(lut=limit))
    if limit < smallest:
        assert found is None
    else:
        assert prices.of(found).lut <= limit
        best = min(fitting.values())
        assert predicted_error(alternatives, found) == pytest.approx(best, rel=1e-9)
    least = program.solve(least="lut")
    assert prices.of(least).lut == smallest


def test_a_budget_nothing_fits_gives_no_layers():
    assert IntegerProgram(some_alternatives(0), UNIFORM, Budget(100, 8)).solve() is None


def test_bits_are_counted_honestly():
    assert weight_bits(UNIFORM) == 16 * 12 + 64 * 4 + 24 * 4
    assert average_act_bits(UNIFORM) == 8
    layers = connected(
        [*UNIFORM[:-1], plan_layers(shapes_of_inr(SPEC, 4), QuantSpec(act_bits=6))[-1]]
    )
    assert [layer.sine_bits for layer in layers] == [8, 8, None]  # 6 + 2 ahead of a rotation
    assert average_act_bits(layers) == 7


def test_errors_fall_with_bits_and_rotation_returns_to_the_same_weight():
    measured = probe()
    rotations = (measured.rotation(1, *r) for r in ((Side.INPUT, 8, 5), (Side.OUTPUT, 8)))
    for turn in (Rotation(), *rotations):
        kind = Granularity.TENSOR if turn.side == Side.OUTPUT else CHANNEL
        errors = [measured.weight_error(1, turn, b, ScaleKind.FLOAT, kind) for b in (3, 6, 12)]
        # Each bit halves the error: a quarter of its square, here over three and six bits.
        assert errors[0] > 8 * errors[1] > 64 * errors[2]
        acts = [measured.act_error(1, turn, bits, ScaleKind.FLOAT) for bits in (4, 8, 12)]
        assert acts[0] > 16 * acts[1] > 256 * acts[2]
    torch.testing.assert_close(INR(CODES * STEP), measured.output, rtol=0, atol=1e-5)


def test_after_the_quantizer_only_the_better_errors_of_both_are_paid(plan):
    found = {(str(a.turn), a.weight_bits, a.act_bits): a for a in plan.alternatives["linear1"]}
    after = [a for a in found.values() if a.turn.side == Side.AFTER]
    assert after
    for a in after:
        before = found[str(replace(a.turn, side=Side.INPUT)), a.weight_bits, a.act_bits]
        assert a.weight_error == before.weight_error
        assert a.act_error == found["none", a.weight_bits, a.act_bits].act_error
        assert a.multiplied_bits == a.act_bits + 3
    # What the input program adds up is what quantizing both tensors costs.
    a, measured = after[0], probe()
    error = measured.weight_error(1, a.turn, a.weight_bits, ScaleKind.FLOAT, CHANNEL)
    assert a.weight_error == pytest.approx(error, rel=1e-6)


def test_a_multiplier_is_not_wider_than_a_dsp_takes():
    layer = replace(UNIFORM[1], in_features=1024)
    rotated = replace(layer, rotation=Side.AFTER, order=512)
    assert (rotated.act_bits, rotated.multiplied_bits) == (8, 17)
    options = [
        Alternative(turn, 4, act, CHANNEL, 1.0, 1.0)
        for turn in (Rotation(), Rotation(Side.INPUT, 1024))
        for act in (7, 8)
    ]
    assert [(a.act_bits, a.multiplied_bits) for a in _rotated_after(options, 17)] == [(7, 17)]
    # What FINN's MVAU does not take, the kernel of this package does.
    assert len(_rotated_after(options, MULTIPLIED_BITS["matrix_vector"])) == 2
    wide = replace(rotated, act_bits=9)
    assert Budget(10**9, 12).holds([UNIFORM[0], wide])
    assert not Budget(10**9, 12, MULTIPLIED_BITS["finn"]).holds([UNIFORM[0], wide])


def test_a_layer_that_is_called_twice_is_named():
    linear = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match="0: the network calls this layer twice"):
        Probe(torch.nn.Sequential(linear, torch.nn.ReLU(), linear), CODES)


def test_the_plan_keeps_the_budget_and_is_the_best_that_was_tried(plan):
    assert plan.budget == Budget(16 * 12 + 88 * 4, 8)
    assert all(plan.budget.holds(trial.layers) for trial in plan.trials)
    measured = [trial.measured for trial in plan.trials]
    assert measured == sorted(measured)
    assert plan.layers == plan.trials[0].layers
    names = {trial.name for trial in plan.trials}
    assert {
        "program",
        "uniform, not rotated",
        "uniform, rotated",
        "uniform, rotated after",
    } <= names
    assert len(plan.trials) == 8


@pytest.mark.parametrize(("bits", "widest"), [(4, 12), (14, 10), (16, 8), (24, 0)])
def test_wide_inputs_leave_no_sums_that_no_transform_takes(bits, widest):
    """Of two inputs: bits + weight bits - 1 + 1 of at most 24."""
    shapes = shapes_of_inr(SPEC, bits)
    plans = plan_layers(shapes, QuantSpec(scheme="stock", weight_bits=4))
    found = measure_alternatives(probe(), plans, shapes, Budget(1000), False, measured=False)
    turned = [[a.weight_bits for a in of if a.turn.side == Side.OUTPUT] for of in found]
    assert max(turned[0], default=0) == widest
    assert max(turned[1]) == 12


def test_steps_from_a_plan_fit_the_network():
    """A layer behind a joint of 10 bits, rotated and quantized to 9: unrotated it takes the 10."""
    shapes = [
        LayerShape("first", 2, 8, True, 4, of_inputs=True),
        LayerShape("last", 8, 1, False, 10),
    ]
    layers = plan_layers(shapes, QuantSpec(act_bits=9))
    steps = dict(neighbors(tuple(layers), shapes))
    for changed in steps.values():
        check_plans(changed, shapes)
    assert layers[1].act_bits == 9
    turned = {name: plan[1].act_bits for name, plan in steps.items() if "rotated" in name}
    assert turned == {"last not rotated": 10, "last rotated after": 10}


def estimated(layers):
    """An estimator: LUTs for rotations and weights, block RAMs for wide tables."""
    return [
        Resources(
            lut=100 * (layer.rotation.order > 1) + layer.weight_bits,
            bram18=layer.output_bits // 4,
            cycles=8,
        )
        for layer in layers
    ]


def limited(max_trials=6, **limits):
    base = QuantSpec(weight_bits=4, scale="float")
    hardware = Hardware(Limits(**limits, cycles_per_sample=8), estimated)
    return make_plan(model(), CODES, base, None, False, max_trials, hardware=hardware)


def test_plans_keep_to_limits_on_hardware(tmp_path):
    plan = limited(lut=99)
    assert all(trial.total.lut <= 99 for trial in plan.trials)
    assert {layer.rotation for layer in plan.layers} == {Side.NONE}
    values = plan_to_json(plan)
    total = values["hardware"]["total"]
    assert total["lut"] == sum(layer["lut"] for layer in values["hardware"]["layers"].values())
    assert re.search(rf"network +{total['lut']} ", plan_to_text(plan))
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(values))
    assert read_plan(file) == plan.layers
    assert read_limits(file) == Limits(lut=99, cycles_per_sample=8)
    values["hardware"]["limits"] = {"lut": 99}  # it does not say for which build
    file.write_text(json.dumps(values))
    assert read_limits(file) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cycles_per_sample": 0}, "cycles_per_sample=0 must be at least 1"),
        ({"lut": "9"}, "max_lut='9' must be an integer of at least 0"),
        ({"ff": 9}, "unexpected keyword argument 'ff'"),
        ({"fpga_part": 7}, "fpga_part=7 is no FPGA part"),
    ],
)
def test_limits_of_a_plan_file_that_cannot_be_used_are_refused(change, message, tmp_path):
    file = tmp_path / "plan.json"
    limits = {"lut": 99, "cycles_per_sample": 8} | change
    file.write_text(json.dumps({"layers": [], "hardware": {"limits": limits}}))
    with pytest.raises(ValueError, match=message) as error:
        read_limits(file)
    assert str(file) in str(error.value)


def test_limits_that_no_plan_keeps_are_refused_and_the_smallest_named_is_planned(monkeypatch):
    def measuring(*args):
        raise AssertionError("a sensitivity was measured")

    with monkeypatch.context() as patch:
        patch.setattr(Probe, "weight_error", measuring)
        patch.setattr(Probe, "act_error", measuring)
        with pytest.raises(ValueError, match="max_lut=5, max_bram18=1 cannot be met with 8") as no:
            limited(lut=5, bram18=1)
        with pytest.raises(AssertionError, match="a sensitivity was measured"):
            limited(lut=99)
    smallest = re.search(r"smallest that can is (\d+) lut, (\d+) bram18", str(no.value))
    lut, bram18 = map(int, smallest.groups())
    # Few bits make small tables as well as few LUTs, so both can be had at once.
    total = limited(lut=lut, bram18=bram18, max_trials=1).trials[0].total
    assert (total.lut, total.bram18) == (lut, bram18)


def test_a_plan_file_can_be_edited_and_read_back(plan, tmp_path):
    file = tmp_path / "plan.json"
    values = json.loads(json.dumps(plan_to_json(plan)))
    file.write_text(json.dumps(values))
    assert read_plan(file) == plan.layers
    values["layers"][1]["weight_bits"] = 5
    file.write_text(json.dumps({"layers": values["layers"]}))
    assert read_plan(file)[1].weight_bits == 5


def test_the_table_says_what_the_alternatives_cost(plan):
    text = plan_to_text(plan)
    assert "linear1, weight" in text
    assert "tried in earnest" in text
    assert f"{weight_bits(plan.layers)} of 544 weight bits" in text
    assert "thresholds" not in text
    wide = [replace(plan.layers[1], rotation="input", order=8, act_bits=bits) for bits in (8, 10)]
    text = plan_to_text(replace(plan, layers=(plan.layers[0], *wide)))
    assert text.count("thresholds") == 1
    assert "linear1 is rotated ahead of a quantizer of 10 bits, of 1023 thresholds" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("layers"), "is no plan: it has no 'layers'"),
        (lambda v: v["layers"][1].pop("order"), r"linear1 lacks \['order'\]"),
        (lambda v: v["layers"][1].update(color=3), r"linear1 lacks nothing and has unknown \['co"),
        (lambda v: v["layers"][2].update(weight_bits=40), "linear2: weight_bits=40 is out of ran"),
        (lambda v: v["layers"][2].update(weight_bits="x"), "linear2: "),
        (lambda v: v.update(layers=[]), "'layers' must be a list"),
    ],
)
def test_a_plan_file_that_cannot_be_used_is_refused(change, message, tmp_path):
    values = {"layers": layers_to_json(UNIFORM)}
    change(values)
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=message):
        read_plan(file)


def test_a_missing_plan_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"there is no plan file .*x.json: make one with dhq plan"):
        read_plan(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("codes", "budget", "message"),
    [
        (CODES * float("inf"), None, "inputs: the calibration data hold NaN or infinity"),
        (CODES[:, 0], None, r"inputs: calibration data of shape \(256,\) must be \[N, n\]"),
        (CODES, Budget(207), "budget=207 weight bits cannot be met: the smallest that can is 208"),
        (CODES, Budget(500, 13), "act_bits=13 cannot be met: use 2 to 12"),
    ],
)
def test_what_cannot_be_planned_is_refused(codes, budget, message):
    with pytest.raises(ValueError, match=message):
        make_plan(model(), codes, QuantSpec(), budget, progress=False)
