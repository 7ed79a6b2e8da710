# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Options of the stages of a run, with their defaults. Light: imports no PyTorch."""

from dataclasses import dataclass

__all__ = [
    "AnalyzeOptions",
    "BuildOptions",
    "ExportOptions",
    "FitOptions",
    "PlanOptions",
    "QuantizeOptions",
    "SimulateOptions",
    "StageOptions",
    "SynthOptions",
]


@dataclass(frozen=True)
class FitOptions:
    """Float fit: the signal, the task, the network and its training."""

    signal: str
    task: str = "picture"
    task_parameters: str = ""
    size: int | None = None
    grey: bool = False
    family: str = "siren"
    hidden: int = 128
    layers: int = 3
    parameters: str = ""
    steps: int = 3000
    learning_rate: float | None = None
    batch: int = 4096
    seed: int = 0


@dataclass(frozen=True)
class AnalyzeOptions:
    """Distributions of weights and activations, and what alternatives cost at these widths."""

    weight_bits: int = 8
    act_bits: int = 8


@dataclass(frozen=True)
class PlanOptions:
    """The planner: kind of scales, and widths of the uniform network whose bits it may use.

    ``budget``: total bits of the weights, instead of those of that network. ``max_…``: limits on
    what FINN and our operators estimate for a build with these cycles and this part.
    """

    scale: str = "po2"
    granularity: str = "channel"
    weight_bits: int = 8
    act_bits: int = 8
    first_weight_bits: int = 12
    last_weight_bits: int | None = None
    phase_bits: int = 12
    budget: int | None = None
    max_lut: int | None = None
    max_dsp: int | None = None
    max_bram18: int | None = None
    max_uram: int | None = None
    cycles_per_sample: int = 128
    fpga_part: str = "xczu3eg-sbva484-1-e"


@dataclass(frozen=True)
class QuantizeOptions:
    """Quantization: see :class:`dhq_brevitas.inr.quant_spec.QuantSpec`; then fine-tuning.

    Scheme "auto" leaves rotation and widths to the planner (:class:`PlanOptions`); ``plan`` names a
    plan file, which then says all but the fine-tuning. Budget, limits, cycles and part are the
    planner's.
    """

    scheme: str = "dhq"
    plan: str | None = None
    budget: int | None = None
    max_lut: int | None = None
    max_dsp: int | None = None
    max_bram18: int | None = None
    max_uram: int | None = None
    cycles_per_sample: int = 128
    fpga_part: str = "xczu3eg-sbva484-1-e"
    scale: str = "po2"
    granularity: str = "channel"
    rotation: str = "input"
    signs_seed: int | None = None
    weight_bits: int = 8
    act_bits: int = 8
    first_weight_bits: int = 12
    last_weight_bits: int | None = None
    phase_bits: int = 12
    qat_steps: int = 500
    qat_learning_rate: float | None = None
    batch: int = 8192
    seed: int = 0


@dataclass(frozen=True)
class ExportOptions:
    """QONNX export has no options."""


@dataclass(frozen=True)
class BuildOptions:
    """FINN build."""

    cycles_per_sample: int = 128
    fpga_part: str = "xczu3eg-sbva484-1-e"
    clk_ns: float = 5.0


@dataclass(frozen=True)
class SimulateOptions:
    """Execution of the dataflow graph; ``samples`` is for level "node", 0 means all."""

    level: str = "python"
    samples: int = 512


@dataclass(frozen=True)
class SynthOptions:
    """Synthesis; the part by default that of the build."""

    fpga_part: str | None = None


StageOptions = (
    AnalyzeOptions
    | BuildOptions
    | ExportOptions
    | FitOptions
    | PlanOptions
    | QuantizeOptions
    | SimulateOptions
    | SynthOptions
)
