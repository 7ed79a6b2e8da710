# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Folding, and widths of streams, of MVAUs on the kernel ``matrix_vector``."""

from typing import Any

import numpy as np
from finn.transformation.fpgadataflow.set_folding import divisors
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

from dhq_brevitas.finn_flow.ops import DOMAIN, RTL_DOMAIN, is_hardware
from dhq_brevitas.finn_flow.ops.lookup_activation import LookupActivation
from dhq_brevitas.finn_flow.ops.mvau_rtl import (
    MATRIX_VECTOR,
    MVAU_rtl,
    multiplier_slice,
    obstacle,
)

#: LUTs of a FIFO of two or three words; InsertFIFO puts one more beside a converter.
FIFO_LUTS = 26


class SpecializeMatrixVectors(Transformation):
    """Every MVAU that the kernel ``matrix_vector`` can compute becomes an MVAU_rtl on ``kernel``.

    Others are left to FINN's SpecializeLayers.
    """

    def __init__(self, kernel: str = MATRIX_VECTOR) -> None:
        super().__init__()
        self.kernel = kernel

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        for node in model.graph.node:
            if node.domain != DOMAIN or node.op_type != "MVAU" or obstacle(model, node):
                continue
            node.op_type, node.domain = "MVAU_rtl", RTL_DOMAIN
            getCustomOp(node).set_nodeattr("kernel", self.kernel)
        return model, False


class FoldMatrixVectors(Transformation):
    """Gives every MVAU on that kernel the folding of least cost that meets a target.

    Of the foldings (PE, SIMD) that take at most ``cycles`` a sample, those with the fewest DSPs are
    kept; among them LUT + FF/2 of the layer, its converters and their FIFOs decides. A layer that
    cannot meet the target keeps its folding. See :class:`MatchStreams` for the streams. What may
    become an adder graph is folded as if it did not: only a target of a cycle unrolls a matrix.
    """

    def __init__(self, cycles: int, fpga_part: str) -> None:
        super().__init__()
        self.cycles, self.fpga_part = cycles, fpga_part

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        for op in matrix_vectors(model):
            self._fold(model, op)
        return model.transform(MatchStreams(self.cycles, self.fpga_part)), False

    def _fold(self, model: ModelWrapper, op: MVAU_rtl) -> None:
        mw, mh = int(op.get_nodeattr("MW")), int(op.get_nodeattr("MH"))
        before = op.get_nodeattr("PE"), op.get_nodeattr("SIMD")
        found: dict[tuple[float, ...], tuple[int, int]] = {}
        for simd in divisors(mw):
            for pe in divisors(mh):
                _set_folding(op, pe, simd)
                match_streams(model, op, self.cycles, self.fpga_part)
                if op.get_exp_cycles() <= self.cycles:
                    found[self._cost(model, op)] = pe, simd
                    break  # more rows cost more
        _set_folding(op, *(found[min(found)] if found else before))
        match_streams(model, op, self.cycles, self.fpga_part)

    def _cost(self, model: ModelWrapper, op: MVAU_rtl) -> tuple[float, ...]:
        """DSPs, then LUT + FF/2; fewer multipliers where that is equal."""
        found = op.geometry(self.fpga_part)
        cost = found.lut + found.ff / 2
        producer = model.find_producer(op.onnx_node.input[0])
        if producer is not None:
            lanes = int(getCustomOp(producer).get_folded_output_shape()[-1])
            cost += _converter_cost(lanes, op.in_lanes, op.get_input_datatype().bitwidth())
        consumer = model.find_consumer(op.onnx_node.output[0])
        if consumer is not None:
            lanes = int(getCustomOp(consumer).get_folded_input_shape()[-1])
            if not isinstance(getCustomOp(consumer), MVAU_rtl):
                cost += _converter_cost(op.out_lanes, lanes, op.get_output_datatype().bitwidth())
        return (found.dsp, cost, op.get_nodeattr("SIMD"))


def _converter_cost(given: int, taken: int, bits: int) -> float:
    """LUT + FF/2 of a width converter and the FIFO that stands on its other side.

    A serializer is a LUT and a flip-flop for each bit of the wide word, a deserializer flip-flops.
    """
    if given == taken:
        return 0.0
    wide, narrow = max(given, taken) * bits, min(given, taken) * bits
    return (wide if given > taken else 10) + (wide + narrow) / 2 + 1.5 * max(FIFO_LUTS, wide)


def _set_folding(op: MVAU_rtl, pe: int, simd: int) -> None:
    op.set_nodeattr("PE", pe)
    op.set_nodeattr("SIMD", simd)


def matrix_vectors(model: ModelWrapper) -> list[MVAU_rtl]:
    """The layers on the kernel ``matrix_vector``, from input to output."""
    ops = [getCustomOp(node) for node in model.graph.node if is_hardware(node)]
    return [op for op in ops if isinstance(op, MVAU_rtl) and op.ours]


class MatchStreams(Transformation):
    """Gives the streams of every MVAU on that kernel the lanes of its neighbors where it can.

    ``outLanes`` becomes what the next layer takes, else the fewest lanes, with which the layer is
    not slower than ``cycles`` or its own matrix; ``inLanes`` what the layer before puts out, if
    that divides SIMD. Where a width does not fit, FINN inserts a converter. ``pack`` and ``chain``
    are set for the estimates, as is what an adder graph takes. A table behind an adder graph gets
    no registers before its address, unless its scales M are more than wires.
    """

    def __init__(self, cycles: int, fpga_part: str) -> None:
        super().__init__()
        self.cycles, self.fpga_part = cycles, fpga_part

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        for op in matrix_vectors(model):
            match_streams(model, op, self.cycles, self.fpga_part)
            if op.unrolled:
                graph = op.adder_graph(model)
                op.set_nodeattr("adderLuts", graph.lut)
                op.set_nodeattr("adderFfs", graph.ff)
            consumer = model.find_consumer(op.onnx_node.output[0])
            table = None if consumer is None else getCustomOp(consumer)
            if isinstance(table, LookupActivation):
                table.set_nodeattr("direct", int(op.unrolled and _only_wires(model, table)))
        return model, False


def _only_wires(model: ModelWrapper, table: LookupActivation) -> bool:
    """Whether every channel has its lane, and every M is a power of two."""
    scale = model.get_initializer(table.onnx_node.input[1]).astype(np.int64)
    return table.lanes == table.channels and bool(np.all((scale > 0) & (scale & (scale - 1) == 0)))


def match_streams(model: ModelWrapper, op: MVAU_rtl, cycles: int, fpga_part: str) -> None:
    """Sets inLanes, outLanes, pack and chain of one layer; its producer's are set."""
    pe, simd = int(op.get_nodeattr("PE")), int(op.get_nodeattr("SIMD"))
    op.set_nodeattr("inLanes", 0)
    op.set_nodeattr("outLanes", 0)
    allowed = max(cycles, op.get_exp_cycles())
    producer = model.find_producer(op.onnx_node.input[0])
    if producer is not None:
        lanes = int(getCustomOp(producer).get_folded_output_shape()[-1])
        if simd % lanes == 0:
            op.set_nodeattr("inLanes", lanes)
    consumer = model.find_consumer(op.onnx_node.output[0])
    for lanes in _wanted_lanes(pe, None if consumer is None else getCustomOp(consumer)):
        op.set_nodeattr("outLanes", lanes)
        if op.get_exp_cycles() <= allowed:
            break
    found = op.multipliers(model, multiplier_slice(fpga_part))
    op.set_nodeattr("pack", found.pack)
    op.set_nodeattr("chain", found.chain)


def _wanted_lanes(pe: int, consumer: Any) -> list[int]:
    """Divisors of PE, the ones that need no converter first."""
    if consumer is None:
        return list(divisors(pe))
    if isinstance(consumer, MVAU_rtl) and consumer.ours:
        simd = int(consumer.get_nodeattr("SIMD"))
        return sorted(divisors(pe), key=lambda lanes: (simd % lanes != 0, lanes))
    taken = int(consumer.get_folded_input_shape()[-1])
    return sorted(divisors(pe), key=lambda lanes: (lanes != taken, lanes))
