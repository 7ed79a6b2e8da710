# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What the documents name exists, and what they and the docstrings show works."""

import doctest
import importlib
import re
import shlex
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import brevitas.nn as qnn
import numpy as np
import pytest
import torch

import dhq_brevitas as dhq
from dhq_brevitas.run.cli import build_parser
from dhq_brevitas.run.pipeline import run_stage
from dhq_brevitas.run.records import RunFolder
from dhq_brevitas.run.stages.export import ExportOptions
from dhq_brevitas.run.stages.fit import FitOptions
from dhq_brevitas.run.stages.quantize import QuantizeOptions

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
]
WITH_PYTHON = [f"docs/{name}.md" for name in ("brevitas", "checkpoint", "families", "networks")]
WITH_PYTHON.append("docs/tutorial.md")
FOLDERS = "dhq_brevitas|docs|examples|export|finn_flow|tests"
HAS_FINN = find_spec("finn") is not None


@pytest.fixture(params=DOCUMENTS)
def document(request) -> Path:
    return ROOT / request.param


def anchors(text: str) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def missing_links(document: Path, text: str) -> list[str]:
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = document.parent / name if name else document
        if not file.exists() or (anchor and anchor not in anchors(file.read_text())):
            found.append(target)
    return found


def missing_paths(text: str) -> list[str]:
    """Those that look like paths of this repository and are not there.

    NAME stands for a name. "In `path`:" introduces a file that a reader is shown how to make.
    """
    named = re.findall(rf"(?<![\w./])((?:{FOLDERS})/[\w./-]*\w)", text)
    examples = re.findall(r"\bIn\s`([^`]+)`[:,]", text)
    return [
        path
        for path in named
        if not re.search("NAME", path) and path not in examples and not (ROOT / path).exists()
    ]


def missing_names(text: str) -> list[str]:
    names = set(re.findall(r"\bdhq_brevitas(?:\.\w+)+", text))
    names |= {f"dhq_brevitas.{name}" for name in re.findall(r"\bdhq\.([A-Za-z]\w*)", text)}
    return [name for name in sorted(names) if not exists(name)]


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    if name.startswith("dhq_brevitas.finn_flow") and not HAS_FINN:
        return True
    parts = name.split(".")
    found: Any = importlib.import_module(parts[0])
    for length, part in enumerate(parts[1:], start=2):
        if not hasattr(found, part):
            try:
                importlib.import_module(".".join(parts[:length]))
            except ModuleNotFoundError:
                return False
        found = getattr(found, part)
    return True


def test_links(document):
    assert missing_links(document, document.read_text()) == []


def test_paths(document):
    assert missing_paths(document.read_text()) == []


@pytest.mark.filterwarnings("ignore")
def test_names(document):
    assert missing_names(document.read_text()) == []


def test_what_is_missing_is_found():
    """Negative control."""
    text = "[a](docs/none.md) [b](README.md#none) `examples/none.py` dhq_brevitas.inr.none dhq.none"
    assert missing_links(ROOT / "x.md", text) == ["docs/none.md", "README.md#none"]
    assert missing_paths(text) == ["docs/none.md", "examples/none.py"]
    assert missing_names(text) == ["dhq_brevitas.inr.none", "dhq_brevitas.none"]


# -- commands --------------------------------------------------------------------------------------


def commands(text: str) -> list[str]:
    """Indented lines; one that ends in a backslash goes on in the next."""
    lines = re.findall(r"^    (.+)$", text.replace("\\\n", " "), flags=re.MULTILINE)
    return [re.split(r"\s+#|\s{2,}\(", line)[0] for line in lines]


def test_commands(document):
    """``dhq`` takes the options that are shown, and make has the targets."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for command in commands(document.read_text()):
        if command.startswith("dhq "):
            build_parser().parse_args(shlex.split(command)[1:])
        if command.startswith("make "):
            assert command.split()[1] in targets, command


# -- what is shown in Python -----------------------------------------------------------------------


@cache
def given() -> dict[str, Any]:
    """What the examples take as given; none of them changes it."""
    torch.manual_seed(0)
    coordinates = np.linspace(0, 1, 64)
    values = np.sin(9 * coordinates)
    fitted = dhq.fit(coordinates, values, hidden=8, layers=1, steps=2, progress=False)
    return {
        "dhq": dhq,
        "torch": torch,
        "model": torch.nn.Sequential(
            qnn.QuantIdentity(act_quant=dhq.IntegerCodes, bit_width=7, return_quant_tensor=True),
            qnn.QuantLinear(2, 16, bias=True),
            dhq.QuantSine(period=1.0, return_quant_tensor=True),
            qnn.QuantLinear(16, 1, bias=True),
        ),
        "network": torch.nn.Sequential(
            torch.nn.Linear(2, 8), torch.nn.GELU(), torch.nn.Linear(8, 1)
        ),
        "inputs": torch.randint(-64, 64, (256, 2)).float(),
        "target": torch.zeros(256, 1),
        "coordinates": coordinates,
        "values": values,
        "fitted": fitted,
        "quantized": fitted.quantize(steps=0, progress=False),
    }


@pytest.fixture
def shown(tmp_path, monkeypatch) -> dict[str, Any]:
    """What the examples take as given, and an empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return dict(given())


def make_run(path: str) -> None:
    """A run folder as far as the QONNX graph."""
    folder = RunFolder(path)
    folder.path.mkdir(parents=True)
    fit = FitOptions("astronaut", size=16, hidden=8, layers=1, steps=0)
    quantize = QuantizeOptions(qat_steps=0)
    for stage, options in {"fit": fit, "quantize": quantize, "export": ExportOptions()}.items():
        run_stage(folder, stage, options, progress=False, say=lambda text: None)


PUBLIC = [
    "Fitted.load",
    "Fitted.quantize",
    "Fitted.save",
    "InrSpec",
    "QuantLookupActivation",
    "QuantSpec",
    "Quantized.build",
    "Quantized.export",
    "Quantized.pack",
    "analyze",
    "calibrate",
    "fit",
    "load_run",
    "plan",
    "quantize",
    "unpack",
]
MODULES = ["fitting", "models", "nn.quantizers"]


def examples_of(name: str, names: dict[str, Any]) -> Iterator[doctest.DocTest]:
    """The examples in the docstring of a module or a public name."""
    if name in MODULES:
        found: Any = importlib.import_module(f"dhq_brevitas.{name}")
        module = found
    else:
        found = dhq
        for part in name.split("."):
            found = getattr(found, part)
        module = importlib.import_module(found.__module__)
    assert isinstance(module, ModuleType)
    finder = doctest.DocTestFinder(recurse=False)
    yield from finder.find(found, name, module, extraglobs=names)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*MODULES, *PUBLIC])
def test_examples_of_docstrings(name, shown):
    if name == "Quantized.build" and not HAS_FINN:
        pytest.skip("a build needs FINN")
    if name == "load_run":
        make_run("runs/astronaut")
    runner = doctest.DocTestRunner()
    for examples in examples_of(name, shown):
        runner.run(examples)
    assert runner.summarize(verbose=False).failed == 0
    assert runner.tries > 0, f"{name} shows no example"


# -- Python in the documents -----------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WITH_PYTHON)
def test_python(name, shown, monkeypatch):
    """Every block runs, the later ones with the names of the earlier; trained for two steps.

    Of blocks that map to FINN, which is tested elsewhere, only the imports run.
    """
    for function in (dhq.fit, dhq.quantize):
        monkeypatch.setitem(function.__kwdefaults__, "steps", 2)
        monkeypatch.setitem(function.__kwdefaults__, "progress", False)
    monkeypatch.setitem(dhq.plan.__kwdefaults__, "progress", False)
    quantize = dhq.Fitted.quantize
    monkeypatch.setattr(dhq.Fitted, "quantize", lambda self, spec: quantize(self, spec, steps=2))
    if name == "docs/tutorial.md":
        make_run("runs/first")
    torch.save(shown["network"].state_dict(), "float.pt")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), flags=re.DOTALL)
    assert blocks
    for block in blocks:
        if "finn_flow" in block or ".build(" in block:
            compile(block, name, "exec")
            assert missing_imports(block) == []
        else:
            exec(block, shown)


def missing_imports(block: str) -> list[str]:
    """Names that a block imports from this package and that are not there."""
    found = re.findall(r"^from (dhq_brevitas[\w.]*) import (.+)$", block, flags=re.MULTILINE)
    names = [f"{module}.{name}" for module, names in found for name in names.split(", ")]
    return [name for name in names if not exists(name)]
