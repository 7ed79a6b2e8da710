# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Modules that each define one object of a kind: those of a package, and users' own files."""

import ast
import contextlib
import importlib.util
import pkgutil
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from dhq_brevitas.util.errors import ArgumentError
from dhq_brevitas.util.files import file_digest

__all__ = ["SUFFIX", "code_digests", "code_files", "from_file", "module_names"]

#: Of a name that is the path of a file to execute.
SUFFIX = ".py"
THIS = __name__.partition(".")[0]

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


def code_digests(files: Iterable[Path]) -> dict[str, str]:
    """Digests, by path, of those Python files and of the user's files that they import.

    They are executed for that if they were not yet; what is no file, or fails, is left out.
    """
    digests: dict[str, str] = {}
    for file in files:
        with contextlib.suppress(Exception):
            digests |= _executed(file).digests
    return digests


def from_file(path: str, argument: str, attribute: str, kind: type[Kind]) -> Kind:
    """The object called ``attribute`` in the Python file ``path``, executed once as it is now.

    Raises ArgumentError, naming ``argument``, when there is no such file, when it fails, or when
    the object is missing or no ``kind``.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise ArgumentError(argument, path, "cannot be used: there is no such file")
    try:
        found = getattr(_executed(file).module, attribute, None)
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


@dataclass(frozen=True)
class _Executed:
    """A Python file that was executed, and what it and its imports were then."""

    module: ModuleType
    digests: dict[str, str]


_EXECUTED: dict[Path, _Executed] = {}


def _executed(file: Path) -> _Executed:
    """``file`` executed, again if it or a file that it imports was edited."""
    known = _EXECUTED.get(file)
    if known is not None:
        if all(Path(p).is_file() and file_digest(p) == d for p, d in known.digests.items()):
            return known
        for name, module in list(sys.modules.items()):
            if getattr(module, "__file__", None) in known.digests:
                del sys.modules[name]
    spec = importlib.util.spec_from_file_location(f"dhq_brevitas_user_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    digests = {str(found): file_digest(found) for found in _with_imports(file)}
    _EXECUTED[file] = _Executed(module, digests)
    return _EXECUTED[file]


def _with_imports(file: Path) -> list[Path]:
    """``file`` and those of the user's files that its import statements name, and theirs."""
    found, waiting = [], [(file, "")]
    while waiting:
        path, package = waiting.pop()
        if path in found:
            continue
        found.append(path)
        for name in _imported_names(path, package):
            module = sys.modules.get(name)
            origin = getattr(module, "__file__", None)
            if origin and origin.endswith(SUFFIX) and not _is_installed(Path(origin)):
                waiting.append((Path(origin), getattr(module, "__package__", None) or ""))
    return found


def _imported_names(file: Path, package: str) -> Iterator[str]:
    """Every module that an import statement in ``file`` may load, the packages around it, too."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                above = parents[: len(parents) - node.level + 1]
                base = ".".join([*above, *filter(None, [base])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] != THIS:  # its version is watched
                yield from (".".join(parts[: index + 1]) for index in range(len(parts)))


def _is_installed(file: Path) -> bool:
    """Whether it belongs to Python or to an installed package."""
    folders = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return any(file.is_relative_to(folder) for folder in folders)
