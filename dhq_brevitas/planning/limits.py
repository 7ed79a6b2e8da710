# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What a network takes in hardware, and limits on that.

:mod:`dhq_brevitas.finn_flow.estimates` makes hardware layers from a network's integers and asks
them what they take, which :class:`Resources` hold. Nothing here needs FINN, or PyTorch when it is
imported.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dhq_brevitas.util.errors import ArgumentError

__all__ = [
    "DEFAULT_CYCLES_PER_SAMPLE",
    "DEFAULT_FPGA_PART",
    "DEFAULT_MVAU",
    "LIMITED",
    "MVAUS",
    "Estimator",
    "Hardware",
    "Limits",
    "Resources",
]

DEFAULT_CYCLES_PER_SAMPLE = 128
DEFAULT_FPGA_PART = "xczu3eg-sbva484-1-e"
DEFAULT_MVAU = "matrix_vector"
#: Verilog of matrix products, and what a build with it is called.
MVAUS = {DEFAULT_MVAU: "", "adders": ", with adder graphs", "finn": ", with FINN's MVAU"}
LIMITED = ("lut", "dsp", "bram18", "uram")


@dataclass(frozen=True)
class Resources:
    """Estimates of FINN's and our operators; ``cycles`` a sample, of the slowest one."""

    lut: int = 0
    dsp: int = 0
    bram18: int = 0
    uram: int = 0
    cycles: int = 0

    @classmethod
    def reported(cls, report: Mapping[str, Any]) -> "Resources":
        """Those of a build's report, DSPs as in its RTL; 0 for what FINN reported nothing on."""
        names = ("lut", "dsp_rtl", "bram18", "uram", "cycles_per_sample")
        return cls(*(report.get(f"{name}_estimate", 0) for name in names))

    def __add__(self, other: "Resources") -> "Resources":
        """Both in one pipeline."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in LIMITED}
        return Resources(**sums, cycles=max(self.cycles, other.cycles))

    def __sub__(self, other: "Resources") -> "Resources":
        """How much more of each; ``cycles`` of this one."""
        return Resources(
            **{name: getattr(self, name) - getattr(other, name) for name in LIMITED},
            cycles=self.cycles,
        )


@dataclass(frozen=True)
class Limits:
    """At most so many of each resource for the whole network, None: any number; in such a build.

    ValueError for a limit below zero, or cycles or a part that no build can have.
    """

    lut: int | None = None
    dsp: int | None = None
    bram18: int | None = None
    uram: int | None = None
    cycles_per_sample: int = DEFAULT_CYCLES_PER_SAMPLE
    fpga_part: str = DEFAULT_FPGA_PART
    mvau: str = DEFAULT_MVAU

    def __post_init__(self) -> None:
        for name, limit in self.given().items():
            if type(limit) is not int or limit < 0:
                raise ArgumentError(f"max_{name}", limit, "must be an integer of at least 0")
        if type(self.cycles_per_sample) is not int or self.cycles_per_sample < 1:
            raise ArgumentError("cycles_per_sample", self.cycles_per_sample, "must be at least 1")
        if not str(self.fpga_part).startswith("xc"):
            problem = f"is no FPGA part, as {DEFAULT_FPGA_PART} is one"
            raise ArgumentError("fpga_part", self.fpga_part, problem)

    @property
    def build(self) -> str:
        """The build they are for, in words."""
        return f"{self.cycles_per_sample} cycles a sample on {self.fpga_part}{MVAUS[self.mvau]}"

    def given(self) -> dict[str, int]:
        """Those that are set, by the name in :class:`Resources`."""
        limits = {name: getattr(self, name) for name in LIMITED}
        return {name: limit for name, limit in limits.items() if limit is not None}

    def exceeded(self, resources: Resources) -> dict[str, int]:
        """By how much ``resources`` exceed those that they do not keep to."""
        excess = {name: getattr(resources, name) - limit for name, limit in self.given().items()}
        return {name: more for name, more in excess.items() if more > 0}

    def hold(self, resources: Resources) -> bool:
        """Whether ``resources`` keep to them."""
        return not self.exceeded(resources)


class Estimator(Protocol):
    """Says what networks take, such as :class:`dhq_brevitas.finn_flow.estimates.LayerEstimator`."""

    def __call__(self, layers: Sequence[Any], /) -> list[Resources]:
        """What each of some layers in a row takes, of their ``inr.integers.LayerCodes``."""

    def network(self, model: Any, inputs: Any, /) -> Resources:
        """What a calibrated network takes in all, joints and quantizers between layers included."""


@dataclass(frozen=True)
class Hardware:
    """What a plan's network may take, and who says what it takes."""

    limits: Limits
    estimate: Estimator

    def used(self, model: Any, inputs: Any) -> list[Resources]:
        """What each layer of a calibrated network takes, then what all between the layers does.

        That is left out of a chain of layers and tables, which has nothing between them. One sample
        of ``inputs`` is run.
        """
        from dhq_brevitas.inr.integers import layer_codes
        from dhq_brevitas.inr.layers import is_chain

        layers = self.estimate(layer_codes(model, inputs[:1]))
        if is_chain(model, inputs[:1]):
            return layers
        return [*layers, self.estimate.network(model, inputs[:1]) - sum(layers, Resources())]

    def exceeded(self, model: Any, inputs: Any) -> str:
        """What a network takes beyond the limits, in words; "" if it keeps to them."""
        total = sum(self.used(model, inputs), Resources())
        limits = self.limits.given()
        return ", ".join(
            f"{limits[name] + more} {name}, not {limits[name]}"
            for name, more in self.limits.exceeded(total).items()
        )
