# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Areas of the kernels by Yosys: against a bound, and against this package's own estimates."""

import pytest

import resource_estimates
from dhq_brevitas.finn_flow.synthesis import Yosys
from hardware.kernel import synthesize_kernel


@pytest.mark.exhaustive
def test_area_of_the_transform():
    """At most 1.6 LUTs an adder bit from 8 lanes on, at N = 256 and 8 bits."""
    found = synthesize_kernel("hadamard_transform", {"N": 256, "SIMD": 8, "IN_WIDTH": 8})
    assert found.lut <= 1.6 * 8 * sum(range(9, 17))


@pytest.mark.parametrize(
    "point",
    [
        {"order": 32, "lanes": 4, "bits": 6, "shift": 3},
        {"table": 10, "lanes": 1, "bits": 21, "channels": 32, "scale": 3},
        *(
            pytest.param(point, marks=pytest.mark.exhaustive)
            for point in (
                {"order": 128, "lanes": 1, "bits": 8},
                {"table": 7, "lanes": 4, "bits": 13},
                {"table": 12, "lanes": 1, "bits": 20, "out": 9, "function": "finer"}
                | {"offset": -2048},
            )
        ),
    ],
)
def test_estimates_off_the_fitted_grid(point):
    """LUTs within 15%, block RAM and DSPs exactly."""
    assert point in resource_estimates.HELD_OUT
    estimate, found = resource_estimates.measure(point, Yosys())
    assert estimate["lut"] == pytest.approx(found.lut, rel=0.15)
    assert (estimate["dsp"], estimate["bram18"]) == (found.dsp, found.bram18)
