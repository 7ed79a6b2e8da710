# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Checks of a graph between build steps; each error names a node, its op_type and a remedy."""

from collections.abc import Mapping

import numpy as np
from finn.util.basic import get_dsp_block, get_dsp_datapath_limits
from finn.util.fpgadataflow import is_hls_node
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from dhq_brevitas.export.graph import QUANT_OPS, describe, only_consumer
from dhq_brevitas.finn_flow.elementwise import (
    AFFINE_OPS,
    ELEMENTWISE_OPS,
    MONOTONE_OPS,
)
from dhq_brevitas.finn_flow.errors import FlowError, UnsupportedNodeError
from dhq_brevitas.finn_flow.ops import (
    DOMAIN,
    JOINT_VARIANTS,
    JOINTS,
    LAYERS,
    ChannelwiseOp,
    is_hardware,
    layer_kind,
)
from dhq_brevitas.finn_flow.ops.channelwise_rtl import KernelRtl
from dhq_brevitas.finn_flow.ops.matrix_vector import MAX_INPUT_BITS
from dhq_brevitas.finn_flow.ranges import quant_parameters

# What the conversion can leave as RTL; MVAU and Thresholding are FINN's.
HARDWARE_LAYERS = (
    "MVAU",
    "Thresholding",
    *(layer.__name__ for layer in (*LAYERS, *JOINTS)),
    *(layer.__name__.removesuffix("_rtl") for layer in JOINT_VARIANTS),
)

_REMEDIES = {
    "MatMul": "a MatMul needs integer codes at its input and constant integer weights annotated "
    "with their datatype, as dhq_brevitas.export.export_qonnx writes them",
    "Quant": "a Quant needs an input that is an affine or monotone function of an integer tensor",
    "HadamardTransform": "its input must be integer codes",
    "Mul": "a scale must stand before a Quant, or at the very end of the graph where the host "
    "applies it",
    "Add": "a bias must stand before a Quant, or at the very end of the graph where the host "
    "applies it",
}
_STATISTIC = (
    "it divides by a statistic of each sample; train with BatchNorm, which folds into the layer "
    "before it, or without"
)
_REMEDIES |= {
    "Gemm": "a linear layer needs inputs that are quantized with one scale for all channels, and "
    "quantized weights: give it an input_quant, or a quantizer ahead of it, and a weight_quant",
    "BatchNormalization": "it folds behind a linear layer, or a quantizer of the same channels, "
    "ahead of an activation; put it there",
    "Conv": "convolutions have no layer here; one of 1 x 1 is a linear layer on [N, H, W, C], "
    "which dhq_brevitas.quantize makes of it in the float network",
    "LayerNormalization": _STATISTIC,
    "InstanceNormalization": _STATISTIC,
    "LSTM": "it carries a state from sample to sample; use layers that take each sample by itself",
    "Softmax": "it divides by a sum over channels; leave it to the host, outside of the graph",
}
_FUNCTION_REMEDY = (
    "a function needs a quantizer on either side, and the one ahead of it on a linear layer's "
    "result; make it a table, dhq_brevitas.QuantLookupActivation, or hand the float network to "
    "dhq_brevitas.quantize, which does so; at the end of the network, leave it to the host"
)
_DEFAULT_REMEDY = (
    "only matrix products, HadamardTransform, quantizers and elementwise functions of one variable "
    "between two quantizers can be mapped; move it to the start or end of the network, outside the "
    "exported graph, or express it as such a function"
)


def check_ends(model: ModelWrapper) -> None:
    """FlowError unless the graph has inputs and outputs of known shapes, every input read."""
    for kind, tensors in (("inputs", model.graph.input), ("outputs", model.graph.output)):
        if not tensors:
            raise FlowError(f"the graph has no {kind}; it needs at least one")
        for tensor in tensors:
            if not model.get_tensor_shape(tensor.name):
                raise FlowError(
                    f"the shape of {tensor.name} is not known; export the model with an example "
                    "input of shape [batch, channels]"
                )
    for tensor in model.graph.input:
        if not model.find_consumers(tensor.name):
            raise FlowError(f"nothing reads the graph input {tensor.name}; leave it out")


def is_integer_form(model: ModelWrapper) -> bool:
    """Whether all quantizers have scale 1 and all MatMul weights are annotated integers."""
    for node in model.graph.node:
        if node.op_type in QUANT_OPS:
            parameters = quant_parameters(model, node)
            if parameters is None or np.any(parameters[0] != 1):
                return False
        elif node.op_type in ("MatMul", "Gemm"):
            weights = model.get_initializer(node.input[1])
            if weights is None or node.op_type == "Gemm":
                return False
            if not model.get_tensor_datatype(node.input[1]).is_integer():
                return False
        elif node.op_type == "HadamardTransform" and node.domain != DOMAIN:
            if getCustomOp(node).get_nodeattr("normalize"):
                return False
        elif node.op_type in ("BipolarQuant", "BinaryQuant", "Trunc", "FloatQuant"):
            return False
    return True


def check_weights(model: ModelWrapper) -> None:
    """FlowError for a MatMul whose weights are all zero."""
    for node in model.graph.node:
        if node.op_type != "MatMul":
            continue
        weights = model.get_initializer(node.input[1])
        if weights is not None and not np.any(weights):
            raise FlowError(
                f"{describe(node)}: all weights are zero, so that its accumulator has no bits; "
                "check the weight scale, or leave the layer out"
            )


def check_all_hardware(model: ModelWrapper, reasons: Mapping[str, str] | None = None) -> None:
    """UnsupportedNodeError unless every node is a layer that has an RTL variant.

    ``reasons`` are the causes that the inference passes recorded, by node name.
    """
    unmapped = [node for node in model.graph.node if not _is_layer(node)]
    if unmapped:
        node = _cause(model, unmapped[0], reasons or {})
        known = _FUNCTION_REMEDY if node.op_type in ELEMENTWISE_OPS else _DEFAULT_REMEDY
        remedy = (reasons or {}).get(node.name) or _REMEDIES.get(node.op_type, known)
        if is_hardware(node):
            remedy = f"FINN implements it in HLS only, which needs Vitis; {_DEFAULT_REMEDY}"
        raise UnsupportedNodeError(f"{describe(node)} has no hardware layer: {remedy}")
    if not model.graph.node:
        raise FlowError("the graph has no node that hardware could compute")


def _is_layer(node: NodeProto) -> bool:
    return is_hardware(node) and node.op_type.removesuffix("_rtl") in HARDWARE_LAYERS


def _cause(model: ModelWrapper, node: NodeProto, reasons: Mapping[str, str]) -> NodeProto:
    """``node``, or what is behind its affine followers: a pass gave a reason, or has no layer."""
    follower = shown = node
    while follower.name not in reasons and follower.op_type in AFFINE_OPS + MONOTONE_OPS:
        shown = shown if follower.op_type in AFFINE_OPS else follower
        consumer = only_consumer(model, follower.output[0])
        if consumer is None:
            return shown
        if consumer.op_type == "DuplicateStreams":
            # A function of several operators, such as x · sigmoid(x): the first is as good as any.
            readers = [r for copy in consumer.output for r in model.find_consumers(copy)]
            return next((reader for reader in readers if _is_function(reader)), shown)
        follower = consumer
    other = not _is_layer(follower) and follower.op_type not in QUANT_OPS
    return follower if follower.name in reasons or other else node


def _is_function(node: NodeProto) -> bool:
    return not is_hardware(node) and node.op_type not in AFFINE_OPS + QUANT_OPS


def check_all_rtl(model: ModelWrapper, fpga_part: str) -> None:
    """UnsupportedNodeError for a node that FINN specialized to HLS."""
    for node in model.graph.node:
        if is_hls_node(node):
            remedy = "use a smaller network or fewer bits"
            if node.op_type == "MVAU_hls":
                op = getCustomOp(node)
                widest = get_dsp_datapath_limits(get_dsp_block(fpga_part))
                remedy = (
                    f"its RTL variant on {fpga_part} does not take "
                    f"{op.get_input_datatype(0).name} inputs with {op.get_input_datatype(1).name} "
                    f"weights and sums of {op.get_output_datatype().name} (it needs signed weights "
                    f"and at least 2 bits each, at most {widest[0]}, {widest[1]} and {widest[2]} "
                    f"signed bits; the kernel of mvau='matrix_vector' takes inputs of "
                    f"{MAX_INPUT_BITS} bits; a smaller block of a rotation after the activation "
                    "quantizer makes its input narrower)"
                )
            raise UnsupportedNodeError(
                f"{describe(node)} was left to HLS, which needs Vitis: {remedy}"
            )


def check_unrolled(model: ModelWrapper) -> None:
    """FlowError if no matrix product of the graph is an adder graph."""
    nodes = [node for node in model.graph.node if layer_kind(node) == "MVAU"]
    if not nodes or any(getattr(getCustomOp(node), "unrolled", False) for node in nodes):
        return
    op = getCustomOp(nodes[0])
    size = {name: op.get_nodeattr(name) for name in ("PE", "SIMD", "MH", "MW")}
    raise FlowError(
        "mvau='adders' is for constant matrices that are multiplied in one cycle, and this network "
        f"has none: {describe(nodes[0])} multiplies {size['PE']} x {size['SIMD']} of "
        f"{size['MH']} x {size['MW']} weights; use cycles_per_sample=1, or mvau='matrix_vector'"
    )


def check_folding(model: ModelWrapper) -> None:
    """FlowError for folding attributes that do not divide their layer."""
    for node in model.graph.node:
        if not is_hardware(node):
            continue
        op = getCustomOp(node)
        if isinstance(op, ChannelwiseOp | KernelRtl):
            op.check_attributes()
            continue
        kind = layer_kind(node)
        pairs = {"MVAU": (("PE", "MH"), ("SIMD", "MW")), "Thresholding": (("PE", "NumChannels"),)}
        for attribute, size in pairs.get(kind, ()):
            lanes, total = op.get_nodeattr(attribute), op.get_nodeattr(size)
            if lanes < 1 or total % lanes:
                raise FlowError(
                    f"{describe(node)}: {attribute}={lanes} does not divide {size}={total}; choose "
                    "a divisor in the folding configuration"
                )
