# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``enable_verilator``: Verilator in place of Vivado's simulator behind ``finn.xsi``."""

import sys

from dhq_brevitas.finn_flow.environment import has_vivado


def enable_verilator(*, force: bool = False) -> bool:
    """Makes FINN simulate RTL with Verilator in this process; repeated calls change nothing.

    FINN's PrepareRTLSim, node execution in exec_mode "rtlsim", ``rtlsim_exec`` and cycle counts
    then work as with Vivado. Processes forked later inherit it.

    Args:
        force: also where XILINX_VIVADO is set; otherwise Vivado's simulator stays in place.

    Returns whether Verilator is enabled. SimulationError if Verilator or g++ is missing.
    """
    if has_vivado() and not force:
        return False
    import finn.xsi

    from dhq_brevitas.finn_flow.rtlsim import xsi
    from dhq_brevitas.finn_flow.rtlsim.toolchain import find_toolchain

    find_toolchain()
    if sys.modules.get("xsi") is not xsi:
        # finn_xsi's modules bind ``xsi`` when they are first imported.
        for name in ("finn_xsi.adapter", "finn_xsi.sim_engine"):
            sys.modules.pop(name, None)
        sys.modules["xsi"] = xsi
    from finn_xsi.sim_engine import SimEngine

    from dhq_brevitas.finn_flow.rtlsim import adapter

    replacements = {
        name: getattr(adapter, name) for name in finn.xsi._LAZY_NAMES if name != "SimEngine"
    }
    replacements |= {
        "SimEngine": SimEngine,
        "is_available": lambda: True,
        "ensure_available": lambda: True,
    }
    for name, function in replacements.items():
        setattr(finn.xsi, name, function)
    return True


def verilator_enabled() -> bool:
    """Whether :func:`enable_verilator` took effect in this process."""
    from dhq_brevitas.finn_flow.rtlsim import xsi

    return sys.modules.get("xsi") is xsi
