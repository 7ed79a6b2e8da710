# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The operator of training: the numbers of the same written in PyTorch, whoever computes them."""

import math
from types import SimpleNamespace

import pytest
import torch

from dhq_brevitas.nn import activation_kernel
from dhq_brevitas.nn.activation_kernel import FakeQuantize, Grid, Table, activation
from dhq_brevitas.nn.rotation import Rotation, Side

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(300, 192, generator=GENERATOR)
WEIGHTS = torch.randn(300, 192, generator=GENERATOR)
GRID = Grid(-8.0, 7.0, floors=False, passes=False)


def gradients(y, *of):
    return torch.autograd.grad((y * WEIGHTS).sum(), of)


@pytest.mark.parametrize("floors", [False, True])
@pytest.mark.parametrize("passes", [False, True])
@pytest.mark.parametrize("order", [1, 8, 64])
@pytest.mark.parametrize("after", [False, True])
def test_rotation_and_quantizer(order, after, floors, passes):
    grid = Grid(-8.0, 7.0, floors, passes)
    rotation = Rotation.seeded(Side.INPUT, order, 192, seed=None if after else 3)
    x, scale = X.clone().requires_grad_(), torch.tensor([0.3]).requires_grad_()
    y = activation(x, rotation=rotation, after=after, scale=scale, grid=grid)
    expected = x if after else rotation.rotate_input(x)
    expected = FakeQuantize.apply(expected, scale, grid)
    expected = rotation.rotate_input(expected) if after else expected
    torch.testing.assert_close(y, expected, rtol=0, atol=0)
    for found, wanted in zip(gradients(y, x, scale), gradients(expected, x, scale), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_scale_for_each_row():
    x, scale = X.clone().requires_grad_(), torch.rand(300, 1).add(0.1).requires_grad_()
    y, expected = activation(x, scale=scale, grid=GRID), FakeQuantize.apply(x, scale, GRID)
    assert torch.equal(y, expected)
    for found, wanted in zip(gradients(y, x, scale), gradients(expected, x, scale), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_powers_of_two_at_the_ends_of_the_range():
    """Where 1 / scale is no normal number, too, and for numbers that are none."""
    numbers = [0.0, -0.0, 1e-45, 1e-38, 2.0**-130, -3.5, 2.5, 3e38, math.inf, -math.inf, math.nan]
    x = torch.tensor(numbers).repeat(2)
    for exponent in (-149, -140, -127, -126, -1, 0, 125, 126, 127):
        scale = torch.tensor(2.0).pow(exponent)
        y, expected = activation(x, scale=scale, grid=GRID), FakeQuantize.apply(x, scale, GRID)
        torch.testing.assert_close(y, expected, rtol=0, atol=0, equal_nan=True)
        assert torch.equal(y.signbit(), expected.signbit())


@pytest.mark.parametrize("unit", [2.0, 3.0])
@pytest.mark.parametrize("passes", [False, True])
def test_a_table_in_a_range(unit, passes):
    """Codes -2 … 1 of x / unit · 2, beyond which they are clipped; NaN stays what it is."""
    values, slopes = torch.tensor([5.0, 6.0, 7.0, 8.0]), torch.tensor([0.5, 0.25, 2.0, 4.0])
    table = Table.of(
        values, slopes, unit=unit, bins=2.0, least=-2.0, most=1.0, offset=2, passes=passes
    )
    x = torch.tensor([-1.5, -1.0, -0.1, 0.0, 0.9, 1.0, 1e9, math.nan]) * unit
    y = activation(x.requires_grad_(), table=table)
    (grad,) = torch.autograd.grad(y.sum(), x)
    assert y.tolist()[:-1] == [5, 5, 6, 7, 8, 8, 8]
    assert grad.tolist()[:-1] == [0.5 * passes, 0.5, 0.25, 2, 4, 4 * passes, 4 * passes]
    assert y[-1].isnan()
    assert grad[-1].isnan()


def test_a_table_that_wraps_then_rotation_and_quantizer():
    """More numbers than a thread takes alone: the same bits, however many threads there are."""
    phases = torch.arange(16) / 16
    table = Table.of(
        torch.sin(2 * math.pi * phases), torch.cos(2 * math.pi * phases),
        unit=1.0, bins=16.0, least=-(2.0**23), most=2.0**23 - 1, offset=0, passes=False,
    )  # fmt: skip
    rotation = Rotation.seeded(Side.INPUT, 64, 192, seed=1)
    x, scale = X.clone().requires_grad_(), torch.tensor(0.25).requires_grad_()
    codes = torch.floor(x.detach() * 16).long() % 16
    expected = FakeQuantize.apply(rotation.rotate_input(table.values[codes]), scale, GRID)
    results = []
    threads = torch.get_num_threads()
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            y = activation(x, table=table, rotation=rotation, scale=scale, grid=GRID)
            results.append([y, *gradients(y, x, scale)])
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(results[0][0], expected, rtol=0, atol=0)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_it_is_registered_as_pytorch_wants_it():
    x, scale = X[:4].clone().requires_grad_(), torch.tensor(0.25).requires_grad_()
    arguments = None, None, [], None, 64, 0.125, False, scale, GRID.numbers
    checks = "test_schema", "test_faketensor", "test_autograd_registration"
    torch.library.opcheck(
        torch.ops.dhq_brevitas.activation.default, (x, *arguments), test_utils=checks
    )


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="192 channels, which do not fit a rotation of order 128"):
        activation(X, rotation=Rotation.seeded(Side.INPUT, 128, 256, seed=None))
    with pytest.raises(ValueError, match="7 scales do not share out 57600 numbers"):
        activation(X, scale=torch.ones(7, 1), grid=GRID)


def test_without_its_kernel_tensors_are_not_for_it(monkeypatch):
    assert activation_kernel.in_kernel(X)
    assert not activation_kernel.in_kernel(X.double())
    assert not activation_kernel.in_kernel(X.to("meta"))
    monkeypatch.setattr(activation_kernel, "_library", lambda: None)
    assert not activation_kernel.in_kernel(X)
    with pytest.raises(RuntimeError, match="without its compiled kernel"):
        activation(X, scale=torch.tensor(0.25), grid=GRID)


def test_tensors_on_cuda_are_for_it_where_its_kernels_run(monkeypatch):
    x = SimpleNamespace(device=torch.device("cuda"), dtype=torch.float32)
    for answer in (False, True):
        monkeypatch.setattr(activation_kernel, "on_cuda", lambda answer=answer: answer)
        assert activation_kernel.in_kernel(x) is answer


def test_without_a_stage_it_is_a_copy():
    assert torch.equal(activation(X), X)
