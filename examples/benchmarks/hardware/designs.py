# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The designs that hardware_comparison.py compares: simulated, synthesized, switching counted."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.export import LowerHadamardToMatMul
from dhq_brevitas.finn_flow import build_dataflow
from dhq_brevitas.finn_flow.placement import Device, place_design, portable_sources
from dhq_brevitas.finn_flow.rtlsim import enable_verilator
from dhq_brevitas.finn_flow.rtlsim.sources import DATA_FOLDER, Sources
from dhq_brevitas.finn_flow.stitching import open_stitched, simulate_stitched, stitch
from dhq_brevitas.finn_flow.stitching.simulate import StreamFormat
from dhq_brevitas.finn_flow.synthesis import Resources, Yosys
from dhq_brevitas.finn_flow.synthesis.design import read_resources, stitched_sources
from dhq_brevitas.finn_flow.synthesis.sources import patch_for_yosys
from dhq_brevitas.run.loading import Run, load_run
from dhq_brevitas.signals.metrics import psnr
from dhq_brevitas.signals.tasks import Problem
from dhq_brevitas.util.files import read_json, write_json
from hardware.activity import Activity, measure_activity
from hardware.baselines import SineLayer, fixed_baseline, float_baseline

MATRIX = "W8A8 DHQ, ±1 matrix"
BASELINES = {
    "float32": float_baseline,
    "float32, DSP adders": partial(float_baseline, dsp_adders=True),
    "16 bit fixed": fixed_baseline,
}
CHECKED_SAMPLES = 48
DEVICE = "LFE5U-85F-6BG381C"


@dataclass
class Design:
    """One row of the table.

    ``resources`` as of :class:`Resources`; ``activity``, an :class:`Activity`; ``energy``, the
    fields of :class:`EnergyRatio`, relative to float32; ``placed``, those of a :class:`Placement`.
    """

    name: str
    psnr: float
    cycles_per_sample: float
    latency_cycles: int
    differing: int
    compared: int
    resources: dict[str, int] = field(default_factory=dict)
    netlist_differing: int = 0
    netlist_compared: int = 0
    activity: Activity | None = None
    energy: dict[str, Any] = field(default_factory=dict)
    placed: dict[str, Any] = field(default_factory=dict)

    def value(self, key: str) -> float:
        """A figure by its name."""
        for part in (self.resources, self.energy):
            if key in part:
                return float(part[key])
        return float(getattr(self, key))

    def synthesize(
        self,
        sources: Sources,
        top: str,
        formats: tuple[StreamFormat, StreamFormat],
        inputs: np.ndarray,
        expected: np.ndarray,
        energy: bool,
    ) -> None:
        """Resources on UltraScale+; with ``energy``, activity of the netlist, which is compared."""
        entry = Yosys().synthesize(sources, top, "xcup")
        self.resources = asdict(read_resources(entry))
        if not energy:
            return
        # Neighbours in a picture are alike; what is counted goes along a row of it.
        self.activity, outputs = measure_activity(entry, top, inputs, *formats)
        wanted = expected[: len(outputs)].reshape(outputs.shape)
        self.netlist_differing = int(np.count_nonzero(outputs != wanted))
        self.netlist_compared = outputs.size

    def place(self, sources: Sources, top: str, mhz: float | None) -> None:
        """Routes on ECP5 for ``mhz``; None: not at all."""
        if mhz is not None:
            placement = place_design(sources, top, Device.of(DEVICE), mhz)
            self.placed = asdict(placement)


def kept(path: Path, make: Callable[[bool], Design], energy: bool) -> Design:
    """The design of a file, or of ``make``, which is written to it; with ``energy``, its activity.

    ``make`` gets ``energy``. What is there is not made again, unless it lacks the activity.
    """
    if not path.exists() or (energy and read_json(path)["activity"] is None):
        fields = asdict(make(energy))
        fields["placed"].pop("bitstream", None)
        write_json(path, fields)
    fields = read_json(path)
    if fields["activity"] is not None:
        fields["activity"] = Activity(**fields["activity"])
    return Design(**fields)


def quantized_design(name: str, folder: Path, energy: bool, mhz: float | None = None) -> Design:
    """The row of a run folder."""
    run = load_run(folder)
    summary = run.summary
    stitched = open_stitched(ModelWrapper(str(folder / "stitched" / "stitched.onnx")))
    design = Design(
        name,
        summary["psnr_rtl"],
        summary["cycles_per_sample"],
        summary["latency_cycles"],
        summary["mismatch_finn_rtl"],
        summary["codes_compared"],
    )
    design.synthesize(
        stitched_sources(stitched),
        stitched.top,
        (stitched.input_format, stitched.output_format),
        run.problem.codes,
        run.folder.array("finn.npz", "codes"),
        energy,
    )
    design.place(portable_sources(stitched.sources), stitched.top, mhz)
    return design


def matrix_design(folder: Path, work: Path, cycles_per_sample: int, energy: bool) -> Design:
    """The network of ``folder`` with its rotations as matrices of ±1, built in ``work``."""
    graph = ModelWrapper(str(folder / "model.onnx")).transform(LowerHadamardToMatMul())
    return built_design(MATRIX, graph, folder, work, cycles_per_sample, energy)


def built_design(
    name: str,
    graph: ModelWrapper,
    folder: Path,
    work: Path,
    cycles_per_sample: int,
    energy: bool,
    mhz: float | None = None,
) -> Design:
    """``graph``, which computes what the network of ``folder`` does, folded anew in ``work``."""
    enable_verilator()
    built = build_dataflow(graph, work, cycles_per_sample=cycles_per_sample)
    stitched = stitch(built.model, work / "stitched")
    run = load_run(folder)
    inputs = built.host.encode(run.problem.codes)
    outputs, stats = simulate_stitched(stitched, inputs)
    expected = run.folder.array("finn.npz", "codes")
    design = Design(
        name,
        _psnr(run.problem, built.host.decode(outputs)),
        float(stats.cycles_per_sample or math.nan),
        stats.latency_cycles,
        int(np.count_nonzero(outputs != expected)),
        outputs.size,
    )
    formats = (stitched.input_format, stitched.output_format)
    sources = stitched_sources(stitched)
    design.synthesize(sources, stitched.top, formats, inputs, expected, energy)
    design.place(portable_sources(stitched.sources), stitched.top, mhz)
    return design


def _psnr(problem: Problem, outputs: np.ndarray) -> float:
    return psnr(problem.values, np.asarray(outputs, np.float32))


def baseline_layers(run: Run) -> list[SineLayer]:
    """Layers of the run's float network, folded as those of its accelerator."""
    network, folder = run.float_network, run.folder.path
    report = read_json(folder / "build" / "build.json")["report"]
    lanes = [n["PE"] * n["SIMD"] for n in report["layers"] if n["op_type"].startswith("MVAU")]
    layers = []
    for index, linear in enumerate(network.linears):
        sine = index < len(network.activations)
        factor = 1.0
        if sine:
            activation = network.activations[index]
            factor = activation.gain / activation.period
        weight = linear.weight.detach().double().numpy() * factor
        bias = linear.bias.detach().double().numpy() * factor
        if index == 0:
            weight = weight * run.problem.step
        if sine:
            bias = bias - np.rint(bias)
        layers.append(SineLayer(weight, bias, sine, lanes[index]))
    return layers


def baseline_design(name: str, folder: Path, energy: bool, mhz: float | None = None) -> Design:
    """One of :data:`BASELINES`, folded as the layers of ``folder`` are."""
    run = load_run(folder)
    codes = run.problem.codes
    baseline = BASELINES[name](baseline_layers(run))
    step = max(1, len(codes) // CHECKED_SAMPLES)
    outputs, stats = baseline.simulate(codes[::step])
    expected = baseline.reference(baseline.encode(codes))
    design = Design(
        name,
        _psnr(run.problem, baseline.decode(expected)),
        float(stats.cycles_per_sample or math.nan),
        stats.latency_cycles,
        int(np.count_nonzero(outputs != expected[::step])),
        outputs.size,
    )
    sources, inputs = patch_for_yosys(baseline.sources), baseline.encode(codes)
    design.synthesize(sources, "baseline", baseline.formats, inputs, expected, energy)
    design.place(sources, "baseline", mhz)
    return design


def float_parts(folder: Path) -> list[tuple[str, Resources]]:
    """(title, resources) of the float32 units, as many as the designs have."""
    layers = baseline_layers(load_run(folder))
    sources = patch_for_yosys(float_baseline(layers).sources)
    sources.texts["part_sine.sv"] = (
        "module part_sine (input logic clk, input logic [31:0] t, output logic [31:0] y);\n"
        f'  baseline_fp32_sine #(.TABLE_FILE("{DATA_FOLDER}/baseline/sine.mem")) unit (.*);\n'
        "endmodule\n"
    )
    lanes = sum(layer.lanes for layer in layers)
    # A tree of SIMD - 1 adders and an accumulator an output: as many adders as multipliers.
    units: list[tuple[str, int, str, dict[str, object]]] = [
        ("multipliers", lanes, "baseline_fp32_multiply", {}),
        ("adders", lanes, "baseline_fp32_add", {}),
        ("adders on DSPs", lanes, "baseline_fp32_add", {"DSP": 1}),
        ("sines", sum(layer.sine for layer in layers), "part_sine", {}),
    ]
    parts = []
    for title, count, unit, parameters in units:
        entry = Yosys().synthesize(sources, unit, "xcup", parameters=parameters)
        parts.append((f"{count} {title}", sum([read_resources(entry)] * count, Resources())))
    return parts
