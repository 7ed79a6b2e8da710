# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A packed network comes back integer for integer; what is no packed network is refused."""

import json
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from dhq_brevitas.inr import packed
from dhq_brevitas.inr.families import FAMILIES, register_family
from dhq_brevitas.inr.integers import evaluate, layer_codes
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.packed import pack_network, unpack_network
from dhq_brevitas.inr.quant_spec import QuantSpec, plan_layers
from dhq_brevitas.inr.quantized import QuantInr, shapes_of_inr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.quantization.calibration import calibrate
from dhq_brevitas.quantization.settle import settle
from dhq_brevitas.signals.grid import code_bits, grid_codes, grid_step

pytestmark = pytest.mark.filterwarnings("ignore:Named tensors")

GRID = grid_codes((12, 12))
STEP, BITS = grid_step((12, 12)), code_bits(GRID)
CODES = torch.from_numpy(GRID).float()
SPEC = InrSpec(hidden=16, layers=2)
QUANTIZATIONS = [
    {},
    {"rotation": "after", "signs_seed": 7},
    {"rotation": "output", "granularity": "tensor", "signs_seed": 1, "scale": "dyadic"},
    {"rotation": "output", "scale": "float"},
    {"scheme": "stock", "granularity": "tensor"},
    {"scale": "dyadic", "weight_bits": 4, "act_bits": 4},
    {"scale": "float", "signs_seed": 3, "last_weight_bits": 12},
    {"weight_bits": 2, "act_bits": 2, "first_weight_bits": 2, "phase_bits": 4},
    {"weight_bits": 12, "act_bits": 12, "scale": "float", "phase_bits": 16},
]


def network(spec=SPEC, settled=True, **quant) -> QuantInr:
    """Settled, with weights as they start."""
    return of(spec, QuantSpec(**quant), settled)


def of(spec: InrSpec, quant: QuantSpec, settled=True) -> QuantInr:
    model = QuantInr.from_float(Inr(spec), quant, STEP, BITS, CODES)
    calibrate(model, CODES)
    with torch.no_grad():
        for linear in model.linears:  # so that channels differ, and biases are far from 0
            linear.bias.add_(torch.linspace(-0.3, 0.4, linear.out_features))
    if settled:
        settle(model, CODES)
    return model.eval()


def assert_same(model: QuantInr, restored: QuantInr) -> None:
    for one, other in zip(layer_codes(model, CODES), layer_codes(restored, CODES), strict=True):
        for name in ("x", "weight", "scale", "bias_codes", "table"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert restored.plans == model.plans
    expected, found = evaluate(model, CODES), evaluate(restored, CODES)
    np.testing.assert_array_equal(found.accumulators, expected.accumulators)
    np.testing.assert_array_equal(found.outputs, expected.outputs)
    assert np.ptp(expected.accumulators) > 0


@pytest.mark.parametrize("quant", QUANTIZATIONS, ids=str)
def test_every_quantization(quant):
    model = network(**quant)
    assert_same(model, unpack_network(pack_network(model, {}), "file").model)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family(family):
    spec = InrSpec(hidden=16, layers=1, family=family)
    model = network(spec)
    restored = unpack_network(pack_network(model, {}), "file").model
    assert_same(model, restored)
    assert (restored.spec.family, restored.limits) == (family, model.limits)


def test_plans_of_their_own():
    plans = plan_layers(shapes_of_inr(SPEC, BITS), QuantSpec())
    plans[0] = replace(plans[0], phase_bits=9, weight_bits=11, scale="float")
    plans[1] = replace(plans[1], order=4, weight_bits=3, scale="dyadic", signs_seed=2, sine_bits=7)
    plans[2] = replace(plans[2], rotation="none", order=1, granularity="tensor", act_bits=7)
    model = of(SPEC, QuantSpec(layers=tuple(plans)))
    assert_same(model, unpack_network(pack_network(model, {}), "file").model)


def test_weights_take_fewer_bits_than_they_have():
    model = network(InrSpec(hidden=128, layers=3))
    weights = sum(linear.weight.numel() for linear in model.linears)
    assert len(pack_network(model, {})) * 8 / weights < 8


def test_what_the_caller_adds():
    extra = np.arange(12).reshape(3, 4)
    about = {"name": "Ø", "list": [1, None]}
    unpacked = unpack_network(pack_network(network(), about, [extra]), "file")
    assert unpacked.about == about
    np.testing.assert_array_equal(unpacked.reader.read(3, 4), extra)


def test_a_network_that_is_not_settled():
    model = network(settled=False, scale="float")
    codes = layer_codes(unpack_network(pack_network(model, {}), "file").model, CODES)
    for one, other in zip(layer_codes(model, CODES), codes, strict=True):
        np.testing.assert_array_equal(one.weight, other.weight)


def test_what_does_not_come_back_is_not_written(monkeypatch):
    """Negative control of the comparison before anything is written."""
    read = packed._read_steps
    monkeypatch.setattr(packed, "_read_steps", lambda *args: [2 * s for s in read(*args)])
    with pytest.raises(RuntimeError, match="linear0: its integers do not come back"):
        pack_network(network(), {})


# -- families of one's own -------------------------------------------------------------------------


@pytest.fixture
def own(monkeypatch):
    """A registered family of another name, and the file of a network of it."""
    before = dict(FAMILIES)
    register_family(replace(FAMILIES["siren"], name="mine"))
    data = pack_network(network(InrSpec(hidden=8, layers=1, family="mine")), {})
    yield data
    FAMILIES.clear()
    FAMILIES.update(before)


def test_a_registered_family(own):
    assert unpack_network(own, "file").model.spec.family == "mine"


def test_a_family_that_nobody_registered(own):
    del FAMILIES["mine"]
    with pytest.raises(ValueError, match=r"file cannot be unpacked: its family 'mine' is not regi"):
        unpack_network(own, "file")


def test_a_family_of_another_name(own):
    with pytest.raises(ValueError, match="its family is 'mine', and finer defines 'finer'"):
        unpack_network(own, "file", "finer")


def test_a_family_that_makes_other_tables(own):
    turned = replace(FAMILIES["siren"].activation({"omega": 30.0}, 0), fn=torch.cos)
    register_family(replace(FAMILIES["siren"], name="mine", activation=lambda *_: turned))
    with pytest.raises(ValueError, match="the family 'mine' makes other tables here than the"):
        unpack_network(own, "file")


# -- damage ----------------------------------------------------------------------------------------

DATA = pack_network(network(InrSpec(hidden=8, layers=1)), {"x": 1})


def changed(values: dict) -> bytes:
    """DATA with these entries of its header, by their path, and the right checksum."""
    header, integers = packed._unframed(DATA, "file")
    for path, value in values.items():
        *parents, last = path.split("/")
        place = header
        for parent in parents:
            place = place[parent]
        place[last] = value
    return packed._framed(json.dumps(header), integers)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "file is no packed network: make one with dhq pack"),
        (b"DHQ\x01", "file is no packed network"),
        (b"\x89PNG" * 10, "file is no packed network"),
        (b"DHQ\x01" + DATA[4:], "file has version 1 of the format, and this dhq reads 2: use the"),
        (DATA[:-1], "file is damaged: its checksum is wrong"),
        (DATA + b"\0", "file is damaged: its checksum is wrong"),
        (DATA[:40] + bytes([DATA[40] ^ 1]) + DATA[41:], "file is damaged: its checksum is wrong"),
    ],
)
def test_damage(data, message):
    with pytest.raises(ValueError, match=message):
        unpack_network(data, "file")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"network/hidden": 2**40}, "hidden=1099511627776 in its header is out of range: 1 to"),
        ({"network/hidden": 2**14, "network/layers": 32}, "speaks of more than 67108864 weights"),
        ({"network/first_hidden": "all"}, "first_hidden=.all. must be an integer"),
        ({"network/hidden": 60000}, "hidden=60000 is out of range"),
        ({"network/hidden": True}, "hidden='True' in its header is none"),
        ({"network/layers": 0}, "layers=0 in its header is out of range"),
        ({"network/in_features": 10**9}, "in_features=1000000000 in its header is out of range"),
        ({"network/family": "x.py"}, "its family 'x.py' is not registered"),
        ({"network/family": 5}, "family='5' in its header is none"),
        ({"network/parameters": {"omega": "30"}}, "are no numbers"),
        ({"network/parameters": {"omega": 10**400}}, "int too large to convert to float"),
        ({"network/parameters": {"speed": 1.0}}, "speed=1.0 is no parameter of siren"),
        ({"network": []}, "in its header is none"),
        ({"coordinates": [0.1]}, "are no step and bits"),
        ({"coordinates": [-1.0, 5]}, "coordinate_step=-1.0 must be positive"),
        ({"coordinates": [0.1, 99]}, "coordinate_bits=99 is out of range"),
        ({"limits": [0.5, 0.5]}, "limits="),
        ({"limits": [-1]}, "limits="),
        ({"plan/weight_bits": [12]}, "weight_bits='\\[12\\]' in its header is none"),
        ({"plan/weight_bits": [12, 99]}, "weight_bits=99 is out of range"),
        ({"plan/weight_bits": [12, "a"]}, "weight_bits='a' must be an integer"),
        ({"plan/weight_bits": [2, 2]}, "a weight has more than 2 bits|damaged"),
        ({"plan/rotation": ["none", "up"]}, "rotation='up' is unknown"),
        ({"plan/order": [1, 2**30]}, "must be a power of two that divides"),
        ({"plan/scale": ["po2", "float"]}, ""),
        ({"tables": "0"}, "the family 'siren' makes other tables here"),
        ({"about": 7}, "about='7' in its header is none"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_headers_that_do_not_hold_together(values, message):
    if values == {"plan/scale": ["po2", "float"]}:  # a power of two is a float
        unpack_network(changed(values), "file")
        return
    with pytest.raises(ValueError, match=f"file cannot be unpacked: .*({message})"):
        unpack_network(changed(values), "file")


def framed(header: bytes) -> bytes:
    """A file with any deflated header, and the right checksum."""
    return packed.MAGIC + bytes([packed.VERSION]) + packed._digest(header) + header


def deflated(header: bytes) -> bytes:
    return zlib.compress(header, wbits=packed.RAW)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"", "has more than 16777216 bytes, or no end"),
        (b"\xff", "invalid block type"),
        (b"\x03\x02\x00", "invalid distance too far back|Expecting value"),
        (deflated(b"[1]"), "its header is no object"),
        (deflated(b"{"), "Expecting property name"),
        (deflated(b"[" * 10**6), "recursion|nest"),
        (deflated(b'{"a": NaN}'), "its header holds NaN"),
        (deflated(b"\x80abc"), "decode"),
        (deflated(b" " * (1 << 25)), "has more than 16777216 bytes, or no end"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_headers_that_are_none(header, message):
    with pytest.raises(ValueError, match=f"file cannot be unpacked: .*({message})"):
        unpack_network(framed(header), "file")


def test_what_is_usual_takes_few_bytes():
    """Header and checksum of a network of five layers, all planned alike, and without a weight."""
    model = network(InrSpec(hidden=16, layers=4))
    header, integers = packed._unframed(data := pack_network(model, {}), "file")
    assert len(data) - len(integers) < 90
    assert (header["limits"], header["plan"]["granularity"]) == (None, "channel")


def test_biases_without_the_bits_that_none_of_them_has():
    model, short = network(), network()
    layers = layer_codes(short, CODES)
    with torch.no_grad():
        for linear, layer in zip(short.linears, layers, strict=True):
            codes = np.rint(layer.bias_codes / 16) * 16
            linear.bias.copy_(torch.from_numpy(codes * layer.scale))
    assert_same(short, unpack_network(packed_short := pack_network(short, {}), "file").model)
    biases = sum(layer.bias.size for layer in layers)
    saved = len(pack_network(model, {})) - len(packed_short)
    assert saved == pytest.approx(4 * biases / 8, abs=4)


def test_the_encoding_is_the_familys(monkeypatch):
    """Neither its weights nor its biases are in the file; another encoding is noticed."""
    inr = Inr(InrSpec(hidden=16, layers=1, family="relu"))
    model = QuantInr.from_float(inr, QuantSpec(), STEP, BITS, CODES)
    calibrate(model, CODES)
    settle(model, CODES)
    weights, biases = packed._expected(model)[0]
    codes = layer_codes(model, CODES)[0]
    np.testing.assert_array_equal(codes.weight, weights)
    np.testing.assert_array_equal(codes.bias_codes, np.rint(biases / codes.scale))
    assert np.abs(weights).max() > 0
    data = pack_network(model, {})
    weight, bias = inr.spec.encoding
    other = replace(FAMILIES["relu"], encoding=lambda *_: (-weight, bias))
    monkeypatch.setitem(FAMILIES, "relu", other)
    with pytest.raises(ValueError, match="the family 'relu' makes other tables here"):
        unpack_network(data, "file")
