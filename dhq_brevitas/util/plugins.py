# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Modules that each define one object of a kind: those of a package, and users' own files."""

import importlib.util
import pkgutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from dhq_brevitas.util.errors import ArgumentError
from dhq_brevitas.util.files import file_digest

__all__ = ["SUFFIX", "code_files", "from_file", "module_names"]

#: Of a name that is the path of a file to execute.
SUFFIX = ".py"

Kind = TypeVar("Kind")


def module_names(package: str) -> list[str]:
    """Names of a package's modules but ``base``, read from its folder: it is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"there is no package {package}")
    found = pkgutil.iter_modules(spec.submodule_search_locations)
    return sorted(module.name for module in found if module.name != "base")


def code_files(values: Iterable[Any]) -> list[Path]:
    """Absolute paths of the Python files that are among ``values``, such as those of options."""
    return [Path(v).resolve() for v in values if isinstance(v, str) and v.endswith(SUFFIX)]


def from_file(path: str, argument: str, attribute: str, kind: type[Kind]) -> Kind:
    """The object called ``attribute`` in the Python file ``path``, executed once as it is now.

    Raises ArgumentError, naming ``argument``, when there is no such file, when it fails, or when
    the object is missing or no ``kind``.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise ArgumentError(argument, path, "cannot be used: there is no such file")
    try:
        found = getattr(_module(file, file_digest(file)), attribute, None)
    except Exception as error:
        problem = f"cannot be executed: {type(error).__name__}: {error}"
        raise ArgumentError(argument, path, problem) from error
    if not isinstance(found, kind):
        raise ArgumentError(
            argument,
            path,
            f"must define {attribute}, a {kind.__module__}.{kind.__qualname__}, not "
            f"{type(found).__name__}",
        )
    return found


@cache
def _module(file: Path, digest: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"dhq_brevitas_user_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
