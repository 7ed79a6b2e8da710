# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Imports go down a ladder of packages, and only run/ reaches the two siblings; sizes.

Read from the syntax trees, so that imports inside functions and under TYPE_CHECKING count, too.
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE = ROOT / "dhq_brevitas"
SIBLINGS = {"dhq_brevitas.export": ROOT / "export", "dhq_brevitas.finn_flow": ROOT / "finn_flow"}
# A package may import those before it. The modules beside the packages, whose functions users
# call, are above them all.
LADDER = ["util", "nn", "inr", "signals", "tracing", "quantization", "planning", "analysis", "run"]
TOP = len(LADDER)


def modules() -> dict[str, Path]:
    """Every module of the core by its dotted name."""
    found = {}
    for path in CORE.rglob("*.py"):
        parts = path.relative_to(CORE).with_suffix("").parts
        if parts[0] in ("export", "finn_flow"):  # where a checkout links the siblings
            continue
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        found[".".join(["dhq_brevitas", *parts])] = path
    return found


def imports(source: str, known: set[str]) -> Iterator[str]:
    """Dotted names of what of this project a module imports; modules where they are ``known``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("dhq_brevitas"))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if (node.module or "").split(".")[0] == "dhq_brevitas":
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield inner if inner in known else str(node.module)


def floor(module: str) -> int:
    parts = module.split(".")
    return LADDER.index(parts[1]) if len(parts) > 1 and parts[1] in LADDER else TOP


def faults(module: str, source: str, known: set[str]) -> list[str]:
    """What a module imports although it may not."""
    found = []
    for target in imports(source, known):
        sibling = any(target.startswith(name) for name in SIBLINGS)
        if sibling and floor(module) != LADDER.index("run"):
            found.append(f"{module} imports {target}, which only run/ may")
        if not sibling and floor(target) > floor(module):
            found.append(f"{module} imports {target}, which is above it")
    return found


def test_every_package_is_on_the_ladder():
    packages = {path.parent.name for path in CORE.glob("*/__init__.py")}
    assert packages - {"export", "finn_flow"} == set(LADDER)


def test_imports_go_down():
    known = set(modules())
    found = [
        fault for name, path in modules().items() for fault in faults(name, path.read_text(), known)
    ]
    assert found == []


def test_no_circles():
    known = set(modules())
    graph = {}
    for name, path in modules().items():
        targets = set(imports(path.read_text(), known)) & known
        graph[name] = targets - {name}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"import circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("folder", SIBLINGS.values(), ids=lambda path: path.name)
def test_siblings_know_nothing_of_runs(folder):
    allowed = LADDER.index("analysis")
    for path in folder.rglob("*.py"):
        for target in imports(path.read_text(), set(modules())):
            assert any(target.startswith(n) for n in SIBLINGS) or floor(target) < allowed, path


@pytest.mark.parametrize(
    ("module", "source", "message"),
    [
        ("dhq_brevitas.nn.a", "from dhq_brevitas.inr import spec", "which is above it"),
        (
            "dhq_brevitas.inr.a",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
            "    from dhq_brevitas.run.stage import Stage",
            "which is above it",
        ),
        (
            "dhq_brevitas.planning.a",
            "def f():\n    import dhq_brevitas.finn_flow.estimates",
            "which only run/ may",
        ),
    ],
)
def test_a_fault_is_seen(module, source, message):
    """Negative control."""
    assert message in faults(module, source, set(modules()))[0]


def test_what_is_allowed_is_no_fault():
    source = "from dhq_brevitas.inr import spec\nfrom dhq_brevitas.export import run_qonnx"
    assert faults("dhq_brevitas.run.a", source, set(modules())) == []


# -- sizes -----------------------------------------------------------------------------------------

MOST_LINES, MOST_LINES_A_FUNCTION = 400, 60


def too_long(source: str) -> list[str]:
    """ "module" and names of functions that are longer than they may be."""
    found = ["module"] if len(source.splitlines()) > MOST_LINES else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
            lines = node.end_lineno - node.lineno + 1
            # A longer one says so in its docstring, with the reason.
            if lines > MOST_LINES_A_FUNCTION and "Long because" not in (
                ast.get_docstring(node) or ""
            ):
                found.append(node.name)
    return found


@pytest.mark.parametrize("folder", ["dhq_brevitas", "export", "finn_flow"])
def test_modules_and_functions_are_short(folder):
    found = {str(p): too_long(p.read_text()) for p in (ROOT / folder).rglob("*.py")}
    assert {path: names for path, names in found.items() if names} == {}


def test_a_long_function_is_seen():
    """Negative control."""
    body = "\n".join(["    x = 1"] * 60)
    assert too_long(f"def f():\n{body}\n") == ["f"]
    assert too_long("x = 1\n" * 401) == ["module"]
