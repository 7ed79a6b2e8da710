# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What the host computes around an accelerator, in the metadata of its graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.host import (
    LAYOUTS,
    OPERATORS,
    Host,
    HostInput,
    HostOutput,
    HostStep,
    InputQuantizer,
)

__all__ = [
    "LAYOUTS",
    "METADATA_KEY",
    "OPERATORS",
    "HostAffine",
    "HostInput",
    "HostOutput",
    "HostStep",
    "InputQuantizer",
    "only",
]

METADATA_KEY = "dhq_host_affine"
End = TypeVar("End")


def only(ends: Sequence[End], what: str) -> End:
    """The only one; FlowError if there are several."""
    if len(ends) != 1:
        raise FlowError(f"the graph has {len(ends)} {what}; ask each of them")
    return ends[0]


@dataclass(frozen=True)
class HostAffine(Host):
    """The host's part of a dataflow graph."""

    @property
    def input_steps(self) -> tuple[HostStep, ...]:
        """Steps of the only input."""
        return only(self.inputs, "inputs").steps

    @property
    def input_quantizer(self) -> InputQuantizer | None:
        """Quantizer of the only input."""
        return only(self.inputs, "inputs").quantizer

    @property
    def output_steps(self) -> tuple[HostStep, ...]:
        """Steps of the only output."""
        return only(self.outputs, "outputs").steps

    @property
    def output_scale(self) -> np.ndarray:
        """Scale of the only output."""
        return only(self.outputs, "outputs").scale

    @property
    def output_bias(self) -> np.ndarray:
        """Bias of the only output."""
        return only(self.outputs, "outputs").bias

    def save_to(self, model: ModelWrapper) -> None:
        """Writes this into the metadata of ``model``."""
        model.set_metadata_prop(METADATA_KEY, self.to_json())

    @classmethod
    def from_model(cls, model: ModelWrapper) -> "HostAffine | None":
        """The host affine in the metadata of ``model``, or None."""
        text = model.get_metadata_prop(METADATA_KEY)
        return None if text is None else cls.from_json(text)
