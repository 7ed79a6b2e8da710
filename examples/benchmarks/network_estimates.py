# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Estimated and synthesized LUTs, DSPs and block RAMs of whole small networks, by Yosys.

    python examples/benchmarks/network_estimates.py --out runs/estimates

Networks for a picture, fitted and built by the stages of dhq run. The estimate is that of dhq
explore; the synthesis is of the stitched accelerator without FIFOs, which chains of this package's
kernels do not need. Every network is kept in OUT, so the command can be interrupted and repeated.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dhq_brevitas.finn_flow.estimates import LayerEstimator
from dhq_brevitas.finn_flow.stitching import stitch
from dhq_brevitas.finn_flow.synthesis import Yosys, part_family
from dhq_brevitas.finn_flow.synthesis.design import read_resources, stitched_sources
from dhq_brevitas.inr.integers import layer_codes
from dhq_brevitas.planning.limits import Resources
from dhq_brevitas.run.networks import load_quantized
from dhq_brevitas.run.pipeline import run_stage
from dhq_brevitas.run.records import RunFolder
from dhq_brevitas.run.stages import stage_options
from dhq_brevitas.run.stages.build import load_dataflow
from dhq_brevitas.run.stages.fit import load
from dhq_brevitas.util.files import read_json, text_digest, write_json
from dhq_brevitas.util.tables import text_table

SHARED = {"signal": "camera", "size": 16, "steps": 150, "qat_steps": 0, "device": "cpu"}
NAMES = ("family", "hidden", "layers", "weight_bits", "act_bits", "phase_bits", "rotation")
NAMES += ("cycles_per_sample", "fpga_part")
ZYNQ, ULTRASCALE = "xc7z020clg400-1", "xczu3eg-sbva484-1-e"
DESIGNS = [
    ("siren", 16, 1, 4, 6, 8, "none", 2000, ZYNQ),
    ("siren", 16, 2, 3, 5, 8, "none", 2000, ZYNQ),
    ("siren", 16, 3, 8, 8, 10, "output", 300, ZYNQ),
    ("finer", 24, 2, 5, 6, 8, "none", 600, ZYNQ),
    ("siren", 32, 2, 4, 6, 12, "none", 1627, ZYNQ),
    ("siren", 32, 2, 8, 6, 8, "output", 1627, ZYNQ),
    ("siren", 32, 3, 2, 4, 8, "none", 256, ULTRASCALE),
    ("gaussian", 32, 1, 6, 7, 9, "input", 128, ULTRASCALE),
    ("siren", 48, 2, 3, 4, 10, "none", 600, ULTRASCALE),
    ("siren", 64, 1, 7, 5, 8, "after", 1000, ZYNQ),
    ("finer", 64, 2, 4, 8, 12, "none", 512, ULTRASCALE),
    ("siren", 96, 1, 8, 8, 10, "none", 1152, ULTRASCALE),
    ("siren", 128, 2, 5, 7, 10, "output", 256, ULTRASCALE),
]


def measured(out: Path, settings: Mapping[str, Any], yosys: Yosys) -> dict[str, Any]:
    """Estimated and synthesized resources of a network."""
    run = RunFolder(out, trust_code=True)
    stages = stage_options(("fit", "quantize", "export", "build"), {**SHARED, **settings})
    for name, options in stages.items():
        run_stage(run, name, options, False, lambda text: None)
    problem, part = load(stages["fit"]), settings["fpga_part"]
    layers = layer_codes(load_quantized(run, stages["fit"], problem), problem.inputs[:1])
    estimate = sum(LayerEstimator(settings["cycles_per_sample"], part)(layers), Resources())
    model = load_dataflow(run)
    depths = [0] * (len(model.graph.node) + 1)
    design = stitch(model, run.file("synth"), fpga_part=part, fifo_depths=depths)
    netlist = yosys.synthesize(stitched_sources(design), design.top, part_family(part))
    found = read_resources(netlist)
    return {
        name: [getattr(found, name), getattr(estimate, name)] for name in ("lut", "dsp", "bram18")
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of networks")
    parser.add_argument("--rows", type=int, default=len(DESIGNS), help="only the first N networks")
    arguments = parser.parse_args()
    yosys, rows, errors = Yosys(), [[*NAMES, "LUT", "DSP", "BRAM18"]], []
    for design in tqdm(DESIGNS[: arguments.rows], unit="network"):
        settings = dict(zip(NAMES, design, strict=True))
        folder = arguments.out / text_digest(settings)[:16]
        file = folder / "resources.json"
        found = read_json(file)
        if found is None:
            found = measured(folder, settings, yosys)
            write_json(file, found)
        lut, estimate = found["lut"]
        errors.append(estimate / lut - 1)
        cells = [f"{lut} / {estimate} = {lut / estimate:.2f}"]
        cells += [f"{taken} / {said}" for taken, said in (found["dsp"], found["bram18"])]
        rows.append([*map(str, design), *cells])
    print(text_table(rows))
    mean = sum(map(abs, errors)) / len(errors)
    print(f"(synthesized / estimated; {yosys.version})")
    print(f"estimates of LUTs are off by {min(errors):+.1%} to {max(errors):+.1%}, mean {mean:.1%}")


if __name__ == "__main__":
    main()
