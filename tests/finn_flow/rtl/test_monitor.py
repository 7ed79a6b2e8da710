# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Negative control of the handshake assertions: each of them stops the fault it is for."""

from pathlib import Path

import pytest
from simulate import Instance, build, simulate

SOURCE = Path(__file__).with_name("faulty_stream.sv")


@pytest.mark.parametrize("fault", ["none", "hold", "stable", "offer", "count"])
def test_assertion(fault: str, model_cache: Path, tmp_path: Path) -> None:
    instances = [Instance("faulty_stream", {"FAULT": fault}, 8, 8)]
    folder = build(model_cache, instances, [SOURCE])
    outcome = simulate(folder, instances, "monitor_bench", tmp_path)
    if fault == "none":
        assert not outcome.failed
    else:
        assert f"monitor.a_{fault}" in outcome.failed["assertions of the RTL"]
