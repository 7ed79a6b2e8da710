# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The kernels for CUDA in Triton's interpreter against those of CPUs: the same bits.

pytest runs this in a process of its own (test_triton_kernels.py), which has to have
TRITON_INTERPRET=1 before Triton is imported.
"""

import math

import pytest
import torch

from dhq_brevitas.nn import hadamard_kernel, triton_kernels
from dhq_brevitas.nn.activation_kernel import Grid, Table
from dhq_brevitas.nn.hadamard import MAX_ORDER, hadamard_matrix, random_signs

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, about NaN
GENERATOR = torch.Generator().manual_seed(0)
CPU = torch.ops.dhq_brevitas
NO_TABLE, NO_ROTATION, NO_GRID = (None, None, []), (None, 0, 1.0, False), []
GRID = Grid(-8.0, 7.0, floors=False, passes=False).numbers


def numbers(*shape):
    """Halves of 0.25, some zeros of both signs, and many that are clipped to -2 … 1.75."""
    x = torch.randn(shape, generator=GENERATOR)
    halves = torch.randint(-12, 12, shape, generator=GENERATOR) * 0.125
    chosen = torch.rand(shape, generator=GENERATOR)
    return torch.where(chosen < 0.3, halves, torch.where(chosen < 0.35, -0.0, 2 * x))


def assert_same_bits(found, expected):
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    known = ~expected.isnan()
    assert torch.equal(found.signbit()[known], expected.signbit()[known])


def table(unit, periodic):
    phases = torch.arange(16) / 16
    least, most = (-(2.0**23), 2.0**23 - 1) if periodic else (-8.0, 7.0)
    made = Table.of(
        torch.sin(2 * math.pi * phases), torch.cos(2 * math.pi * phases),
        unit=unit, bins=8.0, least=least, most=most, offset=0 if periodic else 8, passes=periodic,
    )  # fmt: skip
    return made.values, made.slopes, made.numbers


def compare(x, *stages):
    """Outputs and gradients in x to the bit; returns both gradients of the scale."""
    assert_same_bits(triton_kernels.activation(x, *stages), CPU.activation(x, *stages))
    grad = numbers(*x.shape)
    found, of_scale = triton_kernels.activation_backward(grad, x, *stages)
    expected, scale_expected = CPU.activation_backward(grad, x, *stages)
    assert_same_bits(found, expected)
    # Its terms are added up in another order.
    torch.testing.assert_close(of_scale, scale_expected, rtol=1e-5, atol=1e-3, equal_nan=True)
    return of_scale


def rare(*values):
    """For all of these there is the exhaustive test."""
    return [pytest.param(value, marks=pytest.mark.exhaustive) for value in values]


@pytest.mark.parametrize("order", [1, 2, 16, 1024, *rare(4, 8, 32, 64, 128, 256, 512, 2048, 4096)])
def test_transform(order):
    x, signs = numbers(3, 3 * order), random_signs(3 * order, 1)
    for before, behind, scale in (None, None, 1.0), (signs, None, 0.3), (None, signs, 1 / 3):
        given = x, before, behind, order, scale
        assert_same_bits(triton_kernels.transform(*given), hadamard_kernel.transform(*given))
    # The interpreter rounds to bfloat16 otherwise than the card: of integers nothing is rounded.
    for given in (
        (x.double(), signs, None),
        (x.half(), None, signs),
        (x.sign().bfloat16(), signs, None),
    ):
        given = *given, order, 1 / order if given[0].dtype == torch.bfloat16 else 0.3
        assert_same_bits(triton_kernels.transform(*given), hadamard_kernel.transform(*given))


def test_transform_of_many_rows_of_columns_and_of_nothing():
    for x in (numbers(70, 192), numbers(192, 70).T, numbers(2, 3, 0, 192), numbers(192)):
        given = x, random_signs(192, 2), None, 64, 0.125
        assert_same_bits(triton_kernels.transform(*given), hadamard_kernel.transform(*given))


@pytest.mark.parametrize("floors", [False, True])
@pytest.mark.parametrize("passes", [False, True])
def test_quantizer(floors, passes):
    grid = Grid(-8.0, 7.0, floors, passes).numbers
    # With a scale of 1/4 many codes lie in the middle of two.
    for scale in (
        torch.tensor(0.25),
        torch.tensor([0.3]),
        torch.rand(5, 1, generator=GENERATOR) + 0.1,
    ):
        for size in (1, 53, 1100):
            compare(numbers(5, size), *NO_TABLE, *NO_ROTATION, scale, grid)


@pytest.mark.parametrize("order", [2, 256, *rare(1, 16, 1024, MAX_ORDER)])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("unit", [None, 1.0, 3.0])
def test_table_rotation_and_quantizer(order, after, unit):
    read = NO_TABLE if unit is None else table(unit, periodic=unit == 3)
    rotation = None if after else random_signs(3 * order, 3), order, 0.5, after
    compare(numbers(5, 3 * order), *read, *rotation, torch.tensor(0.25), GRID)
    compare(numbers(2, 3 * order), *read, *rotation, None, NO_GRID)


def test_a_table_alone_of_numbers_that_are_none():
    x = numbers(7, 33)
    x[:3, :5] = torch.tensor([math.nan, math.inf, -math.inf, 3e38, -1e-40])
    for unit, periodic in (1.0, False), (1.0, True), (3.0, False):
        compare(x, *table(unit, periodic), *NO_ROTATION, None, NO_GRID)


def test_what_is_none_or_infinite_is_quantized_as_on_cpus():
    x = numbers(4, 64)
    x[1, :4] = torch.tensor([math.nan, math.inf, -math.inf, -1e-40])
    assert compare(x, *NO_TABLE, *NO_ROTATION, torch.tensor(0.25), GRID).isnan()
    compare(x, *NO_TABLE, None, 16, 0.25, False, torch.tensor(0.25), GRID)
    floors = Grid(-8.0, 7.0, floors=True, passes=True).numbers
    compare(x, *NO_TABLE, *NO_ROTATION, torch.tensor(0.25), floors)


def test_columns_and_nothing():
    compare(numbers(48, 50).T, *NO_TABLE, None, 16, 0.25, False, torch.tensor([[0.25]]), GRID)
    compare(numbers(3, 5), *NO_TABLE, *NO_ROTATION, None, NO_GRID)
    compare(numbers(3, 0), *NO_TABLE, *NO_ROTATION, torch.tensor([0.25]), GRID)


def test_a_gradient_of_the_scale_is_the_same_again():
    x, grad = numbers(70, 64), numbers(70, 64)
    stages = *NO_TABLE, None, 64, 0.125, False, torch.tensor(0.25), GRID
    runs = [triton_kernels.activation_backward(grad, x, *stages)[1] for _ in range(2)]
    assert torch.equal(*runs)
    assert runs[0] != 0


def test_negative_control_sums_in_another_order_have_other_bits():
    x = torch.randn(20, 64, generator=GENERATOR)
    with pytest.raises(AssertionError, match="Mismatched elements"):
        assert_same_bits(x @ hadamard_matrix(64), CPU.hadamard(x, None, None, 64, 1.0))
