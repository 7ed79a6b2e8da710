# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Objects that users define in Python files of their own."""

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["from_file"]

Kind = TypeVar("Kind")


def from_file(path: str, argument: str, attribute: str, kind: type[Kind]) -> Kind:
    """The object called ``attribute`` in the Python file ``path``, which is executed once.

    Raises ValueError, naming ``argument``, when there is no such file, when it fails, or when the
    object is missing or no ``kind``.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise ValueError(f"{argument}={path!r}: there is no such file")
    try:
        found = getattr(_module(file), attribute, None)
    except Exception as error:
        raise ValueError(
            f"{argument}={path!r}: the file cannot be executed: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, kind):
        raise ValueError(
            f"{argument}={path!r}: the file must define {attribute}, a {kind.__module__}."
            f"{kind.__qualname__}, not {type(found).__name__}"
        )
    return found


@cache
def _module(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"dhq_brevitas_user_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
