# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Distribution-aware Hadamard quantization (DHQ) of implicit neural representations for Brevitas.

The PyTorch side: the transform, quantizers and activations for Brevitas layers; :func:`quantize`,
:func:`plan` and :func:`analyze` for networks of such layers; and :func:`fit`, which makes a network
for an array. The QONNX export is ``dhq_brevitas.export``, the mapping to hardware
``dhq_brevitas.finn_flow``; neither is imported here. PyTorch and Brevitas are imported when a name
is used first, so that ``dhq --help`` need not wait for them. The names are in ``__init__.pyi``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
