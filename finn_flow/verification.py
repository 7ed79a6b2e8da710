# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Executes the graph after every build step and compares it with the QONNX graph."""

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.export import run_qonnx
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
        inputs: real inputs [samples, …, channels].

    FlowError for inputs of another shape, and where the graph gives NaN or infinity.
    """

    def __init__(self, model: ModelWrapper, inputs: np.ndarray) -> None:
        self.inputs = np.asarray(inputs)
        check_inputs(model, self.inputs)
        self.samples = len(self.inputs)
        self.rebased_outputs = 0
        self.outputs: np.ndarray
        self.codes: np.ndarray | None
        self._set_reference(model)

    def check(self, step: str, model: ModelWrapper) -> None:
        """VerificationError, naming ``step``, if ``model`` computes anything else."""
        if HostAffine.from_model(model) is None:
            self._compare(step, run_qonnx(model, self.inputs), self.outputs)
            self._latest = model
            return
        if self.codes is None:
            cut = self._latest.transform(ExtractHostAffine())
            self.codes, outputs = self._codes(cut)
            self._compare(step, outputs, self.outputs.astype(np.float32))
        codes, outputs = self._codes(model)
        self._compare(step, codes, self.codes)
        self._compare(step, outputs, self.outputs.astype(np.float32))

    def rebase(self, model: ModelWrapper) -> None:
        """Takes the outputs of ``model`` as reference; counts those that changed.

        For the one step that may change codes: bringing a graph to integer form.
        """
        before = self.outputs
        self._set_reference(model)
        self.rebased_outputs = int(np.count_nonzero(before != self.outputs))

    def _set_reference(self, model: ModelWrapper) -> None:
        self._latest = model
        self.codes = None
        if HostAffine.from_model(model) is None:
            self.outputs = run_qonnx(model, self.inputs)
        else:
            self.codes, self.outputs = self._codes(model)
        finite = np.isfinite(self.outputs).reshape(self.samples, -1).all(axis=1)
        if not finite.all():
            raise FlowError(
                f"the graph gives NaN or infinity for sample {int(np.argmin(finite))}: mend the "
                "graph, or leave the sample out"
            )

    def _codes(self, model: ModelWrapper) -> tuple[np.ndarray, np.ndarray]:
        """Integers that ``model`` gives for the encoded inputs, and what the host makes of them."""
        host = HostAffine.from_model(model)
        assert host is not None
        inputs = host.encode(self.inputs)
        if is_dataflow(model):
            codes = execute_dataflow(model, inputs, progress=False)
        else:
            codes = run_qonnx(model, inputs).astype(np.int64)
        return codes, host.decode(codes)

    def _compare(self, step: str, actual: np.ndarray, expected: np.ndarray) -> None:
        if actual.shape != expected.shape:
            raise VerificationError(step, expected.size, expected.size, 0)
        different = actual != expected
        if np.any(different):
            first = int(np.flatnonzero(different.reshape(len(different), -1).any(axis=1))[0])
            raise VerificationError(step, int(different.sum()), different.size, first)
