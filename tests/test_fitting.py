# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dhq_brevitas as dhq
from dhq_brevitas.fitting import CoordinateGrid
from dhq_brevitas.inr.packed import pack_network
from dhq_brevitas.run.packing import UnpackOptions, unpack_run
from dhq_brevitas.util.errors import ArgumentError

QUICK = {"hidden": 16, "layers": 2, "steps": 250, "progress": False}


def field(points: np.ndarray) -> np.ndarray:
    """Two channels, in units of their own, over space and time."""
    return np.stack([300 + 5 * np.sin(3 * points[:, 0]), 300 - points[:, 1] ** 2], axis=1)


@pytest.fixture(scope="module")
def fitted():
    axes = np.meshgrid(np.linspace(-1, 1, 12), np.arange(5) * 0.25 + 7, indexing="ij")
    points = np.stack([axis.ravel() for axis in axes], axis=1)
    return points, field(points), dhq.fit(points, field(points), **QUICK)


def test_values_come_back_in_their_units(fitted):
    points, values, result = fitted
    out = result(points)
    assert out.dtype == np.float32
    error = np.mean((out - values) ** 2)
    expected = 10 * np.log10((values.max() - values.min()) ** 2 / error)
    assert result.psnr == pytest.approx(expected, abs=0.01)
    assert result.psnr > 20


def test_quantized_values(fitted):
    points, values, result = fitted
    quantized = result.quantize(steps=4, progress=False)
    out = quantized(points)
    error = np.mean((out - values) ** 2)
    expected = 10 * np.log10((values.max() - values.min()) ** 2 / error)
    assert quantized.psnr == pytest.approx(expected, abs=0.01)
    assert quantized.psnr > result.psnr - 4
    inputs = quantized.inputs(points[:3])
    assert torch.equal(inputs, torch.from_numpy(result.codes[:3]).float())


def test_the_rate_of_fine_tuning_follows_from_that_of_the_fit(fitted, tmp_path):
    points, values, family = fitted
    quick = {"hidden": 8, "layers": 1, "steps": 2, "learning_rate": 0.02, "progress": False}
    dhq.fit(points, values, **quick).save(tmp_path / "a.pt")
    fast = dhq.Fitted.load(tmp_path / "a.pt")
    assert (fast.learning_rate, family.learning_rate) == (0.02, 2e-3)
    spec = dhq.QuantSpec(weight_bits=4, first_weight_bits=4)

    def weights(**options):
        return fast.quantize(spec, steps=3, progress=False, **options).model.state_dict()

    default, fifth, slower = weights(), weights(learning_rate=0.004), weights(learning_rate=1e-3)
    assert all(torch.equal(default[name], fifth[name]) for name in default)
    assert any(not torch.equal(default[name], slower[name]) for name in default)


def test_one_axis_and_one_channel_may_be_vectors():
    time = np.arange(100) * 0.01
    result = dhq.fit(time, np.sin(9 * time), family="gaussian", **QUICK)
    assert result(time).shape == (100, 1)
    assert result.grid.bits == 7


def test_same_seed_same_network(fitted):
    points, values, result = fitted
    again = dhq.fit(points, values, **QUICK)
    assert torch.equal(again.network.linears[0].weight, result.network.linears[0].weight)


# -- coordinates -----------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(
    count=st.integers(2, 300),
    start=st.floats(-1e3, 1e3),
    spacing=st.floats(1e-3, 1e3),
    gap=st.integers(1, 50),
)
def test_points_of_a_grid_keep_their_place(count, start, spacing, gap):
    steps = np.unique(np.concatenate([np.arange(count), [count - 1 + gap]]))
    points = (start + spacing * steps)[:, None]
    grid = CoordinateGrid.of(points)
    codes = grid.codes(points)[:, 0]
    np.testing.assert_array_equal(codes - codes[0], steps)
    assert grid.rounding == 0
    assert codes.min() * grid.step >= -1
    assert codes.max() * grid.step <= 1
    np.testing.assert_allclose(grid.origin + codes * grid.spacing, points[:, 0], atol=1e-6)


def test_scattered_points_are_rounded_to_12_bits():
    points = np.random.default_rng(0).random((500, 2)) * [1, 1000]
    grid = CoordinateGrid.of(points)
    assert grid.bits == 12
    assert 0.4 < grid.rounding <= 0.5
    back = grid.origin + grid.codes(points) * grid.spacing
    assert (np.abs(back - points) <= np.array([1, 1000]) / 4095 / 2 * 1.001).all()


@pytest.mark.parametrize(("count", "kept"), [(5000, 1.0), (441_000, 1.0), (441_000, 0.1)])
def test_seconds_in_float32_keep_their_place(count, kept):
    """Each is up to 0.02 samples away from its own, and a neighbor's distance twice that."""
    indices = np.flatnonzero(np.random.default_rng(0).random(count) < kept)
    grid = CoordinateGrid.of((indices / 44100).astype(np.float32)[:, None].astype(float))
    codes = grid.codes((indices / 44100).astype(np.float32))[:, 0]
    np.testing.assert_array_equal(codes - codes[0], indices - indices[0])
    assert (grid.bits, grid.rounding) == ({5000: 13, 441_000: 19}[count], 0)


def test_float32_numbers_at_random_are_no_fine_grid():
    """All are multiples of 2^-24, and few of these occur."""
    points = np.random.default_rng(0).random((20_000, 1), dtype=np.float32)
    assert CoordinateGrid.of(points.astype(float)).bits == 12


def test_an_axis_that_does_not_vary():
    points = np.stack([np.arange(8), np.full(8, 3)], axis=1)
    grid = CoordinateGrid.of(points.astype(float))
    assert (grid.codes(points)[:, 1] == 0).all()


# -- what cannot be fitted -------------------------------------------------------------------------

LINE = np.arange(8.0)


@pytest.mark.parametrize(
    ("coordinates", "values", "message"),
    [
        (
            np.zeros((2, 2, 2)),
            LINE,
            r"coordinates of shape \(2, 2, 2\) .* must be numbers \[N\] or",
        ),
        (np.zeros(0), np.zeros(0), r"coordinates of shape \(0,\)"),
        (LINE.astype(str), LINE, "must be numbers"),
        (np.where(LINE > 6, np.nan, LINE), LINE, "coordinates hold NaN or infinity"),
        (LINE, LINE[:-1], r"values of shape \(7,\) must be numbers \[8\] or \[8, channels\]"),
        (LINE, np.zeros((8, 2, 2)), r"values of shape \(8, 2, 2\)"),
        (LINE, np.where(LINE > 6, np.inf, LINE), "values hold NaN or infinity"),
        (LINE, np.ones(8), "values are all 1; there is nothing to fit"),
    ],
)
def test_arrays_that_cannot_be_fitted(coordinates, values, message):
    with pytest.raises(ValueError, match=message):
        dhq.fit(coordinates, values, **QUICK)


def test_coordinates_of_another_rank_or_far_away(fitted):
    points, _, result = fitted
    with pytest.raises(ValueError, match="have 1 axes, the network has 2"):
        result(points[:, 0])
    with pytest.raises(ValueError, match="coordinates leave the range of the network"):
        result(points * 100)


# -- packed ----------------------------------------------------------------------------------------


def test_a_packed_network_comes_back(fitted, tmp_path):
    points, _, result = fitted
    quantized = result.quantize(dhq.QuantSpec(scale="float"), steps=0, progress=False)
    assert quantized.pack(tmp_path / "a.dhq") == (tmp_path / "a.dhq").stat().st_size
    again = dhq.unpack(tmp_path / "a.dhq")
    np.testing.assert_array_equal(again(points), quantized(points))
    assert (again.psnr, again.low, again.high) == (quantized.psnr, quantized.low, quantized.high)
    np.testing.assert_array_equal(again.grid.origin, quantized.grid.origin)
    np.testing.assert_array_equal(again.grid.spacing, quantized.grid.spacing)
    with pytest.raises(ValueError, match="coordinates leave the range of the network"):
        again(points * 100)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ({"origin": [0.0]}, "they have not 2 axes"),
        ({"spacing": [1.0, 0.0]}, "they are out of range"),
        ({"low": "a"}, "could not convert string to float"),
        ({"low": None}, "its samples are none"),
        ({"spacing": [[1], 2]}, "its samples are none"),
        ({"rounding": 10**400}, "int too large"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_packed_samples_that_are_none(fitted, tmp_path, samples, message):
    model = fitted[2].quantize(steps=0, progress=False).model
    whole = {"origin": [0.0, 0.0], "spacing": [1.0, 1.0], "rounding": 0.0, "low": 0.0, "high": 1.0}
    (tmp_path / "a.dhq").write_bytes(pack_network(model, {"samples": whole}))
    assert np.isnan(dhq.unpack(tmp_path / "a.dhq").psnr)
    (tmp_path / "a.dhq").write_bytes(pack_network(model, {"samples": whole | samples}))
    with pytest.raises(ValueError, match=f"a.dhq cannot be unpacked: .*{message}"):
        dhq.unpack(tmp_path / "a.dhq")


def test_a_packed_network_without_a_signal_is_none_for_the_command(fitted, tmp_path):
    fitted[2].quantize(steps=0, progress=False).pack(tmp_path / "a.dhq")
    options = UnpackOptions(tmp_path / "out", progress=False)
    with pytest.raises(
        ValueError, match=r"holds no signal of a run: read it with dhq_brevitas\.un"
    ):
        unpack_run(tmp_path / "a.dhq", options, print)
    assert not (tmp_path / "out").exists()


X = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 2.5}, "hidden=2.5 must be an integer of at least 1"),
        ({"hidden": True}, "hidden=True must be an integer"),
        ({"layers": "a"}, "layers='a' must be an integer"),
        ({"steps": float("inf")}, "steps=inf must be an integer"),
        ({"batch": 1.5}, "batch=1.5 must be an integer"),
        ({"seed": None}, "seed=None must be an integer"),
        ({"family": 3}, "family=3 must be a name: siren"),
        ({"parameters": "omega=3"}, "parameters='omega=3' must be a dictionary"),
        ({"device": None}, "device='None' is unknown: use auto, cpu, cuda"),
    ],
)
def test_arguments_of_other_types(options, message):
    given = {"hidden": 8, "layers": 1, "steps": 1, "progress": False} | options
    with pytest.raises(ArgumentError, match=message):
        dhq.fit(X, X, **given)


def test_tensors_with_gradients_and_values_without_columns():
    dhq.fit(torch.tensor(X, requires_grad=True), X, hidden=8, layers=1, steps=1, progress=False)
    with pytest.raises(ValueError, match=r"values of shape \(64, 0\) must be numbers"):
        dhq.fit(X, np.zeros((64, 0)))


def test_a_last_step_that_diverges():
    with pytest.raises(ValueError, match="training diverged at step 1"):
        dhq.fit(X, X, hidden=8, layers=1, steps=1, learning_rate=1e308, progress=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_bits": 8.5}, "weight_bits=8.5 must be an integer"),
        ({"weight_bits": None}, "weight_bits=None must be an integer"),
        ({"act_bits": "8"}, "act_bits='8' must be an integer"),
        ({"first_weight_bits": None}, "first_weight_bits=None must be an integer"),
        ({"signs_seed": 1.5}, "signs_seed=1.5 must be an integer of at least 0"),
    ],
)
def test_quantizers_of_other_types(options, message):
    with pytest.raises(ArgumentError, match=message):
        dhq.QuantSpec(**options)


def test_files_of_parts_that_do_not_fit(tmp_path):
    path = tmp_path / "a.pt"
    fitted = dhq.fit(X, X, hidden=8, layers=1, steps=1, progress=False)
    with pytest.raises(ArgumentError, match="quant='x' must be a QuantSpec"):
        fitted.quantize("x")
    fitted.save(path)
    whole = torch.load(path, weights_only=True)
    for key, value in (("spec", {}), ("network", {}), ("codes", 3), ("grid", {})):
        torch.save(whole | {key: value}, path)
        with pytest.raises(ValueError, match=r"a\.pt is not a file of Fitted\.save, or d"):
            dhq.Fitted.load(path)
