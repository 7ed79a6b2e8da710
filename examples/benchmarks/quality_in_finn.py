# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The quality benchmark's networks through QONNX and FINN to Verilog, integers compared.

    python examples/benchmarks/quality_in_finn.py --out runs/quality --bits W8A8 W4A8
    python examples/benchmarks/quality_in_finn.py --out runs/quality --pictures coffee \\
        --bits W4A8 --qat 0

Takes the options of quality_benchmark.py, which must have run with them: the quantized networks
are those it left in OUT/networks, where a scheme leaves one. Exports, maps to FINN's dataflow
layers for 1024 cycles a sample and executes both graphs on 1024 samples drawn from the picture;
``--no-rtl`` leaves out the Verilog. Finished networks are kept in OUT/finn.json.
"""

import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from dhq_brevitas.export import export_qonnx, run_qonnx
from dhq_brevitas.finn_flow import build_dataflow, execute_dataflow
from dhq_brevitas.finn_flow.rtlsim import enable_verilator
from dhq_brevitas.finn_flow.stitching import simulate_stitched, stitch
from dhq_brevitas.inr.integers import evaluate
from dhq_brevitas.inr.packed import unpack_network
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.quantization.post_training import drawn
from dhq_brevitas.util.files import check_writable_folder, read_json, write_json
from dhq_brevitas.util.tables import text_table
from quality.schemes import Job, packed_file
from quality_benchmark import cell_key, job_of, parse

SAMPLES = 1024
CYCLES_PER_SAMPLE = 1024


def main() -> None:
    arguments = parse(__doc__, lambda parser: parser.add_argument("--no-rtl", action="store_true"))
    check_writable_folder(arguments.out)
    enable_verilator()
    file = arguments.out / "finn.json"
    results = read_json(file) or {}
    jobs = [job_of(arguments, picture) for picture in arguments.pictures]
    cells = {
        cell_key(job, bits, scheme, arguments.qat): (
            job,
            packed_file(job, bits, scheme, arguments.qat),
        )
        for job, bits, scheme in itertools.product(jobs, arguments.bits, arguments.schemes)
    }
    cells = {key: (job, path) for key, (job, path) in cells.items() if path.exists()}
    if not cells:
        raise SystemExit(f"{arguments.out} holds no network: run quality_benchmark.py first")
    for key, cell in tqdm(cells.items(), desc="networks", unit="network"):
        if key not in results:
            results[key] = in_finn(*cell, rtl=not arguments.no_rtl)
            write_json(file, results)
    print(text_table([["network", *HEADINGS], *(row(key, results[key]) for key in cells)]))


def in_finn(job: Job, path: Path, rtl: bool) -> dict[str, Any]:
    """PSNR of a network, differing output codes, cycles, and FINN's estimates."""
    model, data = unpack_network(path.read_bytes(), path.name).model, job.data()
    with torch.no_grad():
        quality = data.quality(model(data.codes))
    codes = data.codes[drawn(len(data.codes), SAMPLES)]
    return {
        "psnr": quality["psnr"],
        "rotated": sum(str(plan.rotation) != "none" for plan in model.plans),
        **compared(model, codes, rtl),
    }


def compared(model: QuantInr, codes: Tensor, rtl: bool = True) -> dict[str, Any]:
    """Differing output codes from one level to the next, cycles, and FINN's estimates."""
    reference = evaluate(model, codes).accumulators
    graph = export_qonnx(model, args=codes[:1])
    expected, _ = run_qonnx(graph, codes, codes=True)
    with tempfile.TemporaryDirectory() as folder:
        built = build_dataflow(graph, folder, cycles_per_sample=CYCLES_PER_SAMPLE, progress=False)
        inputs = built.host.encode(codes.numpy())
        found = execute_dataflow(built.model, inputs, progress=False)
        simulated = {}
        if rtl:
            design = stitch(built.model, Path(folder) / "stitched")
            emitted, statistics = simulate_stitched(design, inputs, progress=False)
            simulated = {
                "mismatch_finn_rtl": int(np.count_nonzero(emitted != found)),
                "cycles_per_sample": statistics.cycles_per_sample,
                "latency_cycles": statistics.latency_cycles,
            }
    return {
        "codes": expected.size,
        "mismatch_quant_qonnx": int(np.count_nonzero(reference != expected)),
        "mismatch_qonnx_finn": int(np.count_nonzero(found != expected)),
        **simulated,
        **{name: value for name, value in built.report.items() if name.endswith("_estimate")},
    }


HEADINGS = {
    "PSNR dB": "psnr",
    "layers rotated": "rotated",
    "codes": "codes",
    "PyTorch != QONNX": "mismatch_quant_qonnx",
    "QONNX != FINN": "mismatch_qonnx_finn",
    "FINN != RTL": "mismatch_finn_rtl",
    "cycles a sample": "cycles_per_sample",
    "latency": "latency_cycles",
    "LUT, estimated": "lut_estimate",
    "DSP": "dsp_rtl_estimate",
    "BRAM18": "bram18_estimate",
}


def row(key: str, values: dict[str, Any]) -> list[str]:
    """A line of the printed table."""
    shown = [values.get(name, "") for name in HEADINGS.values()]
    return [key, *(f"{x:.2f}" if isinstance(x, float) else str(x) for x in shown)]


if __name__ == "__main__":
    main()
