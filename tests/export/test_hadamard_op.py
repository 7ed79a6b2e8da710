# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qonnx.core.datatype import DataType
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.infer_datatypes import InferDataTypes

from dhq_brevitas.export.hadamard_op import output_datatype, output_range
from dhq_brevitas.nn.hadamard import hadamard_transform_int
from graphs import hadamard_model


def run(model, x):
    return execute_onnx(model, {"x": x.astype(np.float32)})["y"]


@given(
    exponent=st.integers(0, 7),
    blocks=st.integers(1, 3),
    with_signs=st.booleans(),
    seed=st.integers(0, 99),
)
def test_execution_equals_the_integer_reference(exponent, blocks, with_signs, seed):
    rng = np.random.default_rng(seed)
    order, size = 2**exponent, blocks * 2**exponent
    signs = rng.choice([-1, 1], size) if with_signs else None
    x = rng.integers(-128, 128, (3, size))
    model = hadamard_model(order, x.shape, signs=signs)
    expected = hadamard_transform_int(x, order=order, signs=signs)
    np.testing.assert_array_equal(run(model, x), expected)


def test_execution_sees_a_flipped_sign():
    # Negative control: the comparison above can fail.
    x = np.arange(8)[None]
    signs = np.ones(8)
    signs[3] = -1
    flipped = run(hadamard_model(8, x.shape, signs=signs), x)
    assert (flipped != hadamard_transform_int(x)).any()


def test_normalized_transform_is_an_involution():
    x = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    model = hadamard_model(64, x.shape, normalize=1)
    np.testing.assert_allclose(run(model, run(model, x)), x, atol=1e-6)


@given(
    bits=st.integers(1, 6),
    signed=st.booleans(),
    exponent=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_output_range_is_attained_and_never_left(bits, signed, exponent, seed):
    low = -(2 ** (bits - 1)) if signed else 0
    high = low + 2**bits - 1
    order = 2**exponent
    signs = np.random.default_rng(seed).choice([-1, 1], order)
    corners = np.array(np.meshgrid(*[[low, high]] * order)).reshape(order, -1).T
    outputs = hadamard_transform_int(corners, signs=signs)
    assert output_range(low, high, order, signs) == (outputs.min(), outputs.max())


@pytest.mark.parametrize("bits", [1, 2, 8, 24])
@pytest.mark.parametrize("exponent", [0, 1, 8, 12])
def test_signed_integers_grow_by_log2_of_the_order(bits, exponent):
    grown = output_datatype(DataType[f"INT{bits}"], 2**exponent)
    assert grown == DataType[f"INT{bits + exponent}"]


@pytest.mark.parametrize(
    ("given_type", "order", "expected"),
    [
        ("UINT8", 256, "INT17"),
        ("SCALEDINT<8>", 16, "SCALEDINT<12>"),
        ("FLOAT32", 16, "FLOAT32"),
        ("BIPOLAR", 4, "INT4"),
    ],
)
def test_other_datatypes(given_type, order, expected):
    assert output_datatype(DataType[given_type], order) == DataType[expected]


@pytest.mark.parametrize(("normalize", "expected"), [(0, "INT11"), (1, "FLOAT32")])
def test_datatype_inference_on_a_graph(normalize, expected):
    model = hadamard_model(8, (1, 16), normalize=normalize)
    model.set_tensor_datatype("x", DataType["INT8"])
    model = model.transform(InferDataTypes())
    assert model.get_tensor_datatype("y") == DataType[expected]
    assert model.get_tensor_shape("y") == [1, 16]


@pytest.mark.parametrize("order", [0, 3, 8192])
def test_order_that_is_no_power_of_two(order):
    model = hadamard_model(order, (1, 16))
    with pytest.raises(ValueError, match=f"order={order} is not a power of two"):
        run(model, np.zeros((1, 16)))
    assert "is not a power of two" in getCustomOp(model.graph.node[0]).verify_node()[0]


def test_order_that_does_not_divide():
    with pytest.raises(ValueError, match="order=16 does not divide the last axis of size 24"):
        run(hadamard_model(16, (1, 24)), np.zeros((1, 24)))
