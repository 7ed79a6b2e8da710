# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Errors as users of the command line read them: one sentence."""

from collections.abc import Iterable
from typing import Any

from dhq_brevitas.run.stage import flag_of
from dhq_brevitas.util.errors import ArgumentError

__all__ = ["DEBUG", "sentence"]

#: The environment variable that shows tracebacks and warnings.
DEBUG = "DHQ_DEBUG"
# What PyTorch says, on a CPU and on a GPU.
NO_MEMORY = ("can't allocate memory", "out of memory")


def sentence(error: Exception, options: Iterable[Any] = ()) -> str:
    """An error in one line; an argument that is among ``options`` as it was written."""
    if isinstance(error, ArgumentError) and any(hasattr(o, error.argument) for o in options):
        return f"{flag_of(error.argument)} {error.value!r} {error.problem}"
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or any(words in text for words in NO_MEMORY):
        return f"there is not enough memory ({text[:200]}): use a smaller signal, network or batch"
    expected = (ValueError, RuntimeError, OSError, ModuleNotFoundError)
    if isinstance(error, expected) and text:
        return text
    return f"{type(error).__name__}: {text} (an error of dhq; {DEBUG}=1 shows where)"
