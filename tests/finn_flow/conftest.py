# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The FINN flow needs finn-plus; without it (extra ``finn``) these tests are not collected."""

import importlib.util
from collections.abc import Callable

import numpy as np
import pytest

if importlib.util.find_spec("finn") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def transformed() -> Callable:
    """Applies a pass and checks its contract: the second run changes nothing."""

    def apply(model, transformation):
        result = model.transform(transformation)
        again, changed = transformation.apply(result.transform(_Nothing()))
        assert not changed
        assert [n.op_type for n in again.graph.node] == [n.op_type for n in result.graph.node]
        return result

    return apply


class _Nothing:
    """A pass that changes nothing; transform() with it is a deep copy."""

    def apply(self, model):
        return model, False


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
