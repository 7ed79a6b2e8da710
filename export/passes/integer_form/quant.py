# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Quant: a constant becomes integers and their scale, a tensor is quantized with scale 1."""

import math
from dataclasses import replace

import numpy as np
from onnx import NodeProto, TensorProto
from qonnx.custom_op.general.quant import max_int, min_int
from qonnx.custom_op.general.quant import quant as int_quant

from dhq_brevitas.export.graph import FLOAT_INTEGER_BITS, attribute, describe
from dhq_brevitas.export.passes.integer_form.values import (
    Constant,
    Real,
    Scaled,
    Value,
    aligned_parameters,
    integer,
    last_axis,
)
from dhq_brevitas.export.passes.integer_form.writer import GraphWriter

QUANT_DOMAIN = "qonnx.custom_op.general"


def convert_quant(
    writer: GraphWriter, node: NodeProto, x: Value, scale: Value, zero_point: Value, bits: Value
) -> Value:
    """A constant: its codes, less the zero point z. A tensor: Quant(x / scale + z) with scale 1.

    What comes out then has the offset -z·scale.
    """
    if not (
        isinstance(scale, Constant)
        and isinstance(zero_point, Constant)
        and isinstance(bits, Constant)
    ):
        raise ValueError(f"{describe(node)}: scale, zero point and bit width must be constants")
    zero = zero_point.values.astype(np.float64)
    if np.any(zero != np.rint(zero)) or (zero.size > 1 and not isinstance(x, Constant)):
        raise ValueError(
            f"{describe(node)}: zero point {zero_point.values.tolist()} is not supported; "
            "use one integer for all channels, or a symmetric quantizer"
        )
    signed, narrow = attribute(node, "signed", 1), attribute(node, "narrow", 0)
    rounding = attribute(node, "rounding_mode", b"ROUND").decode().upper()
    width = int(bits.values.item())
    step = scale.values.astype(np.float64)
    if isinstance(x, Constant):
        # In float64: the codes of a bias may have more bits than float32 carries.
        quotient, one = x.values / step, np.float64(1)
        codes = int_quant(quotient, one, zero, bits.values, signed, narrow, rounding)
        datatype = ("INT" if signed else "UINT") + str(width)
        if np.any(zero):  # a sign and, if the zero point is outside of the codes, more bits
            largest = int(np.abs(codes).max())
            datatype = f"INT{max(width, largest.bit_length()) + 1}"
        return Constant(codes * step, codes.astype(np.float32), step, datatype)
    step = last_axis(step, describe(node))
    zero = zero.reshape(())
    source = _code_source(writer, node, x, step, width, rounding, zero)
    code = writer.emit(
        "Quant",
        [
            source,
            writer.parameter(np.float32(1)),
            writer.parameter(np.float32(0)),
            writer.parameter(bits.values),
        ],
        node.output[0],
        domain=QUANT_DOMAIN,
        signed=signed,
        narrow=narrow,
        rounding_mode=rounding,
    )
    low, high = int(min_int(signed, narrow, width)), int(max_int(signed, narrow, width))
    return replace(integer(code, low, high), scale=step, offset=-zero * step)


def _code_source(
    writer: GraphWriter,
    node: NodeProto,
    x: Scaled | Real,
    step: np.ndarray,
    bits: int,
    rounding: str,
    zero: np.ndarray,
) -> str:
    """Name of the tensor x / step + zero, the input of a Quant with scale 1."""
    if isinstance(x, Scaled):
        factor, shift = x.scale / step, x.offset / step + zero
        largest = x.magnitude * np.abs(factor).max() + np.abs(shift).max()
        exact_bits = FLOAT_INTEGER_BITS[TensorProto.FLOAT]
        if bits > exact_bits and largest > 1 << exact_bits:
            raise ValueError(
                f"{describe(node)}: its codes may need {math.ceil(math.log2(largest)) + 1} bits, "
                f"and QONNX holds codes in float32, which carries {exact_bits}; use a quantizer of "
                f"at most {exact_bits} bits, or a larger scale"
            )
        if rounding == "FLOOR":
            return writer.affine(x, factor, shift, exact=True)
        if x.magnitude > 1 << exact_bits:
            factor, shift = aligned_parameters(x, factor, shift)
        return writer.affine(x, factor, shift, exact=False)
    name = x.name
    if np.all(np.frexp(step)[0] == 0.5) and np.any(step != 1):  # powers of two: exact
        name = writer.emit("Mul", [name, writer.parameter((1 / step).astype(np.float32))], name)
    elif np.any(step != 1):
        name = writer.emit("Div", [name, writer.parameter(step.astype(np.float32))], name)
    return (
        writer.emit("Add", [name, writer.parameter(zero.astype(np.float32))], name)
        if zero
        else name
    )
