# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The stage ``export``: the QONNX graph, and its execution."""

from dhq_brevitas.run.stage import NoOptions, Results, Stage, StageKind

__all__ = ["GRAPH", "STAGE", "ExportOptions"]

GRAPH = "model.onnx"


class ExportOptions(NoOptions):
    """There are none."""


def run(stage: Stage, options: ExportOptions) -> Results:
    """model.onnx, qonnx.npz."""
    import numpy as np

    from dhq_brevitas.export import export_qonnx, run_qonnx
    from dhq_brevitas.run.networks import load_quantized
    from dhq_brevitas.run.stages.fit import FitOptions

    inputs = stage.problem.inputs
    model = load_quantized(stage.folder, stage.earlier(FitOptions), stage.problem)
    graph = export_qonnx(model, stage.folder.file(GRAPH), args=inputs[:1])
    codes, outputs = run_qonnx(graph, inputs, codes=True, progress=stage.progress)
    expected = stage.folder.array("quant.npz", "codes")
    differing = int(np.count_nonzero(codes != expected))
    files = stage.save_outputs("qonnx", outputs, codes)
    quality = stage.quality("qonnx", outputs)
    stage.say(
        f"QONNX graph: {stage.decibels('qonnx', quality)}{differing} of {codes.size} output codes "
        "differ from PyTorch"
    )
    results = {
        **quality,
        "mismatch_quant_qonnx": differing,
        "samples_compared": len(codes),
        "codes_compared": codes.size,
    }
    return results, [GRAPH, *files]


STAGE = StageKind(
    "export",
    "export the quantized network to QONNX, and execute the graph",
    ExportOptions,
    run,
    after="quantize",
    packages=("torch", "brevitas", "qonnx", "onnxruntime"),
)
