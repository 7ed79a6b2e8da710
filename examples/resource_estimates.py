# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Estimates of the two hardware layers of this package against synthesis by Yosys.

The formulas of ``lut_estimation``, ``bram_estimation`` and ``dsp_estimation`` have coefficients
fitted to the points of the first grid; the second grid was not looked at when fitting.

    python examples/resource_estimates.py [--json FILE]
"""

import argparse
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.util.basic import qonnx_make_model
from tqdm import tqdm

from dhq_brevitas.files import write_json
from dhq_brevitas.finn_flow.ops import DOMAIN
from dhq_brevitas.finn_flow.stitching.prepare import generate_nodes
from dhq_brevitas.finn_flow.synthesis.design import node_sources, read_resources
from dhq_brevitas.finn_flow.synthesis.resources import Resources
from dhq_brevitas.finn_flow.synthesis.yosys import Yosys

PART = "xczu3eg-sbva484-1-e"
FITTED: list[dict[str, Any]] = [
    *({"order": n, "lanes": s, "bits": b} for n, s, b in product((16, 64, 256), (1, 8), (4, 10))),
    *({"order": n, "lanes": s, "bits": 8, "shift": 5} for n, s in ((16, 1), (64, 8), (256, 2))),
    *({"table": t, "lanes": p, "bits": 18} for t, p in product((6, 8, 10, 12), (1, 4))),
    *({"table": t, "lanes": 1, "bits": 18, "scale": 9} for t in (7, 12)),
    *({"table": 8, "lanes": 2, "bits": 20, "channels": c} for c in (64, 256)),
    {"table": 12, "lanes": 1, "bits": 20, "scale": 9, "channels": 128},
    *({"table": t, "lanes": 2, "bits": 16, "clip": True} for t in (6, 7, 8, 9)),
    {"table": 8, "lanes": 1, "bits": 14, "clip": True},
]
HELD_OUT: list[dict[str, Any]] = [
    {"order": 128, "lanes": 1, "bits": 8},
    {"order": 128, "lanes": 4, "bits": 6},
    {"order": 32, "lanes": 16, "bits": 12},
    {"order": 512, "lanes": 2, "bits": 7},
    {"order": 128, "lanes": 1, "bits": 10, "shift": 9},
    {"order": 32, "lanes": 4, "bits": 6, "shift": 3},
    {"table": 7, "lanes": 2, "bits": 16},
    {"table": 11, "lanes": 2, "bits": 20},
    {"table": 9, "lanes": 1, "bits": 21, "channels": 128},
    {"table": 12, "lanes": 2, "bits": 19, "scale": 12, "channels": 64},
    {"table": 7, "lanes": 1, "bits": 20, "clip": True},
    {"table": 8, "lanes": 4, "bits": 12, "clip": True},
    {"table": 11, "lanes": 1, "bits": 16, "clip": True},
    {"table": 8, "lanes": 4, "bits": 16, "out": 6},
    {"table": 8, "lanes": 2, "bits": 14, "out": 10, "clip": True},
]


def layer(point: dict[str, Any]) -> ModelWrapper:
    """Graph of one layer: a transform if ``point`` has an order, else a sine or other table."""
    lanes, bits = point["lanes"], point["bits"]
    rng = np.random.default_rng(0)
    parameters: dict[str, tuple[np.ndarray, str]] = {}
    attributes: dict[str, Any] = {"inputDataType": f"INT{bits}", "numInputVectors": [1]}
    if "order" in point:
        channels = point["order"]
        wanted = bits + channels.bit_length() - 1
        attributes |= {"SIMD": lanes, "Order": channels}
        if "shift" in point:
            wanted = 8
            attributes |= {"requantShift": point["shift"], "narrow": 1}
        op_type = "HadamardTransform_rtl"
    else:
        per_channel = "channels" in point
        channels = point.get("channels", 8)
        stored = channels if per_channel else 1
        entries = 1 << point["table"]
        half = 1 << (point.get("scale", 1) - 1)
        scale = rng.integers(-half, half, stored) if half > 1 else np.ones(stored, np.int64)
        bias = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), stored)
        steps = (np.arange(entries) + 0.5) / entries
        wanted = point.get("out", 8)
        largest = (1 << (wanted - 1)) - 1
        table = np.rint(
            largest * (np.exp(-4 * steps) if "clip" in point else np.sin(2 * np.pi * steps))
        )
        parameters = {
            "M": (scale, f"INT{max(2, point.get('scale', 2))}"),
            "B": (bias, f"INT{bits}"),
            "t": (table.astype(np.int64), f"INT{wanted}"),
        }
        attributes |= {
            "PE": lanes,
            "scaleDataType": f"INT{max(2, point.get('scale', 2))}",
            "biasDataType": f"INT{bits}",
            "tableBits": point["table"],
            "shift": 4,
            "wrap": int("clip" not in point),
            "perChannel": int(per_channel),
        }
        op_type = "LookupActivation_rtl"
    attributes |= {"NumChannels": channels, "outputDataType": f"INT{wanted}"}
    node = helper.make_node(
        op_type,
        ["x", *parameters],
        ["y"],
        name="layer",
        domain=f"{DOMAIN}.rtl",
        backend="fpgadataflow",
        **attributes,
    )
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, channels]) for n in "xy"]
    model = ModelWrapper(qonnx_make_model(helper.make_graph([node], "g", values[:1], values[1:])))
    for name, datatype in (("x", f"INT{bits}"), ("y", f"INT{wanted}")):
        model.set_tensor_datatype(name, DataType[datatype])
    for name, (initializer, datatype) in parameters.items():
        model.set_initializer(name, initializer)
        model.set_tensor_datatype(name, DataType[datatype])
    return model


def measure(point: dict[str, Any], yosys: Yosys) -> tuple[dict[str, int], Resources]:
    """(estimate, synthesis) of a point."""
    model = generate_nodes(layer(point), PART, 5.0)
    node = model.graph.node[0]
    op = getCustomOp(node)
    if "table" in point:
        op.minimize_weight_bit_width(model)
    estimate = {
        "lut": int(op.lut_estimation(PART)),
        "dsp": int(op.dsp_estimation(PART)),
        "bram18": int(op.bram_estimation(PART)),
    }
    sources, top = node_sources(node)
    return estimate, read_resources(yosys.synthesise(sources, top, "xcup"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all points there, too")
    arguments = parser.parse_args()
    yosys = Yosys()
    records = []
    for title, grid in (("fitted", FITTED), ("held out", HELD_OUT)):
        rows, errors = [], []
        for point in tqdm(grid, desc=title, leave=False):
            estimate, found = measure(point, yosys)
            error = estimate["lut"] / found.lut - 1
            errors.append(abs(error))
            text = " ".join(f"{key}={value}" for key, value in point.items())
            rows.append(
                f"{text:52} {found.lut:5} {estimate['lut']:5} {error:+7.1%}   "
                f"{found.dsp} / {estimate['dsp']}   {found.bram18} / {estimate['bram18']}"
            )
            records.append({"grid": title, **point, "estimate": estimate, **asdict(found)})
        print(f"{title:52} {'LUT':>5} {'est.':>5} {'error':>7}   DSP     BRAM18")
        print("\n".join(rows))
        print(f"largest error {max(errors):.1%}, mean {np.mean(errors):.1%}\n", flush=True)
    print(f"{yosys.version}, synth_xilinx -family xcup, {PART}")
    if arguments.json is not None:
        write_json(arguments.json, records)


if __name__ == "__main__":
    main()
