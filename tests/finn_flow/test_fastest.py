# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The fastest accelerator within limits: its build keeps to them, the next faster one does not."""

import pytest
from siren_graphs import Siren

from dhq_brevitas.finn_flow import build_dataflow, fastest_cycles
from dhq_brevitas.planning.limits import Limits
from dhq_brevitas.run.stages.build import AUTO_CYCLES, BuildOptions, check
from dhq_brevitas.run.stages.plan import PlanOptions, check_limits
from dhq_brevitas.util.errors import ArgumentError


def test_the_fastest_within_limits(tmp_path):
    model = Siren(hidden=8, layers=1, order=8).build()
    limits = Limits(lut=450, dsp=6)
    cycles = fastest_cycles(model, limits)
    reports = [
        build_dataflow(model, tmp_path, cycles_per_sample=rate, progress=False).report
        for rate in (cycles, cycles - 1)
    ]
    assert reports[0]["cycles_per_sample_estimate"] == cycles
    fits = [r["lut_estimate"] <= 450 and r["dsp_rtl_estimate"] <= 6 for r in reports]
    assert fits == [True, False]
    assert fastest_cycles(model, Limits()) == 1
    message = r"max_dsp=1 leaves no accelerator: the smallest, at \d+ cycles a sample, is estimated"
    with pytest.raises(ArgumentError, match=message):
        fastest_cycles(model, Limits(dsp=1))


def test_who_finds_the_cycles():
    """A build, within limits or a part that is known; the planner is given them."""
    check(BuildOptions(cycles_per_sample=AUTO_CYCLES), None)
    check(BuildOptions(cycles_per_sample=AUTO_CYCLES, fpga_part="xcvu9p", max_dsp=9), None)
    with pytest.raises(ArgumentError, match="fpga_part='xcvu9p' has resources that are not known"):
        check(BuildOptions(cycles_per_sample=AUTO_CYCLES, fpga_part="xcvu9p"), None)
    options = PlanOptions(cycles_per_sample=AUTO_CYCLES, max_lut=9)
    check_limits(options, planned=False)
    with pytest.raises(ArgumentError, match="cycles_per_sample='auto' is for a build"):
        check_limits(options)
