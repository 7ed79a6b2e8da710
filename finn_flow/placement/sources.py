# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Sources as Yosys gets them for a device without AMD's DSP slices and shift registers.

On top of the changes of :mod:`dhq_brevitas.finn_flow.synthesis.sources`:

=====================  =============================================================================
wrappers of MVAUs      multipliers that Yosys infers instead of DSP48 slices, one product each:
                       FINN's own behavioral one, or that of matrix_vector.sv
shift registers        a memory in a ring, which becomes distributed RAM
=====================  =============================================================================
"""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from dhq_brevitas.finn_flow.rtlsim.sources import Sources
from dhq_brevitas.finn_flow.synthesis.sources import read_sources

_BEHAVIORAL = re.compile(r"`ifdef FINN_SIMULATION\s*(\.FORCE_BEHAVIORAL\(1\),)\s*`endif", re.M)
# matrix_vector packs several products with a slice only; its weights are stored the same without.
_SLICES = re.compile(r'\.PACK\(\d+\)(.*?)\.DSP\("DSP48E[12]"\)', re.S)


def portable_sources(paths: Sequence[str | Path]) -> Sources:
    """The files, with the changes of the module docstring."""
    sources = read_sources(list(map(str, paths)), queues_in_ram=True)
    texts = {
        name: _SLICES.sub(r'.PACK(1)\1.DSP("")', _BEHAVIORAL.sub(r"\1", text))
        for name, text in sources.texts.items()
    }
    return dataclasses.replace(sources, texts=texts)
