# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""RTL simulation without Vivado: Verilator behind ``finn.xsi``.

    from dhq_brevitas.finn_flow.rtlsim import enable_verilator
    enable_verilator()

From then on FINN's own passes and functions simulate RTL: ``PrepareIP``, ``SetExecMode("rtlsim")``,
``PrepareRTLSim`` and ``execute_onnx``, node by node, or ``rtlsim_exec`` on a stitched design.
Compiled simulators are kept in a cache folder of the user
(:func:`~dhq_brevitas.finn_flow.environment.simulator_cache_dir`).
"""

from dhq_brevitas.finn_flow.rtlsim.enable import enable_verilator, verilator_enabled
from dhq_brevitas.finn_flow.rtlsim.errors import SimulationError

__all__ = ["SimulationError", "enable_verilator", "verilator_enabled"]
