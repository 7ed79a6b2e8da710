# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The benchmarks need finn-plus and pyosys; without them (extras ``finn``, ``synth``) no tests."""

import importlib.util

if any(importlib.util.find_spec(name) is None for name in ("finn", "pyosys")):
    collect_ignore_glob = ["test_*.py"]
