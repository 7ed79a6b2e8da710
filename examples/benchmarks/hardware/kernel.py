# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``synthesize_kernel``: one SystemVerilog kernel of this package by itself."""

from collections.abc import Mapping
from pathlib import Path

from dhq_brevitas.finn_flow import rtl
from dhq_brevitas.finn_flow.synthesis.design import read_resources
from dhq_brevitas.finn_flow.synthesis.resources import Resources
from dhq_brevitas.finn_flow.synthesis.sources import read_sources
from dhq_brevitas.finn_flow.synthesis.yosys import Yosys

RTL_FOLDER = Path(str(rtl.__file__)).parent


def synthesize_kernel(
    kernel: str, parameters: Mapping[str, object], family: str = "xcup", yosys: Yosys | None = None
) -> Resources:
    """Resources of a module of ``finn_flow/rtl`` with these parameters, cached.

    Only for parameters that name no file. SynthesisError if the kernel refuses them.
    """
    yosys = yosys or Yosys()
    sources = read_sources(sorted(RTL_FOLDER.glob("*.sv")))
    return read_resources(yosys.synthesize(sources, kernel, family, parameters=parameters))
