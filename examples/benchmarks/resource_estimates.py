# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Estimates of the two hardware layers of this package against synthesis by Yosys.

The formulas of ``lut_estimation``, ``bram_estimation``, ``dsp_estimation`` count what Yosys builds
at the points of the first grid, with some fitted coefficients; the second grid was not looked at.

    python examples/benchmarks/resource_estimates.py [--json FILE]
"""

import argparse
from collections.abc import Callable
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

from dhq_brevitas.finn_flow.ops import DOMAIN
from dhq_brevitas.finn_flow.stitching.prepare import generate_nodes
from dhq_brevitas.finn_flow.synthesis.design import node_sources, read_resources
from dhq_brevitas.finn_flow.synthesis.resources import Resources
from dhq_brevitas.finn_flow.synthesis.yosys import Yosys
from dhq_brevitas.util.files import write_json

PART = "xczu3eg-sbva484-1-e"
# Functions of tables: one period of a sine wraps; the others are clipped, z from -1 to 1.
FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sine": lambda z: -np.sin(np.pi * z),
    "finer": lambda z: np.sin(6 * (np.abs(z) + 1) * z),
    "gaussian": lambda z: np.exp(-((3.5 * z) ** 2)),
    "wire": lambda z: np.cos(12 * z) * np.exp(-((3 * z) ** 2)),
    "decay": lambda z: np.exp(-2 * (z + 1)),
}
FITTED: list[dict[str, Any]] = [
    *({"order": n, "lanes": s, "bits": b} for n, s, b in product((16, 64, 256), (1, 8), (4, 10))),
    *({"order": n, "lanes": s, "bits": 8, "shift": 5} for n, s in ((16, 1), (64, 8), (256, 2))),
    *({"table": t, "lanes": p, "bits": 18} for t, p in product((6, 7, 8, 10), (1, 2))),
    *({"table": t, "lanes": 1, "bits": 18, "out": o} for t, o in product((8, 10), (4, 6, 12))),
    *({"table": t, "lanes": 1, "bits": 18, "scale": 9} for t in (7, 12)),
    *({"table": 9, "lanes": 1, "bits": 18, "channels": c} for c in (8, 16, 32, 64, 128, 256)),
    *({"table": 9, "lanes": 1, "bits": 18, "scale": 9, "channels": c} for c in (16, 64, 128)),
    {"table": 9, "lanes": 2, "bits": 18, "channels": 128},
    {"table": 12, "lanes": 1, "bits": 20, "scale": 9, "channels": 128},
    *(
        {"table": t, "lanes": 1, "bits": 16, "function": f}
        for f, t in product(("finer", "gaussian", "wire", "decay"), (6, 7, 8, 9))
    ),
    *(
        {"table": 8, "lanes": 1, "bits": 16, "out": o, "function": f}
        for f, o in product(("finer", "gaussian", "wire", "decay"), (4, 10))
    ),
    *({"table": 8, "lanes": 2, "bits": 12, "function": f} for f in ("finer", "gaussian", "wire")),
    *({"table": 9, "lanes": 1, "bits": b, "function": "gaussian"} for b in (10, 14, 20, 24)),
    {"table": 12, "lanes": 1, "bits": 20, "channels": 512},
    {"table": 11, "lanes": 1, "bits": 19, "channels": 512, "scale": 4},
    {"table": 8, "lanes": 4, "bits": 12, "function": "decay"},
    {"table": 8, "lanes": 2, "bits": 14, "out": 10, "function": "decay"},
]
HELD_OUT: list[dict[str, Any]] = [
    {"order": 128, "lanes": 1, "bits": 8},
    {"order": 128, "lanes": 4, "bits": 6},
    {"order": 32, "lanes": 16, "bits": 12},
    {"order": 512, "lanes": 2, "bits": 7},
    {"order": 128, "lanes": 1, "bits": 10, "shift": 9},
    {"order": 32, "lanes": 4, "bits": 6, "shift": 3},
    {"order": 64, "lanes": 2, "bits": 9},
    {"order": 16, "lanes": 4, "bits": 7, "shift": 4},
    {"table": 7, "lanes": 4, "bits": 13},
    {"table": 6, "lanes": 8, "bits": 17, "out": 7},
    {"table": 11, "lanes": 2, "bits": 15, "out": 9},
    {"table": 10, "lanes": 1, "bits": 21, "channels": 32, "scale": 3},
    {"table": 12, "lanes": 1, "bits": 17, "out": 10, "channels": 64, "scale": 3},
    {"table": 12, "lanes": 1, "bits": 22, "out": 10, "channels": 128, "scale": 4},
    {"table": 9, "lanes": 2, "bits": 14, "channels": 256},
    {"table": 10, "lanes": 2, "bits": 18, "channels": 1024, "scale": 5},
    {"table": 12, "lanes": 1, "bits": 16, "out": 10, "channels": 256, "scale": 3},
    {"table": 8, "lanes": 2, "bits": 17, "out": 7, "function": "finer", "offset": -128},
    {"table": 12, "lanes": 1, "bits": 20, "out": 9, "function": "finer", "offset": -2048},
    {"table": 8, "lanes": 1, "bits": 15, "out": 9, "function": "gaussian", "offset": -128},
    {"table": 11, "lanes": 2, "bits": 19, "function": "gaussian", "offset": -1024, "channels": 64},
    {"table": 7, "lanes": 2, "bits": 14, "out": 6, "function": "wire", "offset": -64},
    {"table": 8, "lanes": 2, "bits": 13, "out": 7, "function": "decay"},
]


# (type, attributes, parameters with their types) of a node
Node = tuple[str, dict[str, Any], dict[str, tuple[np.ndarray, str]]]


def transform(point: dict[str, Any]) -> Node:
    """The transform of a point that has an order."""
    order = point["order"]
    wanted = f"INT{point['bits'] + order.bit_length() - 1}"
    attributes = {"NumChannels": order, "SIMD": point["lanes"], "Order": order}
    if "shift" in point:
        wanted = "INT8"
        attributes |= {"requantShift": point["shift"], "narrow": 1}
    return "HadamardTransform_rtl", attributes | {"outputDataType": wanted}, {}


def table(point: dict[str, Any]) -> Node:
    """The table of a function, of any other point."""
    bits, scale_bits = point["bits"], f"INT{max(2, point.get('scale', 2))}"
    rng = np.random.default_rng(0)
    channels = point.get("channels", 8)
    stored = channels if "channels" in point else 1
    half = 1 << (point.get("scale", 1) - 1)
    scale = rng.integers(-half, half, stored) if half > 1 else np.ones(stored, np.int64)
    bias = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), stored)
    function = point.get("function", "sine")
    # A Gaussian has no negative values.
    wanted = f"{'UINT' if function == 'gaussian' else 'INT'}{point.get('out', 8)}"
    entries = 1 << point["table"]
    places = 2 * (np.arange(entries) + 0.5) / entries - 1
    values = np.rint(DataType[wanted].max() * FUNCTIONS[function](places)).astype(np.int64)
    attributes = {
        "NumChannels": channels,
        "PE": point["lanes"],
        "scaleDataType": scale_bits,
        "biasDataType": f"INT{bits}",
        "tableBits": point["table"],
        "shift": 4,
        "wrap": int(function == "sine"),
        "addressOffset": point.get("offset", 0),
        "perChannel": int("channels" in point),
        "outputDataType": wanted,
    }
    parameters = {"M": (scale, scale_bits), "B": (bias, f"INT{bits}"), "t": (values, wanted)}
    return "LookupActivation_rtl", attributes, parameters


def layer(point: dict[str, Any]) -> ModelWrapper:
    """Graph of one layer: a transform if ``point`` has an order, else a table of a function."""
    op_type, attributes, parameters = transform(point) if "order" in point else table(point)
    given = f"INT{point['bits']}"
    node = helper.make_node(
        op_type,
        ["x", *parameters],
        ["y"],
        name="layer",
        domain=f"{DOMAIN}.rtl",
        backend="fpgadataflow",
        inputDataType=given,
        numInputVectors=[1],
        **attributes,
    )
    shape = [1, attributes["NumChannels"]]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in "xy"]
    model = ModelWrapper(qonnx_make_model(helper.make_graph([node], "g", values[:1], values[1:])))
    for name, datatype in (("x", given), ("y", attributes["outputDataType"])):
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
    return estimate, read_resources(yosys.synthesize(sources, top, "xcup"))


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
