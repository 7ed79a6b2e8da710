# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Executes the graph after every build step and compares it with the QONNX graph."""

from typing import Any

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.export import run_qonnx
from dhq_brevitas.export.execute import listed, one_or_all
from dhq_brevitas.finn_flow.errors import FlowError, VerificationError
from dhq_brevitas.finn_flow.execute import check_inputs, execute_dataflow, is_dataflow
from dhq_brevitas.finn_flow.host_affine import HostAffine
from dhq_brevitas.finn_flow.transformations import ExtractHostAffine


class StepVerifier:
    """Holds the outputs of the QONNX graph and compares each later form of it with them.

    As long as a graph takes and gives real numbers, these are compared, bit by bit. The step that
    leaves the ends to the host is compared with the same QONNX graph cut at the same places: the
    integers of ``run_qonnx``, exact up to 53 bits, are the reference codes of that and all further
    steps, and decoded they must be the real outputs, in the host's float32.

    Args:
        model: the QONNX graph.
        inputs: real inputs [samples, …, channels]; a sequence of them for several inputs.

    FlowError for inputs of another shape, and where the graph gives NaN or infinity.
    """

    def __init__(self, model: ModelWrapper, inputs: Any) -> None:
        self.inputs = check_inputs(model, inputs)
        self.samples = len(self.inputs[0])
        self.rebased_outputs = 0
        # One array for each output of the graph.
        self.outputs: list[np.ndarray]
        self.codes: list[np.ndarray] | None
        self._set_reference(model)

    def check(self, step: str, model: ModelWrapper) -> None:
        """VerificationError, naming ``step``, if ``model`` computes anything else."""
        if HostAffine.from_model(model) is None:
            self._compare(step, listed(run_qonnx(model, self.inputs)), self.outputs)
            self._latest = model
            return
        if self.codes is None:
            cut = self._latest.transform(ExtractHostAffine())
            self.codes, outputs = self._codes(cut)
            self._compare(step, outputs, self._narrow())
        codes, outputs = self._codes(model)
        self._compare(step, codes, self.codes)
        self._compare(step, outputs, self._narrow())

    def rebase(self, model: ModelWrapper) -> None:
        """Takes the outputs of ``model`` as reference; counts those that changed.

        For the one step that may change codes: bringing a graph to integer form.
        """
        before = self.outputs
        self._set_reference(model)
        self.rebased_outputs = sum(
            int(np.count_nonzero(old != new)) for old, new in zip(before, self.outputs, strict=True)
        )

    def _set_reference(self, model: ModelWrapper) -> None:
        self._latest = model
        self.codes = None
        if HostAffine.from_model(model) is None:
            self.outputs = listed(run_qonnx(model, self.inputs))
        else:
            self.codes, self.outputs = self._codes(model)
        finite = np.all(
            [np.isfinite(y).reshape(self.samples, -1).all(axis=1) for y in self.outputs], axis=0
        )
        if not finite.all():
            raise FlowError(
                f"the graph gives NaN or infinity for sample {int(np.argmin(finite))}: mend the "
                "graph, or leave the sample out"
            )

    def _narrow(self) -> list[np.ndarray]:
        return [output.astype(np.float32) for output in self.outputs]

    def _codes(self, model: ModelWrapper) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Integers that ``model`` gives for the encoded inputs, and what the host makes of them."""
        host = HostAffine.from_model(model)
        assert host is not None
        inputs = host.encode(one_or_all(self.inputs))
        if is_dataflow(model):
            codes = execute_dataflow(model, inputs, progress=False)
        else:
            codes = run_qonnx(model, inputs)
        integers = [array.astype(np.int64) for array in listed(codes)]
        return integers, listed(host.decode(one_or_all(integers)))

    def _compare(self, step: str, actual: list[np.ndarray], expected: list[np.ndarray]) -> None:
        for a, b in zip(actual, expected, strict=True):
            if a.shape != b.shape:
                raise VerificationError(step, b.size, b.size, 0)
            different = a != b
            if np.any(different):
                first = int(np.flatnonzero(different.reshape(len(a), -1).any(axis=1))[0])
                raise VerificationError(step, int(different.sum()), different.size, first)
