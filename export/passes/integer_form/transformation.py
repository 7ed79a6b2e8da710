# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Rewrites a QONNX graph so that every rounding decision is taken on exact integers.

Brevitas exports dequantized values: Quant(x; s) yields code·s, and a matrix product of two such
tensors is a float sum whose last bits depend on the order of summation. In the integer form

* every Quant has scale 1 and zero point 0, so its output is the integer code itself;
* the weights of a MatMul are integer initializers annotated with their datatype, so the
  accumulator is an exact integer: in float32 up to 24 bits, as ``run_qonnx`` adds up to 53;
* a HadamardTransform of integers is unnormalized and yields integers;
* what was spread over scales, biases and normalizations stands between an integer and the next
  Quant as one ``Mul(M) -> Add(B)``.

Each tensor is followed as ``value = scale·q + offset`` with q an integer tensor of the new graph:

=====================  ==========================================================================
node                   effect on (q, scale, offset)
=====================  ==========================================================================
Quant, constant input  integer constant and its scale
Quant                  q' = Quant(q·scale/s + offset/s) with scale 1; then (q', s, 0)
MatMul, Gemm           q' = MatMul(q, W_int); scale·s_W, offset·ΣW_int·s_W (+ bias)
HadamardTransform      q' = HadamardTransform(q); scale (·1/√order if normalized), offset 0
Mul, Div, Add, Sub     with a constant, and Neg: scale and offset only, no node
BatchNormalization     of [N, channels], with running statistics: the same
Add, Sub, Mul, Concat  of such tensors: :mod:`~dhq_brevitas.export.passes.integer_form.joints`
anything else          copied; its inputs are formed as Mul(scale) -> Add(offset)
=====================  ==========================================================================

Where the Quant rounds with FLOOR (a phase), M and B become dyadic numbers M_int/2^s and B_int/2^s,
so that hardware computes (q·M_int + B_int) >> s. Power-of-two scales are dyadic already and stay as
they are. Others are rounded to ``multiplier_bits`` bits. Float32 carries the result exactly when
|q·M_int| + |B_int| < 2^24; otherwise Cast nodes put Mul, Add and Quant's division in float64. With
ROUND, M and B stay float32: a threshold on the integer q reproduces that exactly. Behind a q of
more than 24 bits, where ``run_qonnx`` has them in float64, they have no more bits than keep
q·M + B exact there.
"""

from collections.abc import Callable

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from dhq_brevitas.export.domains import HARDWARE
from dhq_brevitas.export.graph import rename_quantizers
from dhq_brevitas.export.inference import infer_datatypes, infer_shapes
from dhq_brevitas.export.passes.clean_up import named
from dhq_brevitas.export.passes.integer_form.arithmetic import (
    convert_add,
    convert_batch_norm,
    convert_div,
    convert_identity,
    convert_mul,
    convert_neg,
    convert_sub,
    convert_transpose,
)
from dhq_brevitas.export.passes.integer_form.joints import convert_concat
from dhq_brevitas.export.passes.integer_form.linear import convert_gemm, convert_matmul
from dhq_brevitas.export.passes.integer_form.quant import convert_quant
from dhq_brevitas.export.passes.integer_form.rotation import convert_hadamard
from dhq_brevitas.export.passes.integer_form.values import Value
from dhq_brevitas.export.passes.integer_form.writer import GraphWriter
from dhq_brevitas.export.passes.separate_equal_inputs import SeparateEqualInputs
from dhq_brevitas.export.validation import check_is_graph, checked

MULTIPLIER_BITS = 24
# What each node does to (q, scale, offset). One whose converter returns None, or that has none, is
# copied.
CONVERTERS: dict[str, Callable[..., Value | None]] = {
    "Quant": convert_quant,
    "MatMul": convert_matmul,
    "Gemm": convert_gemm,
    "HadamardTransform": convert_hadamard,
    "Transpose": convert_transpose,
    "Mul": convert_mul,
    "Div": convert_div,
    "Add": convert_add,
    "Sub": convert_sub,
    "Neg": convert_neg,
    "BatchNormalization": convert_batch_norm,
    "Concat": convert_concat,
    "Identity": convert_identity,
}


class ToIntegerForm(Transformation):
    """See the module docstring. Shapes, inputs and outputs of the graph are kept.

    Args:
        multiplier_bits: bits of M_int for scales that are not dyadic, 2 to 32.

    Raises ValueError where a node cannot be expressed (non-zero zero point, a per-channel scale in
    front of a HadamardTransform, numbers beyond 53 bits, codes beyond 24) and for a graph that is
    not sound (:mod:`~dhq_brevitas.export.validation`); warns with InexactAccumulatorWarning.
    """

    def __init__(self, multiplier_bits: int = MULTIPLIER_BITS) -> None:
        super().__init__()
        if not 2 <= multiplier_bits <= 32:
            raise ValueError(f"multiplier_bits={multiplier_bits} is out of range: use 2 to 32")
        self.multiplier_bits = multiplier_bits

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        model = checked(model)
        rename_quantizers(model)
        writer = GraphWriter(model, self.multiplier_bits)
        for node in model.graph.node:
            writer.module = node.doc_string
            inputs = [writer.values[name] for name in node.input if name]
            # A layer of FINN may have the name of another operator.
            hardware = node.domain.startswith(HARDWARE)
            converter = None if hardware else CONVERTERS.get(node.op_type)
            value = None if converter is None else converter(writer, node, *inputs)
            if value is None:
                writer.copy(node)
            else:
                writer.values[node.output[0]] = value
        writer.finish()
        model = model.transform(SeparateEqualInputs(), make_deepcopy=False)
        infer_shapes(model)
        model = named(model)
        infer_datatypes(model)
        return model, False


def to_integer_form(model: ModelWrapper, multiplier_bits: int = MULTIPLIER_BITS) -> ModelWrapper:
    """Copy of ``model`` in integer form; a graph that is in it already comes back equivalent."""
    check_is_graph(model)
    return model.transform(ToIntegerForm(multiplier_bits), make_deepcopy=True)
