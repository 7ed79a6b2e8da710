# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Errors of the FINN flow. Each message is one sentence: what is wrong, where, and the remedy."""

from finn.util.exception import FINNUserError


class FlowError(FINNUserError, ValueError):
    """Bad input to the flow; caught by FINN's own build loop like any of its user errors."""


class UnsupportedNodeError(FlowError):
    """A node of the graph has no hardware layer."""


class VerificationError(FlowError):
    """A build step changed the outputs.

    Attributes:
        step: name of the step after which the outputs differ.
        differing: number of output codes that differ.
        compared: number of output codes compared.
        first_sample: index of the first sample with a differing code.
    """

    def __init__(self, step: str, differing: int, compared: int, first_sample: int) -> None:
        self.step = step
        self.differing = differing
        self.compared = compared
        self.first_sample = first_sample
        super().__init__(
            f"step {step} changed the result: {differing} of {compared} output codes differ from "
            f"the QONNX execution, first at sample {first_sample}; compare the models saved before "
            "and after this step"
        )
