# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Distribution-aware Hadamard quantization (DHQ) of implicit neural representations for Brevitas.

The PyTorch side: the transform, quantizers and activations for Brevitas layers, and :func:`fit`,
which makes a network for an array. The QONNX export is
``dhq_brevitas.export``, the mapping to hardware ``dhq_brevitas.finn_flow``; neither is imported
here. PyTorch and Brevitas are imported when a name is used first, so that ``dhq --help`` need not
wait for them.
"""

import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dhq_brevitas.api import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if name.startswith("__") and name != "__all__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # "from dhq_brevitas import module" within the package must not import everything first.
    if find_spec(f"{__name__}.{name}") is not None:
        return importlib.import_module(f"{__name__}.{name}")
    api = importlib.import_module("dhq_brevitas.api")
    if not hasattr(api, name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})
