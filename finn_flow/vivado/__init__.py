# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A design for Vivado: Tcl that packages it and puts it behind a Zynq's DMA, and host software.

:func:`make_stream` gives an accelerator whose codes come from the host the form that DMA needs;
:func:`write_project` writes the files.
"""

from dhq_brevitas.finn_flow.vivado.boards import ZynqBoard
from dhq_brevitas.finn_flow.vivado.project import write_project
from dhq_brevitas.finn_flow.vivado.stream import make_stream

__all__ = ["ZynqBoard", "make_stream", "write_project"]
