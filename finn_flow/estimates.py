# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What the layers of a quantized network will take, without exporting and building it.

The hardware layers are made from a network's integers with the functions that the build's passes
use on the exported graph, folded by the build's own step, and asked by FINN's own analyzes. The
sums are those that ``build_dataflow`` reports for that network, in a small part of its time; DSPs
are its ``dsp_rtl_estimate``.
"""

import copy
import math
import os
import tempfile
import warnings
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from finn.analysis.fpgadataflow.exp_cycles_per_layer import exp_cycles_per_layer
from finn.analysis.fpgadataflow.res_estimation import res_estimation
from finn.transformation.streamline.round_thresholds import RoundAndClipThresholds
from onnx import NodeProto, TensorProto, ValueInfoProto, helper
from qonnx.core.datatype import BaseDataType, DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.util.basic import qonnx_make_model
from torch import Tensor, nn

from dhq_brevitas.export import export_qonnx
from dhq_brevitas.export.passes.integer_form import MULTIPLIER_BITS
from dhq_brevitas.export.passes.integer_form.values import dyadic_parameters
from dhq_brevitas.finn_flow.build import TargetNotMetWarning, build_dataflow
from dhq_brevitas.finn_flow.elementwise import DyadicAffine, dyadic_affine
from dhq_brevitas.finn_flow.logs import finn_log_to_file
from dhq_brevitas.finn_flow.ops import DOMAIN, RTL_DOMAIN
from dhq_brevitas.finn_flow.ops.mvau_rtl import MATRIX_VECTOR, obstacle
from dhq_brevitas.finn_flow.ranges import IntegerRange, integer_ranges
from dhq_brevitas.finn_flow.report import node_resources
from dhq_brevitas.finn_flow.steps import (
    DhqBuildConfig,
    keep_weights_signed,
    step_dhq_target_fps_parallelization,
)
from dhq_brevitas.finn_flow.transformations.infer_hadamard import hadamard_layer
from dhq_brevitas.finn_flow.transformations.infer_lookup_activation import (
    Table,
    code_range,
    lookup_layer,
    reduce_affine,
    smallest_table,
)
from dhq_brevitas.finn_flow.transformations.infer_requant import thresholding_layer
from dhq_brevitas.inr.integers import LayerCodes
from dhq_brevitas.nn.rotation import Side
from dhq_brevitas.planning.limits import Resources
from dhq_brevitas.quantization.settle import settle
from dhq_brevitas.tracing.network import TracedNetwork


class LayerEstimator:
    """``estimator(layers)``: the resources of each of some layers in a row.

    Args:
        cycles_per_sample, fpga_part, mvau: as for :func:`dhq_brevitas.finn_flow.build_dataflow`.

    All layers are folded together, as a build folds them; so a layer alone may be folded otherwise
    where the target is so low that one layer's weight stream raises the limit for all.
    """

    def __init__(self, cycles_per_sample: int, fpga_part: str, mvau: str = MATRIX_VECTOR) -> None:
        self.cycles_per_sample, self.fpga_part, self.mvau = cycles_per_sample, fpga_part, mvau

    def __call__(self, layers: Sequence[LayerCodes]) -> list[Resources]:
        chain = _Chain(layers, self.mvau)
        model = chain.minimized()
        with tempfile.TemporaryDirectory() as folder, finn_log_to_file(os.devnull):
            config = DhqBuildConfig(
                output_dir=folder,
                synth_clk_period_ns=5.0,
                fpga_part=self.fpga_part,
                cycles_per_frame=self.cycles_per_sample,
                generate_outputs=[],
            )
            model = step_dhq_target_fps_parallelization(model, config)
        resources = res_estimation(model, self.fpga_part)
        cycles = exp_cycles_per_layer(model)
        result = [Resources()] * len(layers)
        for node in model.graph.node:
            used = node_resources(model, node, resources[node.name], self.fpga_part)
            layer = chain.layer_of[node.output[0]]
            result[layer] += Resources(**used, cycles=cycles[node.name])
        return result

    def network(self, model: nn.Module, inputs: Tensor) -> Resources:
        """What a calibrated network takes in all, its branches and joints included.

        It is exported and built on the way that ``build_dataflow`` goes, which takes seconds. Of
        ``inputs``, as the planner has them, one sample is run. Raises what these raise for what has
        no hardware layer.
        """
        network = copy.deepcopy(model).cpu()
        rows = inputs[:1].cpu()
        settle(network, rows)
        args: Sequence[Tensor] = [rows]
        if isinstance(network, TracedNetwork):
            args = network.one_sample(rows)
            network.unflatten()
        graph = export_qonnx(network, args=args, check_inputs=args)
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore", TargetNotMetWarning)
            report = build_dataflow(
                graph,
                folder,
                cycles_per_sample=self.cycles_per_sample,
                fpga_part=self.fpga_part,
                mvau=self.mvau,
                progress=False,
            ).report
        return Resources.reported(report)


class _Chain:
    """Specialized hardware layers of some layers in a row; ``layer_of`` the output of each node.

    One that takes other codes than the layer before it puts out has an input of its own, as in a
    network whose branches meet; what joins them there, or quantizes, is
    :meth:`LayerEstimator.network`'s.
    """

    def __init__(self, layers: Sequence[LayerCodes], mvau: str) -> None:
        first, self.mvau = layers[0], mvau
        self.layer_of: dict[str, int] = {}
        self.tensor = "input"
        graph = helper.make_graph(
            [], "chain", [_value_info(self.tensor, first.weight.shape[1])], [_value_info("out", 1)]
        )
        self.model = ModelWrapper(qonnx_make_model(graph))
        self.model.set_tensor_datatype(self.tensor, _type(first.input_bits, first.input_signed))
        for index, layer in enumerate(layers):
            before = len(self.model.graph.node)
            self._add_layer(layer)
            new = list(self.model.graph.node)[before:]
            self.layer_of |= {node.output[0]: index for node in new}
        inner = self.model.graph.value_info
        end = next(info for info in inner if info.name == self.tensor)
        self.model.graph.output[0].CopyFrom(end)
        inner.remove(end)

    def minimized(self) -> ModelWrapper:
        """The graph with the datatypes that the build's steps would leave."""
        model = self.model
        for operator in map(getCustomOp, model.graph.node):
            operator.infer_node_datatype(model)
            for method in ("minimize_weight_bit_width", "minimize_accumulator_width"):
                if hasattr(operator, method):
                    getattr(operator, method)(model)
            operator.infer_node_datatype(model)
        model = model.transform(RoundAndClipThresholds())
        for operator in map(getCustomOp, model.graph.node):
            if hasattr(operator, "minimize_weight_bit_width"):
                operator.minimize_weight_bit_width(model)
        keep_weights_signed(model)
        return model

    def _add_layer(self, layer: LayerCodes) -> None:
        channels, datatype = layer.weight.shape[1], _type(layer.input_bits, layer.input_signed)
        given = self._channels(), self.model.get_tensor_datatype(self.tensor)
        if given != (channels, datatype):
            self.tensor = f"input{len(self.model.graph.input)}"
            self.model.graph.input.append(_value_info(self.tensor, channels))
            self.model.set_tensor_datatype(self.tensor, datatype)
        if layer.rotation.side.of_inputs:
            self._rotate(layer)
        if layer.rotation.side == Side.INPUT:
            self._requantize(layer)
        self._multiply(layer)
        if layer.rotation.side == Side.OUTPUT:
            self._rotate(layer)
        if layer.table is not None:
            self._look_up(layer, layer.table)

    def _rotate(self, layer: LayerCodes) -> None:
        source, output = self._next(self._channels())
        self._append(hadamard_layer(self.model, source, output, layer.rotation.order, layer.signs))

    def _requantize(self, layer: LayerCodes) -> None:
        assert layer.requant is not None
        datatype = _type(layer.act_bits, True)
        mantissa, exponent = math.frexp(layer.requant)
        if mantissa == 0.5 and exponent <= 1:
            node = self.model.graph.node[-1]
            op = getCustomOp(node)
            op.set_nodeattr("requantShift", 1 - exponent)
            op.set_nodeattr("outputDataType", datatype.name)
            self.model.set_tensor_datatype(self.tensor, datatype)
            return
        low, high = self._range().whole()
        codes = int(datatype.min()) + np.arange(1, 1 << layer.act_bits)
        thresholds = np.ceil((codes - 0.5) / layer.requant).clip(low, high + 1)
        source, output = self._next(self._channels())
        rows = thresholds.astype(np.float32).reshape(1, -1)
        self._append(thresholding_layer(self.model, source, output, rows, datatype))

    def _multiply(self, layer: LayerCodes) -> None:
        rows, columns = layer.weight.shape
        source, output = self._next(rows)
        datatype = _type(layer.weight_bits, True)
        self.model.set_initializer(f"{output}_weights", layer.weight.T.astype(np.float32))
        self.model.set_tensor_datatype(f"{output}_weights", datatype)
        node = helper.make_node(
            "MVAU",
            [source, f"{output}_weights"],
            [output],
            domain=DOMAIN,
            backend="fpgadataflow",
            MW=columns,
            MH=rows,
            SIMD=1,
            PE=1,
            inputDataType=self.model.get_tensor_datatype(source).name,
            weightDataType=datatype.name,
            outputDataType="INT32",
            ActVal=0,
            binaryXnorMode=0,
            noActivation=1,
            numInputVectors=[1],
            mem_mode="internal_decoupled",
        )
        self._append(node)

    def _look_up(self, layer: LayerCodes, table: np.ndarray) -> None:
        x = self._range()
        scale, bias, _ = dyadic_parameters(
            layer.scale * layer.entries_per_unit,
            layer.bias * layer.entries_per_unit,
            MULTIPLIER_BITS,
        )
        affine = dyadic_affine(
            *([Fraction(v) for v in np.broadcast_to(a, x.channels).tolist()] for a in (scale, bias))
        )
        small = _reachable_table(layer, table, affine, x)
        source, output = self._next(x.channels)
        datatype = _type(layer.output_bits, layer.output_signed)
        reduced = reduce_affine(affine, small)
        self._append(lookup_layer(self.model, source, output, reduced, small, datatype))

    def _append(self, node: NodeProto) -> None:
        node.op_type += "_rtl"
        node.domain = RTL_DOMAIN
        node.name = f"{node.op_type}_{len(self.model.graph.node)}"
        if node.op_type == "MVAU_rtl" and obstacle(self.model, node) is None:
            getCustomOp(node).set_nodeattr("kernel", self.mvau)
        self.model.graph.node.append(node)

    def _next(self, channels: int) -> tuple[str, str]:
        """The tensor at the end, and a new one behind it."""
        source, self.tensor = self.tensor, f"tensor{len(self.model.graph.node)}"
        self.model.set_tensor_shape(self.tensor, [1, channels])
        return source, self.tensor

    def _channels(self) -> int:
        return int(self.model.get_tensor_shape(self.tensor)[-1])

    def _range(self) -> IntegerRange:
        return integer_ranges(self.model)[self.tensor]


def _reachable_table(
    layer: LayerCodes, table: np.ndarray, affine: DyadicAffine, x: IntegerRange
) -> Table:
    low, high = code_range(affine, x)
    if layer.periodic:
        codes = np.arange(low, high + 1)
        return smallest_table(table[codes & (len(table) - 1)], low, saturates=False)
    half = len(table) // 2
    saturates = low < -half or high >= half
    low, high = (min(max(code, -half), half - 1) for code in (low, high))
    return smallest_table(table[np.arange(low, high + 1) + half], low, saturates)


def _type(bits: int, signed: bool) -> BaseDataType:
    return DataType[f"{'' if signed else 'U'}INT{bits}"]


def _value_info(name: str, channels: int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels])
