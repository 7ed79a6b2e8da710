# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Layers with several streams: fork, concatenation, sum and product.

They are FINN's abstraction layers, so that FINN's HLS variants can be chosen, with what exactness
and tensors of different scales need:

==================  ==============================================================================
layer               here
==================  ==============================================================================
DuplicateStreams    hands on float64 as it is; FINN rounds to float32, which holds 24 bits
StreamingConcat     ``factors``: integers that multiply the inputs, 1 by default
ElementwiseAdd      ``lhs_factor``, ``rhs_factor``: the same; executed in int64
ElementwiseMul      executed in int64
==================  ==============================================================================

With a factor other than 1 there is no HLS variant. Datatypes of results are the smallest that hold
what the operands' datatypes can give.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from finn.custom_op.fpgadataflow.concat import StreamingConcat as FinnConcat
from finn.custom_op.fpgadataflow.duplicatestreams import DuplicateStreams as FinnDuplicate
from finn.custom_op.fpgadataflow.elementwise_binary import ElementwiseAdd as FinnAdd
from finn.custom_op.fpgadataflow.elementwise_binary import ElementwiseMul as FinnMul
from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp
from onnx import NodeProto
from qonnx.core.datatype import BaseDataType, DataType
from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.export.passes.integer_form.values import integer_type


def smallest_datatype(ends: Iterable[int]) -> BaseDataType:
    """The smallest datatype for all integers between the ends; unsigned if none is negative."""
    ends = [int(end) for end in ends]
    low, high = min(ends), max(ends)
    if low >= 0:
        return DataType[f"UINT{max(1, high.bit_length())}"]
    return DataType[max(integer_type(low), integer_type(high), key=lambda name: int(name[3:]))]


def ends_of(datatype: BaseDataType, factor: int = 1) -> list[int]:
    """The lowest and the highest value, times ``factor``."""
    return [int(datatype.min()) * factor, int(datatype.max()) * factor]


class DuplicateStreams(FinnDuplicate):
    """FINN's layer; executed without rounding."""

    @property
    def channels(self) -> int:
        """Size of the last axis."""
        return int(self.get_nodeattr("NumChannels"))

    def make_shape_compatible_op(self, model: ModelWrapper) -> NodeProto:
        # The stand-in has, and tells ONNX the shape of, one output only.
        for name in self.onnx_node.output[1:]:
            model.set_tensor_shape(name, list(self.get_normal_output_shape()))
        stand_in = super().make_shape_compatible_op(model)
        del stand_in.output[1:]
        return stand_in

    def get_number_output_values(self) -> int:
        return int(np.prod(self.get_folded_output_shape()[:-1]))

    def execute_node(self, context: dict[str, np.ndarray], graph: Any) -> None:
        x = context[self.onnx_node.input[0]]
        context.update(dict.fromkeys(self.onnx_node.output, x))


class StreamingConcat(FinnConcat):
    """FINN's layer with a factor for each input."""

    def get_nodeattr_types(self) -> dict[str, Any]:
        return super().get_nodeattr_types() | {"factors": ("ints", False, [])}

    def factors(self) -> list[int]:
        """One integer for each input."""
        return [int(f) for f in self.get_nodeattr("factors")] or [1] * self.get_n_inputs()

    def get_output_datatype(self, ind: int = 0) -> BaseDataType:
        factors = self.factors()
        ends = [e for i, f in enumerate(factors) for e in ends_of(self.get_input_datatype(i), f)]
        return smallest_datatype([0, *ends])

    def execute_node(self, context: dict[str, np.ndarray], graph: Any) -> None:
        parts = [context[name] for name in self.onnx_node.input]
        scaled = [part * factor for part, factor in zip(parts, self.factors(), strict=True)]
        context[self.onnx_node.output[0]] = np.concatenate(scaled, axis=-1)


class _ExactElementwise:
    """Executes in int64; the result has the operands' format."""

    def execute_node(self: Any, context: dict[str, np.ndarray], graph: Any) -> None:
        given = [context[name] for name in self.onnx_node.input]
        pairs = zip(given, self.factors(), strict=True)
        a, b = (x.astype(np.int64) * factor for x, factor in pairs)
        context[self.onnx_node.output[0]] = self.npy_op(a, b).astype(given[0].dtype)

    def factors(self) -> tuple[int, int]:
        """Factors of the operands."""
        return 1, 1

    def make_shape_compatible_op(self: Any, model: ModelWrapper) -> NodeProto:
        # FINN's asks for the shapes of the inputs, which nobody knows after a change of the batch.
        return HWCustomOp.make_shape_compatible_op(self, model)

    def infer_node_datatype(self: Any, model: ModelWrapper) -> None:
        super().infer_node_datatype(model)  # type: ignore[misc]
        self.minimize_accumulator_width(model)


class ElementwiseAdd(_ExactElementwise, FinnAdd):
    """FINN's layer with a factor for each operand: y = lhs_factor·a + rhs_factor·b."""

    def get_nodeattr_types(self) -> dict[str, Any]:
        factors = dict.fromkeys(("lhs_factor", "rhs_factor"), ("i", False, 1))
        return super().get_nodeattr_types() | factors

    def factors(self) -> tuple[int, int]:
        return int(self.get_nodeattr("lhs_factor")), int(self.get_nodeattr("rhs_factor"))

    def _derive_out_dtype(self, model: ModelWrapper) -> BaseDataType:
        a, b = (ends_of(self.get_input_datatype(i), f) for i, f in enumerate(self.factors()))
        return smallest_datatype(x + y for x in a for y in b)


class ElementwiseMul(_ExactElementwise, FinnMul):
    """FINN's layer; executed in int64."""

    def _derive_out_dtype(self, model: ModelWrapper) -> BaseDataType:
        a, b = (ends_of(self.get_input_datatype(i)) for i in range(2))
        return smallest_datatype(x * y for x in a for y in b)
