# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What the hardware layers of this package share: one stream in, one out, channels last."""

from typing import Any

import numpy as np
from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp
from finn.transformation.fpgadataflow.set_folding import divisors
from onnx import NodeProto
from qonnx.core.datatype import BaseDataType, DataType

from dhq_brevitas.finn_flow.errors import FlowError


def label_of(node: NodeProto) -> str:
    """Name and operator of a node."""
    return f"{node.name or 'unnamed node'} ({node.op_type})"


class ChannelwiseOp(HWCustomOp):
    """Abstract layer that maps [numInputVectors..., NumChannels] to the same shape.

    ``lanes`` channels pass per cycle, so one vector takes NumChannels / lanes cycles and the
    streams are ``lanes`` times the datatype wide. Further inputs are constants that live inside the
    layer; they have no stream.

    A subclass names its folding attribute in ``FOLDING``, and extends ``get_nodeattr_types``,
    ``check_attributes`` and ``execute_node``.
    """

    FOLDING: str

    def get_nodeattr_types(self) -> dict[str, Any]:
        return super().get_nodeattr_types() | {
            self.FOLDING: ("i", True, 1),
            "NumChannels": ("i", True, 0),
            # [1] is one vector, [4] four, [1, 4, 4] a map of 4 x 4 vectors
            "numInputVectors": ("ints", False, [1]),
            "inputDataType": ("s", True, ""),
            "outputDataType": ("s", True, ""),
        }

    @property
    def label(self) -> str:
        """Name and operator for messages."""
        return label_of(self.onnx_node)

    @property
    def channels(self) -> int:
        """Attribute ``NumChannels``."""
        return int(self.get_nodeattr("NumChannels"))

    @property
    def lanes(self) -> int:
        """Value of the folding attribute."""
        return int(self.get_nodeattr(self.FOLDING))

    def legal_lanes(self) -> list[int]:
        """Every legal value of the folding attribute, ascending."""
        return list(divisors(self.channels))

    def check_attributes(self) -> None:
        """FlowError for the first attribute that is out of range."""
        if self.channels < 1:
            raise FlowError(f"{self.label}: NumChannels={self.channels} must be at least 1")
        if any(n < 1 for n in self.get_nodeattr("numInputVectors")):
            raise FlowError(
                f"{self.label}: numInputVectors={self.get_nodeattr('numInputVectors')} has an "
                "entry below 1"
            )
        legal = self.legal_lanes()
        if self.lanes not in legal:
            raise FlowError(
                f"{self.label}: {self.FOLDING}={self.lanes} does not fold {self.channels} "
                f"channels; use one of {legal}"
            )
        for direction, datatype in (
            ("inputDataType", self.get_input_datatype()),
            ("outputDataType", self.get_output_datatype()),
        ):
            if not datatype.is_integer():
                raise FlowError(f"{self.label}: {direction}={datatype.name} is not an integer type")

    def verify_node(self) -> list[str]:
        """Messages about what is wrong with the node; empty if nothing is."""
        try:
            self.check_attributes()
        except FlowError as error:
            return [str(error)]
        return []

    def get_input_datatype(self, ind: int = 0) -> BaseDataType:
        if ind != 0:
            raise FlowError(f"{self.label}: input {ind} has no datatype; the only stream is 0")
        return DataType[self.get_nodeattr("inputDataType")]

    def get_output_datatype(self, ind: int = 0) -> BaseDataType:
        return DataType[self.get_nodeattr("outputDataType")]

    def get_normal_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        return (*self.get_nodeattr("numInputVectors"), self.channels)

    def get_normal_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        return self.get_normal_input_shape()

    def get_folded_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        vectors = self.get_nodeattr("numInputVectors")
        return (*vectors, self.channels // self.lanes, self.lanes)

    def get_folded_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        return self.get_folded_input_shape()

    def get_instream_width(self, ind: int = 0) -> int:
        return self.get_input_datatype().bitwidth() * self.lanes if ind == 0 else 0

    def get_outstream_width(self, ind: int = 0) -> int:
        return self.get_output_datatype().bitwidth() * self.lanes

    def get_exp_cycles(self) -> int:
        return int(np.prod(self.get_folded_output_shape()[:-1]))

    def number_of_values(self) -> int:
        """Values that pass per inference."""
        return int(np.prod(self.get_normal_output_shape()))

    def integer_input(self, context: dict[str, np.ndarray]) -> np.ndarray:
        """Input 0 as int64; FlowError if a value is not an integer or the shape is wrong."""
        values = context[self.onnx_node.input[0]]
        if values.shape != self.get_normal_input_shape():
            raise FlowError(
                f"{self.label}: input of shape {values.shape} given, "
                f"{self.get_normal_input_shape()} expected"
            )
        integers = values.astype(np.int64)
        if np.any(integers != values):
            raise FlowError(f"{self.label}: the input holds values that are not integers")
        return integers
