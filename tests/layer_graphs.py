# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Graphs of one hardware layer, already specialized to RTL."""

from typing import Any

import numpy as np
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.basic import qonnx_make_model

from dhq_brevitas.finn_flow.ops import DOMAIN


def one_layer(
    op_type: str,
    shapes: tuple[list[int], list[int]],
    types: tuple[str, str],
    parameters: dict[str, tuple[np.ndarray, str]],
    domain: str = f"{DOMAIN}.rtl",
    **attributes: Any,
) -> ModelWrapper:
    """One node named ``layer`` from ``x`` to ``y``; further inputs are initializers."""
    node = helper.make_node(
        op_type,
        ["x", *parameters],
        ["y"],
        name="layer",
        domain=domain,
        backend="fpgadataflow",
        **attributes,
    )
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shapes[0])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shapes[1])],
    )
    model = ModelWrapper(qonnx_make_model(graph))
    for tensor, datatype in zip(("x", "y"), types, strict=True):
        model.set_tensor_datatype(tensor, DataType[datatype])
    for name, (values, datatype) in parameters.items():
        model.set_initializer(name, values)
        model.set_tensor_datatype(name, DataType[datatype])
    return model


def mvau(
    mw: int = 16,
    mh: int = 8,
    simd: int = 4,
    pe: int = 2,
    bits: int = 8,
    given: str = "INT8",
    sums: str = "INT24",
    **attributes: Any,
) -> ModelWrapper:
    half = 1 << (bits - 1)
    weights = np.random.default_rng(1).integers(-half, half, (mw, mh)).astype(np.float32)
    return one_layer(
        "MVAU_rtl",
        ([1, mw], [1, mh]),
        (given, sums),
        {"W": (weights, f"INT{bits}")},
        MW=mw,
        MH=mh,
        SIMD=simd,
        PE=pe,
        inputDataType=given,
        weightDataType=f"INT{bits}",
        outputDataType=sums,
        accDataType=sums,
        ActVal=0,
        binaryXnorMode=0,
        noActivation=1,
        numInputVectors=[1],
        mem_mode="internal_decoupled",
        **attributes,
    )


def matrix_vector(**arguments: Any) -> ModelWrapper:
    """An MVAU on this package's kernel."""
    return mvau(kernel="matrix_vector", **arguments)


def thresholding(
    channels: int = 8,
    pe: int = 2,
    *,
    count: int = 15,
    rows: int | None = None,
    given: str = "INT11",
) -> ModelWrapper:
    """``count`` thresholds for each channel, or with ``rows=1`` for all."""
    steps = np.random.default_rng(2).integers(-900, 900, (rows or channels, count))
    return one_layer(
        "Thresholding_rtl",
        ([1, channels], [1, channels]),
        (given, "INT4"),
        {"T": (np.sort(steps, axis=1).astype(np.float32), "INT11")},
        NumChannels=channels,
        PE=pe,
        numSteps=count,
        inputDataType=given,
        weightDataType="INT11",
        outputDataType="INT4",
        numInputVectors=[1],
        ActVal=-8,
    )


def converter(lanes_in: int = 2, lanes_out: int = 4, channels: int = 8) -> ModelWrapper:
    return one_layer(
        "StreamingDataWidthConverter_rtl",
        ([1, channels], [1, channels]),
        ("INT6", "INT6"),
        {},
        inShape=[1, channels],
        outShape=[1, channels],
        inWidth=6 * lanes_in,
        outWidth=6 * lanes_out,
        dataType="INT6",
    )


def hadamard(simd: int = 2, given: str = "INT6", **attributes: Any) -> ModelWrapper:
    output = attributes.pop("outputDataType", "INT10" if given == "INT6" else "INT11")
    return one_layer(
        "HadamardTransform_rtl",
        ([1, 32], [1, 32]),
        (given, output),
        {},
        SIMD=simd,
        NumChannels=32,
        Order=16,
        numInputVectors=[1],
        inputDataType=given,
        outputDataType=output,
        **attributes,
    )


def lookup(
    scale: list[int], bias: list[int], table: np.ndarray, pe: int = 2, **attributes: Any
) -> ModelWrapper:
    return one_layer(
        "LookupActivation_rtl",
        ([1, 4], [1, 4]),
        ("INT12", "INT8"),
        {
            "M": (np.array(scale, np.int64), "INT10"),
            "B": (np.array(bias, np.int64), "INT16"),
            "t": (table.astype(np.int64), "INT8"),
        },
        PE=pe,
        NumChannels=4,
        numInputVectors=[1],
        inputDataType="INT12",
        outputDataType="INT8",
        scaleDataType="INT10",
        biasDataType="INT16",
        tableBits=len(table).bit_length() - 1,
        perChannel=int(max(len(scale), len(bias)) > 1),
        **attributes,
    )


def sine_table(bits: int) -> np.ndarray:
    """round(127·sin) at the centers of 2^bits bins: odd, and a quarter wave holds it."""
    n = 1 << bits
    return np.rint(127 * np.sin(2 * np.pi * (np.arange(n) + 0.5) / n)).astype(np.int64)


def requant(channels: int = 8, pe: int = 2) -> ModelWrapper:
    """clip(floor(x / 32 + bias + 1/2)) to 6 bits: powers of two leave nothing to round."""
    bias = np.arange(channels, dtype=np.float32) + 16
    return one_layer(
        "Requant_rtl",
        ([1, channels], [1, channels]),
        ("INT12", "UINT6"),
        {
            "scale": (np.full(channels, 2.0**-5, np.float32), "FLOAT32"),
            "bias": (bias, "FLOAT32"),
        },
        NumChannels=channels,
        PE=pe,
        inputDataType="INT12",
        outputDataType="UINT6",
        numInputVectors=[1],
        mem_mode="internal_decoupled",
    )
