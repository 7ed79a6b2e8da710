# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""DHQ's hardware claims beside what open tools measure: one network in seven datapaths.

    python examples/hardware_comparison.py [IMAGE] --out DIR [--size 48 --hidden 64 --layers 2]

All compute the same SIREN for the same picture with the same number of multiply-accumulate units a
layer: float32 and 16 bit fixed point on datapaths of our own, the quantized ones on FINN's and this
package's layers. Each is simulated in RTL (Verilator) and synthesised (Yosys); then the netlist is
simulated, its outputs are compared and its switching activity is counted for a model of energy
(--no-energy leaves this out: large netlists take Verilator minutes). Writes table.md,
comparison.json and comparison.png; work that is done is not repeated.
"""

import argparse
import math
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from dhq_brevitas.run import cli
from dhq_brevitas.run.records import RunFolder
from dhq_brevitas.util.files import atomic_path, check_writable_folder, read_json, write_json

CLAIMS = {"latency": -32.7, "energy": -40.1, "resources": -98.3}
QUANTIZED: dict[str, list[str]] = {
    "W8A8": ["--scheme", "stock"],
    "W8A8 DHQ": [],
    "W4A8 DHQ": ["--weight-bits", "4"],
    "W4A4 DHQ": ["--weight-bits", "4", "--act-bits", "4"],
}
MATRIX = "W8A8 DHQ, ±1 matrix"
CHECKED_SAMPLES = 48
#: Field of :class:`EnergyRatio`.
ENERGY = "value"
BARS = {
    **{"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram18": "BRAM18"},
    **{"latency_cycles": "latency", ENERGY: "energy (float32 = 100)"},
}


@dataclass
class Design:
    """One row of the table.

    ``resources`` as of :class:`Resources`; ``activity``, an :class:`Activity`; ``energy``, the
    fields of :class:`EnergyRatio`, relative to float32.
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
    activity: Any = None
    energy: dict[str, Any] = field(default_factory=dict)

    def value(self, key: str) -> float:
        """A figure by its name."""
        for part in (self.resources, self.energy):
            if key in part:
                return float(part[key])
        return float(getattr(self, key))

    def synthesise(
        self,
        sources: Any,
        top: str,
        formats: Any,
        inputs: np.ndarray,
        expected: np.ndarray,
        energy: bool,
    ) -> None:
        """Resources on UltraScale+; with ``energy``, activity of the netlist, which is compared."""
        from dhq_brevitas.finn_flow.synthesis import Yosys, measure_activity
        from dhq_brevitas.finn_flow.synthesis.design import read_resources

        entry = Yosys().synthesise(sources, top, "xcup")
        self.resources = asdict(read_resources(entry))
        if not energy:
            return
        # Neighbours in a picture are alike; what is counted goes along a row of it.
        self.activity, outputs = measure_activity(entry, top, inputs, *formats)
        wanted = expected[: len(outputs)].reshape(outputs.shape)
        self.netlist_differing = int(np.count_nonzero(outputs != wanted))
        self.netlist_compared = outputs.size


def run(*arguments: object) -> None:
    """``dhq`` in this process; ends this one if it fails."""
    status = cli.main([str(argument) for argument in arguments])
    if status:
        raise SystemExit(status)


def quantized_runs(options: argparse.Namespace) -> dict[str, Path]:
    """Run folders of the quantized networks, all from one float fit, simulated in RTL."""
    folders = {name: options.out / _plain(name) for name in QUANTIZED}
    first = folders["W8A8 DHQ"]
    network = [
        *("--size", options.size, "--hidden", options.hidden, "--layers", options.layers),
        *("--steps", options.steps),
    ]
    common = ["--qat-steps", options.qat_steps, "--cycles-per-sample", options.cycles_per_sample]
    run("fit", options.image, "--out", first, *network)
    for name, folder in folders.items():
        if not (folder / "fit.json").is_file():
            folder.mkdir(parents=True, exist_ok=True)
            for file in ["fit.json", *read_json(first / "fit.json")["files"]]:
                shutil.copy(first / file, folder / file)
        print(f"-- {name}", flush=True)
        run(
            *("run", options.image, "--out", folder, "--level", "stitched"),
            *network,
            *common,
            *QUANTIZED[name],
        )
    return folders


def quantized_design(name: str, folder: Path, energy: bool) -> Design:
    """The row of a run folder."""
    from qonnx.core.modelwrapper import ModelWrapper

    from dhq_brevitas.finn_flow.stitching import open_stitched
    from dhq_brevitas.finn_flow.synthesis.design import stitched_sources

    summary = read_json(folder / "summary.json")
    stitched = open_stitched(ModelWrapper(str(folder / "stitched" / "stitched.onnx")))
    design = Design(
        name,
        summary["psnr_rtl"],
        summary["cycles_per_sample"],
        summary["latency_cycles"],
        summary["mismatch_finn_rtl"],
        summary["codes_compared"],
    )
    design.synthesise(
        stitched_sources(stitched),
        stitched.top,
        (stitched.input_format, stitched.output_format),
        load_stage(folder)[0],
        RunFolder(folder).array("finn.npz", "codes"),
        energy,
    )
    return design


def matrix_design(folder: Path, options: argparse.Namespace) -> Design:
    """The network of ``folder`` with its rotations as ordinary matrices of ±1."""
    from qonnx.core.modelwrapper import ModelWrapper

    from dhq_brevitas.export import LowerHadamardToMatMul
    from dhq_brevitas.finn_flow import build_dataflow
    from dhq_brevitas.finn_flow.rtlsim import enable_verilator
    from dhq_brevitas.finn_flow.stitching import simulate_stitched, stitch
    from dhq_brevitas.finn_flow.synthesis.design import stitched_sources

    enable_verilator()
    work = options.out / _plain(MATRIX)
    graph = ModelWrapper(str(folder / "model.onnx")).transform(LowerHadamardToMatMul())
    built = build_dataflow(graph, work, cycles_per_sample=options.cycles_per_sample)
    stitched = stitch(built.model, work / "stitched")
    codes, stage = load_stage(folder)
    inputs = built.host.encode(codes)
    outputs, stats = simulate_stitched(stitched, inputs)
    expected = RunFolder(folder).array("finn.npz", "codes")
    design = Design(
        MATRIX,
        _psnr(stage, built.host.decode(outputs)),
        float(stats.cycles_per_sample or math.nan),
        stats.latency_cycles,
        int(np.count_nonzero(outputs != expected)),
        outputs.size,
    )
    formats = (stitched.input_format, stitched.output_format)
    sources = stitched_sources(stitched)
    design.synthesise(sources, stitched.top, formats, inputs, expected, options.energy)
    return design


def load_stage(folder: Path) -> tuple[np.ndarray, Any]:
    """(coordinate codes of the picture, the stage they come from)."""
    from dhq_brevitas.run.chain_stages import Stage, load_problem
    from dhq_brevitas.run.options import FitOptions

    earlier = {stage: record.options for stage, record in RunFolder(folder).chain().items()}
    problem = load_problem(FitOptions(**earlier["fit"]))
    stage = Stage(RunFolder(folder), "", earlier, False, print, problem)
    return stage.codes.numpy().astype(np.int64), stage


def _psnr(stage: Any, outputs: np.ndarray) -> float:
    return float(stage.quality("x", np.asarray(outputs, np.float32))["psnr_x"])


def baseline_layers(folder: Path) -> tuple[list[Any], Any, np.ndarray]:
    """(layers of the float network folded as those of ``folder``, its stage, coordinate codes)."""
    from dhq_brevitas.finn_flow.synthesis.baselines import SineLayer
    from dhq_brevitas.run.chain_stages import load_float

    codes, stage = load_stage(folder)
    network = load_float(stage)
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
            weight = weight * stage.problem.step
        if sine:
            bias = bias - np.rint(bias)
        layers.append(SineLayer(weight, bias, sine, lanes[index]))
    return layers, stage, codes


def baseline_designs(folder: Path, energy: bool) -> list[Design]:
    """Float32 and 16 bit fixed point, folded as the layers of ``folder`` are."""
    from dhq_brevitas.finn_flow.synthesis.baselines import fixed_baseline, float_baseline
    from dhq_brevitas.finn_flow.synthesis.sources import patch_for_yosys

    layers, stage, codes = baseline_layers(folder)
    designs = []
    for name, make in (("float32", float_baseline), ("16 bit fixed", fixed_baseline)):
        baseline = make(layers)
        checked = codes[:: max(1, len(codes) // CHECKED_SAMPLES)]
        outputs, stats = baseline.simulate(checked)
        expected = baseline.reference(baseline.encode(codes))
        differing = np.count_nonzero(outputs != expected[:: max(1, len(codes) // CHECKED_SAMPLES)])
        design = Design(
            name,
            _psnr(stage, baseline.decode(expected)),
            float(stats.cycles_per_sample or math.nan),
            stats.latency_cycles,
            int(differing),
            outputs.size,
        )
        sources, inputs = patch_for_yosys(baseline.sources), baseline.encode(codes)
        design.synthesise(sources, "baseline", baseline.formats, inputs, expected, energy)
        designs.append(design)
    return designs


# -- what is written -------------------------------------------------------------------------------


def table(designs: list[Design]) -> list[str]:
    """Markdown of all designs."""
    columns = ["lut", "lutram", "ff", "carry", "dsp", "bram18"]
    lines = [
        "| design | LUT | of these memory | FF | CARRY4 | DSP | BRAM18 | cycles a sample | "
        "latency, cycles | energy, modelled | PSNR, dB | codes wrong: RTL | netlist |",
        "|---|" + "---:|" * 12,
    ]
    for design in designs:
        energy = "{value:.2f} ({low:.2f} to {high:.2f})" if design.energy else ""
        cells = [str(design.resources[key]) for key in columns]
        cells += [
            f"{design.cycles_per_sample:.1f}",
            str(design.latency_cycles),
            energy.format(**design.energy),
            f"{design.psnr:.2f}",
            f"{design.differing} of {design.compared}",
            f"{design.netlist_differing} of {design.netlist_compared}" if design.energy else "",
        ]
        lines.append(f"| {design.name} | " + " | ".join(cells) + " |")
    return lines


def energy_table(designs: list[Design]) -> list[str]:
    """Markdown: where each design's energy goes, and what its ratio to float32 hangs on."""
    from dhq_brevitas.finn_flow.synthesis.energy import ENERGIES, dynamic_energy

    titles = {
        **{"clock": "clock", "net": "wires", "lut": "LUTs", "ff": "FFs", "dsp": "DSPs"},
        **{"lutram": "memory in LUTs", "srl": "shift registers", "bram": "block RAM"},
    }
    lines = [
        "| design | " + " | ".join(titles[kind] for kind in ENERGIES) + " | changes a cycle and "
        "LUT, FF output | ratio hangs most on | with it halved, doubled | static half: by LUTs, "
        "whole device |",
        "|---|" + "---:|" * (len(ENERGIES) + 1) + "---|---:|---:|",
    ]
    for design in designs:
        parts = dynamic_energy(design.activity)
        total = sum(parts.values())
        cells = [f"{parts[kind] / total:.0%}" for kind in ENERGIES]
        cells.append(f"{design.activity.rate('lut'):.2f}, {design.activity.rate('ff'):.2f}")
        sensitivity = design.energy["sensitivity"]
        most = max(ENERGIES, key=lambda kind: abs(sensitivity[kind][1] - sensitivity[kind][0]))
        cells.append(titles[most])
        cells.append("{:.2f}, {:.2f}".format(*sensitivity[most]))
        leaks = (sensitivity[f"static ({what})"][1] for what in ("area", "device"))
        cells.append("{:.2f}, {:.2f}".format(*leaks))
        lines.append(f"| {design.name} | " + " | ".join(cells) + " |")
    return lines


def change(designs: dict[str, Design], key: str, to: str = "W8A8 DHQ") -> float:
    """Percent by which a figure of ``to`` differs from that of float32."""
    before = designs["float32"].value(key)
    return 100 * (designs[to].value(key) / before - 1) if before else math.nan


def claims(designs: dict[str, Design]) -> list[str]:
    """Markdown of DHQ's claims beside the measurements."""
    lines = [
        "| against full precision | DHQ reports | W8A8 DHQ here | W4A4 DHQ here |",
        "|---|---:|---:|---:|",
    ]
    rows = [
        ("latency in cycles", CLAIMS["latency"], "latency_cycles"),
        ("cycles a sample", None, "cycles_per_sample"),
        ("energy, modelled", CLAIMS["energy"], ENERGY),
        *((BARS[key], CLAIMS["resources"], key) for key in ("lut", "ff", "dsp", "bram18")),
    ]
    if not designs["float32"].energy:
        rows = [row for row in rows if row[2] != ENERGY]
    for title, claimed, key in rows:
        cells = [f"{change(designs, key, name):+.1f}%" for name in ("W8A8 DHQ", "W4A4 DHQ")]
        cells = ["" if "nan" in cell else cell for cell in cells]
        said = "" if claimed is None else f"{claimed}%"
        said = f"up to {said}" if claimed == CLAIMS["resources"] else said
        lines.append(f"| {title} | {said} | " + " | ".join(cells) + " |")
    return lines


def parts_table(folder: Path) -> list[str]:
    """Markdown: what float32 and W8A8 DHQ consist of, each part synthesised by itself."""
    from qonnx.core.modelwrapper import ModelWrapper

    from dhq_brevitas.finn_flow.stitching import open_stitched
    from dhq_brevitas.finn_flow.synthesis import Resources, synthesise_design

    lines = ["| part | LUT | FF | DSP | BRAM18 |", "|---|" + "---:|" * 4]

    def add(title: str, found: Resources) -> None:
        lines.append(f"| {title} | {found.lut} | {found.ff} | {found.dsp} | {found.bram18} |")

    for title, found in float_parts(folder):
        add(f"float32: {title}", found)
    stitched = open_stitched(ModelWrapper(str(folder / "stitched" / "stitched.onnx")))
    result = synthesise_design(stitched, "xczu3eg-sbva484-1-e")
    by_type: dict[str, list[Resources]] = {}
    for node in result.nodes:
        by_type.setdefault(node.op_type.removesuffix("_rtl"), []).append(node.resources)
    for op_type, members in by_type.items():
        add(f"W8A8 DHQ: {len(members)} {op_type}", sum(members, Resources()))
    return lines


def float_parts(folder: Path) -> list[tuple[str, Any]]:
    """(title, resources) of the float32 units, as many as the design has."""
    from dhq_brevitas.finn_flow.rtlsim.sources import DATA_FOLDER
    from dhq_brevitas.finn_flow.synthesis import Resources, Yosys
    from dhq_brevitas.finn_flow.synthesis.baselines import float_baseline
    from dhq_brevitas.finn_flow.synthesis.design import read_resources
    from dhq_brevitas.finn_flow.synthesis.sources import patch_for_yosys

    layers, _, _ = baseline_layers(folder)
    sources = patch_for_yosys(float_baseline(layers).sources)
    sources.texts["part_sine.sv"] = (
        "module part_sine (input logic clk, input logic [31:0] t, output logic [31:0] y);\n"
        f'  baseline_fp32_sine #(.TABLE_FILE("{DATA_FOLDER}/baseline/sine.mem")) unit (.*);\n'
        "endmodule\n"
    )
    lanes = sum(layer.lanes for layer in layers)
    # A tree of SIMD - 1 adders and an accumulator an output: as many adders as multipliers.
    units = {
        f"{lanes} multipliers": "baseline_fp32_multiply",
        f"{lanes} adders": "baseline_fp32_add",
        f"{sum(layer.sine for layer in layers)} sines": "part_sine",
    }
    parts = []
    for title, unit in units.items():
        found = read_resources(Yosys().synthesise(sources, unit, "xcup"))
        parts.append((title, sum([found] * int(title.split()[0]), Resources())))
    return parts


def draw(designs: list[Design], path: Path) -> None:
    """Bars of every figure for every design, on a logarithmic scale."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    bars = {key: title for key, title in BARS.items() if key != ENERGY or designs[0].energy}
    figure, axes = pyplot.subplots(figsize=(11, 4.5))
    width = 0.85 / len(designs)
    for index, design in enumerate(designs):
        places = np.arange(len(bars)) + (index - (len(designs) - 1) / 2) * width
        values = [design.value(key) * (100 if key == ENERGY else 1) for key in bars]
        axes.bar(places, np.maximum(values, 0.5), width, label=design.name)
    axes.set_yscale("log")
    axes.set_xticks(range(len(bars)), list(bars.values()))
    axes.set_ylabel("number (logarithmic)")
    axes.legend(fontsize=8, ncol=2)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
    pyplot.close(figure)


def _plain(name: str) -> str:
    return name.replace(" ", "_").replace(",", "").replace("±", "pm").lower()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", nargs="?", default="astronaut", help="picture (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for results")
    parser.add_argument("--size", type=int, default=48, help="pixels (%(default)s)")
    parser.add_argument("--hidden", type=int, default=64, help="width (%(default)s)")
    parser.add_argument("--layers", type=int, default=2, help="sine layers (%(default)s)")
    parser.add_argument("--steps", type=int, default=2000, help="of the fit (%(default)s)")
    parser.add_argument("--qat-steps", type=int, default=300, help="fine-tuning (%(default)s)")
    parser.add_argument("--cycles-per-sample", type=int, default=128, help="folding (%(default)s)")
    parser.add_argument(
        "--no-energy", dest="energy", action="store_false", help="do not simulate netlists"
    )
    options = parser.parse_args()
    options.out = check_writable_folder(options.out).resolve()
    folders = quantized_runs(options)
    reference = folders["W8A8 DHQ"]
    designs: list[Design] = []
    with tqdm(total=3 + len(folders), desc="designs", unit="design") as bar:
        designs += baseline_designs(reference, options.energy)
        bar.update(2)
        for name, folder in folders.items():
            designs.append(quantized_design(name, folder, options.energy))
            bar.update()
        designs.insert(4, matrix_design(reference, options))
        bar.update()
    by_name = {design.name: design for design in designs}
    from dhq_brevitas.finn_flow.synthesis import Yosys, energy_ratio

    for design in designs if options.energy else ():
        design.energy = asdict(energy_ratio(design.activity, by_name["float32"].activity))
    facts = (
        f"{options.image} at {options.size}, {options.layers} sine layers of {options.hidden}, "
        f"{options.cycles_per_sample} cycles a sample asked for; {Yosys().version}, synth_xilinx "
        "-family xcup, before placement; latency and cycles from RTL simulation with Verilator"
    )
    if options.energy:
        facts += (
            "; energy: dhq_brevitas.finn_flow.synthesis.energy, with every energy moved and a "
            "static share of 0 to 50% in parentheses"
        )
    tables = [table(designs), claims(by_name)]
    if options.energy:
        tables.append(energy_table(designs))
    tables.append(parts_table(reference))
    text = "\n".join([*(line for part in tables for line in [*part, ""]), facts, ""])
    with atomic_path(options.out / "table.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_json(
        options.out / "comparison.json",
        {"designs": [asdict(d) for d in designs], "claims": CLAIMS, "settings": facts},
    )
    draw(designs, options.out / "comparison.png")
    print(text)


if __name__ == "__main__":
    main()
