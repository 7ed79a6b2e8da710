# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""From a graph of RTL layers to one with converters, FIFOs and generated HDL."""

import contextlib
import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
from finn.transformation.fpgadataflow.insert_fifo import InsertFIFO
from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
from finn.transformation.fpgadataflow.replace_verilog_relpaths import ReplaceVerilogRelPaths
from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
from onnx import NodeProto
from qonnx.core.datatype import BaseDataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.general import GiveUniqueNodeNames, SortGraph

from dhq_brevitas.export import set_batch_size
from dhq_brevitas.export.graph import describe
from dhq_brevitas.export.passes.clean_up import NameTensors
from dhq_brevitas.finn_flow.errors import FlowError, UnsupportedNodeError
from dhq_brevitas.finn_flow.ops import DOMAIN, RTL_DOMAIN, ChannelwiseOp, layer_kind
from dhq_brevitas.finn_flow.ops.channelwise_rtl import KernelRtl

#: Layers where branches meet.
MEETINGS = ("StreamAdd", "StreamMultiply", "StreamingConcat")
INFRASTRUCTURE = ("StreamingFIFO", "StreamingDataWidthConverter")
#: fifo.sv cannot be shallower; depth 0 stands for no FIFO.
MIN_FIFO_DEPTH = 2
#: Attributes of layers that must be 0: a second clock, AXI-lite, several sets of parameters.
UNSUPPORTED_ATTRIBUTES = (
    "pumpedCompute",
    "pumpedMemory",
    "runtime_writeable_weights",
    "mlo_max_iter",
    "bodies",
)


def check_simulable(model: ModelWrapper) -> None:
    """UnsupportedNodeError naming the first node that Verilator cannot simulate, and why."""
    for node in model.graph.node:
        reason = _obstacle(node)
        if reason is not None:
            raise UnsupportedNodeError(f"{describe(node)} cannot be simulated: {reason}")


def _obstacle(node: NodeProto) -> str | None:
    if node.domain == f"{DOMAIN}.hls" or node.op_type.endswith("_hls"):
        return (
            "it is an HLS layer, whose Verilog only Vitis HLS can generate; use an RTL variant "
            "(attribute preferred_impl_style='rtl') or leave the operation to the host"
        )
    if node.domain == DOMAIN:
        return "it is not specialized to RTL; run step_dhq_specialize_layers first"
    if node.domain != RTL_DOMAIN:
        return f"it is no hardware layer (domain {node.domain!r})"
    op = getCustomOp(node)
    attributes = op.get_nodeattr_types()
    if "mem_mode" in attributes and layer_kind(node) not in MEETINGS:
        mode = op.get_nodeattr("mem_mode")
        if mode != "internal_decoupled":
            return (
                f"mem_mode={mode!r} is not supported; set mem_mode='internal_decoupled', which "
                "streams weights and parameters from a memory beside the layer"
            )
    for name in UNSUPPORTED_ATTRIBUTES:
        if name in attributes and op.get_nodeattr(name):
            return f"{name}={op.get_nodeattr(name)} is not supported; set {name}=0"
    if "TH" in attributes and op.get_nodeattr("TH") > 1:
        return (
            f"TH={op.get_nodeattr('TH')}, a tiled MVAU: Verilator does not accept the array "
            "parameters of its input_gen.sv; set TH=1"
        )
    if node.op_type == "Thresholding_rtl":
        return _threshold_obstacle(op.get_nodeattr("numSteps"), op.get_output_datatype())
    return None


def _threshold_obstacle(steps: int, datatype: BaseDataType) -> str | None:
    """FINN writes the memories of a search in as many stages as the output has bits; the Verilog
    searches in ceil(log2(steps + 1)), and with fewer it would read other thresholds."""
    stages, bits = int(steps).bit_length(), datatype.bitwidth()
    if stages == bits:
        return None
    return (
        f"its {steps} thresholds give codes of {stages} bits and its output {datatype.name} has "
        f"{bits}, for which FINN's Verilog gives other codes; use an output of {stages} bits"
    )


def generate_nodes(model: ModelWrapper, fpga_part: str, clk_period_ns: float) -> ModelWrapper:
    """Copy of ``model`` with the HDL of every node generated; each node has a unique name."""
    model = ModelWrapper(model.model, make_deepcopy=True)
    check_simulable(model)
    model = model.transform(GiveUniqueNodeNames())
    for node in model.graph.node:
        op = getCustomOp(node)
        for attribute in ("code_gen_dir_ipgen", "ipgen_path", "ip_path", "rtlsim_so"):
            op.set_nodeattr(attribute, "")
    # ReplaceVerilogRelPaths rewrites every .v file below the working folder for a node without
    # HDL: let that be an empty one.
    with _empty_folder():
        model = model.transform(PrepareIP(fpga_part, clk_period_ns))
        return model.transform(ReplaceVerilogRelPaths())


def insert_infrastructure(
    model: ModelWrapper, fpga_part: str, depths: Sequence[int] | None = None
) -> ModelWrapper:
    """Copy of ``model`` for one sample with width converters, and FIFOs on its streams.

    Args:
        model: a graph of RTL layers.
        fpga_part: as in the build.
        depths: of the FIFO on every stream, from input to output, 0 for none; without them every
            FIFO holds two samples, and where branches meet as many more as there are layers: a
            branch that waits for another holds a sample for each layer of that one.

    FlowError for a depth below 0, or of 0 where a branch ends, naming the stream.
    """
    check_simulable(model)
    model = set_batch_size(model, 1)
    model = model.transform(InsertDWC()).transform(InsertFIFO(create_shallow_fifos=True))
    for node in model.graph.node:
        if node.domain == DOMAIN:
            getCustomOp(node).set_nodeattr("preferred_impl_style", "rtl")
    model = model.transform(SpecializeLayers(fpga_part)).transform(SortGraph())
    model = model.transform(GiveUniqueNodeNames()).transform(NameTensors())
    nodes = fifos(model)
    if depths is None:
        samples = 2 + (pipeline_length(model) if branch_ends(model) else 0)
        depths = [samples * math.prod(fifo.get_folded_output_shape()[:-1]) + 2 for fifo in nodes]
    if len(depths) != len(nodes):
        raise UnsupportedNodeError(
            f"fifo_depths has {len(depths)} entries; this graph has {len(nodes)} FIFOs"
        )
    ends = {fifo.onnx_node.name for fifo in branch_ends(model)}
    for index, (fifo, depth) in enumerate(zip(nodes, depths, strict=True)):
        least = 1 if fifo.onnx_node.name in ends else 0
        if depth < least:
            raise FlowError(
                f"fifo_depths[{index}]={depth}: the FIFO on the stream {stream_ends(model, fifo)} "
                f"must hold at least {least} word"
            )
    set_depths(model, depths)
    return model


def stands_between_kernels(model: ModelWrapper, fifo: NodeProto) -> bool:
    """Whether the layers on both sides, where there are such, are kernels of this package.

    They take and give a word in every cycle without one; FINN's layers may pause.
    """
    sides = model.find_producer(fifo.input[0]), model.find_consumer(fifo.output[0])
    ops = [getCustomOp(node) for node in sides if node is not None]
    return all(
        isinstance(op, ChannelwiseOp | KernelRtl) or getattr(op, "ours", False) for op in ops
    )


def set_depths(model: ModelWrapper, depths: Sequence[int]) -> None:
    """Gives the FIFOs their depths, in place; those of depth 0 go."""
    for fifo, depth in zip(fifos(model), depths, strict=True):
        fifo.set_nodeattr("depth", max(MIN_FIFO_DEPTH, int(depth)))
        fifo.set_nodeattr("impl_style", "rtl")
        if depth == 0:
            _remove(model, fifo.onnx_node)


def _remove(model: ModelWrapper, node: NodeProto) -> None:
    given, put_out = node.input[0], node.output[0]
    consumer, producer = model.find_consumer(put_out), model.find_producer(given)
    if consumer is not None:
        consumer.input[list(consumer.input).index(put_out)] = given
    elif producer is not None:
        producer.output[0] = put_out
    model.graph.node.remove(node)


def stream_ends(model: ModelWrapper, fifo: Any) -> str:
    """The layers that a FIFO stands between."""
    node = fifo.onnx_node
    before, after = model.find_producer(node.input[0]), model.find_consumer(node.output[0])
    return (
        f"from {'the input' if before is None else before.name} to "
        f"{'the output' if after is None else after.name}"
    )


def branch_ends(model: ModelWrapper) -> list[Any]:
    """The FIFOs at the ends of branches that meet; what waits for another branch waits in them."""
    found = []
    for fifo in fifos(model):
        reader = model.find_consumer(fifo.onnx_node.output[0])
        if reader is not None and layer_kind(reader) in MEETINGS:
            found.append(fifo)
    return found


def pipeline_length(model: ModelWrapper) -> int:
    """Layers that compute: neither FIFO nor width converter."""
    return sum(not node.op_type.startswith(INFRASTRUCTURE) for node in model.graph.node)


def fifos(model: ModelWrapper) -> list:
    """The FIFO layers from input to output."""
    return [
        getCustomOp(node) for node in model.graph.node if node.op_type.startswith("StreamingFIFO")
    ]


@contextlib.contextmanager
def _empty_folder() -> Iterator[None]:
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)
