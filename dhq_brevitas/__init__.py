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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dhq_brevitas.api import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if name.startswith("__") and name != "__all__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    api = importlib.import_module("dhq_brevitas.api")
    # Importing it has set the modules it is made of, too.
    known = vars(api) | globals()
    if name not in known:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return known[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})
