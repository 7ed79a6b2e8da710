# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The random networks of ``test_exactness`` as whole Verilog designs against exact fractions."""

import tempfile

import numpy as np
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from qonnx.custom_op.registry import getCustomOp
from test_exactness import Layer, graph_of, inputs_near_decisions, is_wide, networks, reference

from dhq_brevitas.finn_flow import build_dataflow
from dhq_brevitas.finn_flow.stitching import simulate_stitched


@st.composite
def cases_in_rtl(draw) -> tuple[list[Layer], int, int, tuple[int, int]]:
    """A network, a seed, cycles per sample and the stalls of source and sink out of 256."""
    cycles = draw(st.sampled_from([1, 2, 4, 16]))
    stalls = draw(st.sampled_from([(0, 0), (0, 128), (128, 128), (64, 200)]))
    return draw(networks()), draw(st.integers(0, 1000)), cycles, stalls


def has_hardware(node) -> bool:
    """Whether widths are such as the Verilog takes; it stops the simulation at others."""
    op = getCustomOp(node)
    bits = op.get_input_datatype(0).bitwidth()
    if node.op_type != "MVAU_rtl":
        return True
    # FINN's core wants sums of at least as many bits as a product of the declared types.
    product = bits + op.get_input_datatype(1).bitwidth() - op.get_input_datatype(0).signed()
    return op.get_output_datatype().bitwidth() >= product


@pytest.mark.exhaustive
@settings(max_examples=200, phases=[Phase.generate])
@given(cases_in_rtl())
def test_many_random_networks_in_rtl(case):
    """Simulated as one Verilog design; what fails is printed as it was drawn, not made smaller."""
    network, seed, cycles, stalls = case
    assume(not is_wide(network))
    samples = inputs_near_decisions(network[0], np.random.default_rng(seed), 60)
    with tempfile.TemporaryDirectory() as folder:
        built = build_dataflow(
            graph_of(network), f"{folder}/build", cycles_per_sample=cycles, progress=False
        )
        assume(all(map(has_hardware, built.model.graph.node)))
        outputs, _ = simulate_stitched(
            built.model, samples, folder=f"{folder}/rtl", stalls=stalls, progress=False
        )
    np.testing.assert_array_equal(outputs, reference(network, samples))
