# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""FINN flow: integer-form QONNX graphs to streaming dataflow hardware, executed and checked.

Importing this package prepares FINN's environment (:mod:`.environment`) and registers hardware
layers and build steps. It is the only package here that imports ``finn``.
"""

from dhq_brevitas.finn_flow import environment

environment.prepare()

from dhq_brevitas.finn_flow.bitfile import DHQ_BITFILE_STEPS  # noqa: E402
from dhq_brevitas.finn_flow.build import (  # noqa: E402
    BuildResult,
    TargetNotMetWarning,
    build_dataflow,
)
from dhq_brevitas.finn_flow.errors import (  # noqa: E402
    FlowError,
    UnsupportedNodeError,
    VerificationError,
)
from dhq_brevitas.finn_flow.execute import execute_dataflow  # noqa: E402
from dhq_brevitas.finn_flow.fastest import fastest_cycles  # noqa: E402
from dhq_brevitas.finn_flow.host_affine import HostAffine  # noqa: E402
from dhq_brevitas.finn_flow.steps import DHQ_BUILD_STEPS, DhqBuildConfig  # noqa: E402

__all__ = [
    "DHQ_BITFILE_STEPS",
    "DHQ_BUILD_STEPS",
    "BuildResult",
    "DhqBuildConfig",
    "FlowError",
    "HostAffine",
    "TargetNotMetWarning",
    "UnsupportedNodeError",
    "VerificationError",
    "build_dataflow",
    "execute_dataflow",
    "fastest_cycles",
]
