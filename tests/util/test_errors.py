# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import pickle

from dhq_brevitas.util.errors import ArgumentError


def test_text_and_parts():
    error = ArgumentError("scheme", "best", "is unknown: use 'dhq'")
    assert str(error) == "scheme='best' is unknown: use 'dhq'"
    assert (error.argument, error.value) == ("scheme", "best")
    assert isinstance(error, ValueError)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.problem) == (str(error), error.problem)


def test_renamed():
    error = ArgumentError("steps", -1, "must be at least 0")
    assert str(error.renamed({"steps": "qat_steps"})) == "qat_steps=-1 must be at least 0"
    assert str(error.renamed({"batch": "qat_batch"})) == str(error)
