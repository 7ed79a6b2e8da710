# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""FINN's own published tests of RTL simulation, on Verilator instead of Vivado.

    python examples/benchmarks/finn_published_tests.py --folder /tmp/finn_tests

Downloads finn-plus-tests (and what its modules import beside FINN) from PyPI into a folder of its
own, runs a selection of the RTL simulation tests unmodified with ``enable_verilator``, and prints
for each test function how many parameter sets pass, fail or are skipped, with the reasons.
"""

import argparse
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from pathlib import Path

import pytest

# Loaded without its dependencies: FINN and torch are installed already.
PACKAGES = ["finn-plus-tests==1.6.0", "torchvision==0.27.*", "wget", "pytest-forked"]
PACKAGES += ["junitparser", "py"]
# Test modules and what pytest's -k chooses there: simulation of RTL layers, one by one and, in two
# modules, stitched (which CreateStitchedIP does in Vivado). HLS layers need Vitis and are left out.
SELECTION = {
    "fifo": "rtlsim",
    "dwc": "rtl-rtlsim or (stitched and rtl-)",
    "thresholding": "test_fpgadataflow_thresholding and rtlsim-rtl",
    "mvau": "test_fpgadataflow_rtl_mvau or (large_depth and rtl-)",
    "requant": "test_requant_rtl and (node_by_node or stitched_ip)",
}


@pytest.hookimpl(tryfirst=True)  # their conftest asks for Vivado's simulator in the same hook
def pytest_configure() -> None:
    """This file is also the pytest plugin of the tests it starts."""
    from dhq_brevitas.finn_flow.environment import prepare
    from dhq_brevitas.finn_flow.rtlsim import enable_verilator

    prepare()
    enable_verilator()


def pytest_addoption(parser) -> None:
    parser.addoption("--every", type=int, default=1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items) -> None:
    """Every n-th parameter set of each test function, after -k has chosen."""
    every = config.getoption("--every")
    seen: Counter = Counter()
    kept = []
    for item in items:
        if seen[item.originalname] % every == 0:
            kept.append(item)
        seen[item.originalname] += 1
    items[:] = kept


def reason(message: str) -> str:
    """One line of what made a test fail."""
    lines = [line for line in message.splitlines() if line.strip()]
    return re.sub(r"/\S+/", "", lines[0])[:110] if lines else "?"


def run(folder: Path, name: str, keywords: str, every: int) -> dict[str, list[tuple[str, str]]]:
    """(outcome, reason) of every parameter set, by test function."""
    results = folder / f"{name}.xml"
    paths = [str(folder), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    plugin = Path(__file__).stem
    command = [sys.executable, "-W", "ignore", "-m", "pytest", "-q", "-p", plugin]
    command += ["-p", "no:cacheprovider", "--import-mode=importlib", "-k", keywords]
    command += [f"--every={every}", f"--junitxml={results}", "-o", "junit_family=xunit2"]
    command += [f"tests/fpgadataflow/test_fpgadataflow_{name}.py"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    log = folder / f"{name}.log"
    with log.open("w") as file:
        subprocess.run(command, cwd=folder, env=environment, stdout=file, stderr=file, check=False)
    if not results.exists():
        raise SystemExit(f"the tests of {name} did not start, see {log}")
    outcomes = defaultdict(list)
    for case in ElementTree.parse(results).iter("testcase"):
        bad = case.find("failure") if case.find("error") is None else case.find("error")
        skipped = case.find("skipped")
        kind = "passed" if bad is None and skipped is None else "failed"
        text = "" if bad is None else bad.attrib.get("message", "") or str(bad.text)
        if skipped is not None:
            kind, text = "skipped", skipped.attrib.get("message", "")
        outcomes[case.attrib["name"].partition("[")[0]].append((kind, reason(text)))
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="for the tests and their logs")
    parser.add_argument("--every", type=int, default=8, help="every n-th parameter set (default 8)")
    parser.add_argument("--only", choices=SELECTION, help="one module")
    args = parser.parse_args()
    folder = args.folder.resolve()
    if not (folder / "tests").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--target", str(folder), *PACKAGES], check=True)
    for name, keywords in SELECTION.items():
        if args.only not in (None, name):
            continue
        for function, outcomes in run(folder, name, keywords, args.every).items():
            counts = Counter(kind for kind, _ in outcomes)
            print(f"{function}: " + ", ".join(f"{n} {kind}" for kind, n in counts.items()))
            for (kind, text), n in Counter(outcomes).items():
                if kind != "passed":
                    print(f"    {n} {kind}: {text}")


if __name__ == "__main__":
    main()
