# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Builds of damaged graphs: FlowError, or every step computes what QONNX does. Never else."""

import warnings
from collections import Counter

import numpy as np
import pytest

from dhq_brevitas.export import export_qonnx
from dhq_brevitas.finn_flow import FlowError, VerificationError, build_dataflow
from mutations import mutated
from networks import grid_codes, relu_network, sine_network

X = grid_codes(5, seed=3).numpy()


@pytest.fixture(scope="module")
def graphs():
    networks = (sine_network(4, outputs=2), relu_network(2, 4, 2))
    return [export_qonnx(network, args=grid_codes(2)).model for network in networks]


def outcome(proto, seed: int, folder) -> str:
    """What comes of one mutation; each step of a build is compared with QONNX within it."""
    model = mutated(proto, seed)
    if model is None:
        return "no ONNX"
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            build_dataflow(model, folder, verify_inputs=X, progress=False)
        except VerificationError:
            raise
        except FlowError as error:
            message = str(error)
        else:
            return "built"
    assert message
    return "refused"


def outcomes(graphs, seeds, folder) -> Counter[str]:
    counts: Counter[str] = Counter()
    for seed in seeds:
        try:
            counts[outcome(graphs[seed % len(graphs)], seed, folder / str(seed))] += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
    return counts


def test_random_damage(graphs, tmp_path):
    counts = outcomes(graphs, range(20), tmp_path)
    assert counts["refused"] > 5
    assert counts["built"] > 1


@pytest.mark.exhaustive
def test_much_random_damage(graphs, tmp_path):
    print(outcomes(graphs, range(1000, 2000), tmp_path))
