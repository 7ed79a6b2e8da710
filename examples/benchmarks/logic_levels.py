# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Cells in a row between registers, of every layer of a run and of the kernels of an engine.

Yosys maps each for UltraScale+ by itself; the longest way is that with the most LUTs, wide
multiplexers, inverters and carry elements (4 bits each, two to a CARRY8) between registers,
memories, slices and ports.

    dhq synth --out DIR
    python examples/benchmarks/logic_levels.py DIR
"""

import argparse
from pathlib import Path

from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.finn_flow.build import DEFAULT_FPGA_PART
from dhq_brevitas.finn_flow.ops.channelwise_rtl import kernel_sources
from dhq_brevitas.finn_flow.stitching.prepare import generate_nodes
from dhq_brevitas.finn_flow.synthesis import Yosys
from dhq_brevitas.finn_flow.synthesis.design import node_sources
from dhq_brevitas.finn_flow.synthesis.sources import read_sources
from hardware.kernel import longest_path

FAMILY, CLOCK_NS = "xcup", 5.0
#: Of an engine of color pictures of 512 x 512, for sums of 24 bits.
ENGINE = {
    "coordinate_source": {"LASTS": "32'h01ff01ff"},
    "sample_sink": {"IN_WIDTH": 24, "SHIFT": 16},
    "sample_packer": {"WIDTH": 8, "GATHER": 3, "LINE": 512, "LINES": 512},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a run that dhq synth has seen")
    options = parser.parse_args()
    yosys = Yosys()
    stitched = ModelWrapper(str(options.folder / "synth" / "stitched.onnx"))
    model = generate_nodes(stitched, DEFAULT_FPGA_PART, CLOCK_NS)
    print("| module | cells in a row | which |\n|---|---:|---|")
    for node in model.graph.node:
        sources, top = node_sources(node)
        _print(node.name, longest_path(yosys, yosys.synthesize(sources, top, FAMILY)))
    for kernel, parameters in ENGINE.items():
        sources = read_sources(kernel_sources(kernel))
        entry = yosys.synthesize(sources, kernel, FAMILY, parameters=parameters)
        _print(kernel, longest_path(yosys, entry))


def _print(name: str, path: list[str]) -> None:
    parts = (f"{path.count(cell)} {cell}" for cell in dict.fromkeys(path))
    print(f"| `{name}` | {len(path)} | {', '.join(parts)} |", flush=True)


if __name__ == "__main__":
    main()
