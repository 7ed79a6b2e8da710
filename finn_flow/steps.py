# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Build steps with FINN's signature ``(model, cfg) -> model``.

``DHQ_BUILD_STEPS`` lists them in order. They are registered with FINN, so the list, or any of the
names, can stand in ``DataflowBuildConfig.steps`` of a build of one's own.

===================================  ===============================================================
step                                 what it adds to FINN
===================================  ===============================================================
step_dhq_integer_form                every rounding on exact integers (``dhq_brevitas.export``)
step_tidy_up                         FINN's
step_dhq_convert_to_hw               inference passes of this package; host affine; no HLS-only node
step_dhq_minimize_bit_width_initial  as below, before the choice of variants depends on widths
step_dhq_create_dataflow_partition   FINN's
step_dhq_specialize_layers           FINN's; MVAUs on our kernel; no node may be left to HLS
step_dhq_target_fps_parallelization  FINN's; folds the layers of this package too, MVAUs by cost
step_dhq_apply_folding_config        FINN's; checks the folding; widths of the MVAUs' streams
step_dhq_minimize_bit_width          FINN's; keeps MVAU weights signed, and thresholds exact
step_generate_estimate_reports       FINN's
===================================  ===============================================================
"""

import copy
import dataclasses
import math

import numpy as np
from finn.analysis.fpgadataflow.dataflow_performance import dataflow_performance
from finn.builder.build_dataflow_config import DataflowBuildConfig
from finn.builder.build_dataflow_steps import (
    register_build_dataflow_step,
    step_apply_folding_config,
    step_create_dataflow_partition,
    step_generate_estimate_reports,
    step_specialize_layers,
    step_target_fps_parallelization,
    step_tidy_up,
)
from finn.transformation.fpgadataflow.annotate_cycles import AnnotateCycles
from finn.transformation.fpgadataflow.convert_to_hw.quantized_matrix_vector_activation import (
    InferQuantizedMatrixVectorActivation,
)
from finn.transformation.fpgadataflow.minimize_weight_bit_width import MinimizeWeightBitWidth
from finn.transformation.fpgadataflow.set_folding import divisors
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.general import GiveUniqueNodeNames

from dhq_brevitas.export import to_integer_form
from dhq_brevitas.export.inference import infer_datatypes, infer_shapes
from dhq_brevitas.export.passes.clean_up import clean_up
from dhq_brevitas.export.passes.separate_equal_inputs import SeparateEqualInputs
from dhq_brevitas.finn_flow.checks import (
    check_all_hardware,
    check_all_rtl,
    check_ends,
    check_folding,
    check_unrolled,
    check_weights,
    is_integer_form,
)
from dhq_brevitas.finn_flow.ops import DOMAIN, INTEGER_VARIANTS, RTL_DOMAIN, layer_kind
from dhq_brevitas.finn_flow.ops.lookup_activation import smallest_signed_datatype
from dhq_brevitas.finn_flow.ops.mvau_rtl import ADDERS, FINN, MATRIX_VECTOR
from dhq_brevitas.finn_flow.transformations import (
    ExtractHostAffine,
    FoldMatrixVectors,
    InferForks,
    InferHadamardTransform,
    InferJoints,
    InferLookupActivation,
    InferRequant,
    MatchStreams,
    MinimizeAccumulators,
    MoveScalePastHadamard,
    SeparateFunctions,
    SetLayerFolding,
    SpecializeMatrixVectors,
)


@dataclasses.dataclass
class DhqBuildConfig(DataflowBuildConfig):
    """FINN's configuration with a target in clock cycles beside ``target_fps``."""

    #: Target cycles per inference. FINN derives them from target_fps, which is an integer, so
    #: that not every number of cycles could be asked for.
    cycles_per_frame: int | None = None
    #: "matrix_vector": MVAUs on the kernel of this package where it can compute them; "adders": as
    #: adder graphs where they are unrolled, and else on it; "finn": neither.
    mvau: str = MATRIX_VECTOR

    def _resolve_cycles_per_frame(self) -> int | None:
        if self.cycles_per_frame is not None:
            return self.cycles_per_frame
        return super()._resolve_cycles_per_frame()


@register_build_dataflow_step()
def step_dhq_integer_form(model: ModelWrapper, cfg: DataflowBuildConfig) -> ModelWrapper:
    """Brings a QONNX graph to integer form unless it is in it; checks inputs and outputs.

    A graph as an exporter left it is cleaned up first, as ``qonnx-cleanup`` does.
    """
    model = model.transform(SeparateEqualInputs())
    if not is_integer_form(model):
        model = to_integer_form(clean_up(model))
    model = _inferred(model)
    check_ends(model)
    check_weights(model)
    return model


@register_build_dataflow_step()
def step_dhq_convert_to_hw(model: ModelWrapper, cfg: DataflowBuildConfig) -> ModelWrapper:
    """Replaces all of an integer-form graph by hardware layers and leaves its ends to the host.

    UnsupportedNodeError names the first node that has no layer.
    """
    reasons: dict[str, str] = {}
    for transformation in (
        ExtractHostAffine(),
        MoveScalePastHadamard(exact_only=True),
        InferHadamardTransform(),
        SeparateFunctions(),
        InferLookupActivation(),
        InferJoints(),
        InferRequant(),
        InferQuantizedMatrixVectorActivation(),
        InferForks(),
    ):
        model = model.transform(transformation)
        # The first pass that looked at a node knows best what it lacks.
        reasons = getattr(transformation, "reasons", {}) | reasons
        model = _inferred(model)
    check_all_hardware(model, reasons)
    # QONNX takes every sum to be INT32.
    model = model.transform(MinimizeAccumulators())
    for node in model.graph.node:
        if node.op_type == "MVAU":
            op = getCustomOp(node)
            op.set_nodeattr("mem_mode", "internal_decoupled")
            # By itself FINN sends weights or inputs of 2 and 3 bits to HLS.
            op.set_nodeattr("preferred_impl_style", "rtl")
        elif node.op_type == "Thresholding":
            getCustomOp(node).set_nodeattr("preferred_impl_style", "rtl")
    return model.transform(GiveUniqueNodeNames())


@register_build_dataflow_step()
def step_dhq_minimize_bit_width_initial(
    model: ModelWrapper, cfg: DataflowBuildConfig
) -> ModelWrapper:
    """The step below before specialization, which decides by the widths of weights and sums."""
    return step_dhq_minimize_bit_width(model, cfg)


@register_build_dataflow_step()
def step_dhq_minimize_bit_width(model: ModelWrapper, cfg: DataflowBuildConfig) -> ModelWrapper:
    """FINN's passes; then weights without negative entries get a sign bit again.

    FINN narrows such weights to an unsigned (or, for {-1, 0}, bipolar) type, for which there is no
    RTL variant: the MVAU reads its weights as two's complement of at least 2 bits. FINN's own step
    also rounds thresholds to float32; here they are integers within their range already.
    """
    if cfg.minimize_bit_width:
        # Sums first: the width of thresholds depends on that of what they are compared with.
        for transformation in (MinimizeAccumulators(), MinimizeWeightBitWidth()):
            model = model.transform(transformation)
            infer_datatypes(model)
    keep_weights_signed(model)
    return model


@register_build_dataflow_step()
def step_dhq_create_dataflow_partition(
    model: ModelWrapper, cfg: DataflowBuildConfig
) -> ModelWrapper:
    """FINN's step: returns the model of the single partition that holds all hardware layers.

    Its inputs and outputs are in the order of ``model``'s; FINN has them in that of the nodes.
    """
    check_all_hardware(model)
    result = step_create_dataflow_partition(model, cfg)
    for given, found in (
        (model.graph.input, result.graph.input),
        (model.graph.output, result.graph.output),
    ):
        by_name = {tensor.name: copy.deepcopy(tensor) for tensor in found}
        del found[:]
        found.extend(by_name[tensor.name] for tensor in given)
    return result


@register_build_dataflow_step()
def step_dhq_specialize_layers(model: ModelWrapper, cfg: DataflowBuildConfig) -> ModelWrapper:
    """FINN's step behind the choice of the MVAUs' kernel and of our variants of FINN's layers.

    These are ElementwiseAdd and ElementwiseMul for integers. UnsupportedNodeError for a node that
    is left to HLS.
    """
    for node in model.graph.node:
        variant = INTEGER_VARIANTS.get(node.op_type) if node.domain == DOMAIN else None
        if variant is not None and getCustomOp(node).get_nodeattr("preferred_impl_style") != "hls":
            node.op_type, node.domain = variant.__name__, RTL_DOMAIN
    kernel = getattr(cfg, "mvau", MATRIX_VECTOR)
    if kernel != FINN:
        model = model.transform(SpecializeMatrixVectors(kernel))
    model = step_specialize_layers(model, cfg).transform(GiveUniqueNodeNames())
    check_all_rtl(model, cfg._resolve_fpga_part())
    return model


@register_build_dataflow_step()
def step_dhq_target_fps_parallelization(
    model: ModelWrapper, cfg: DataflowBuildConfig
) -> ModelWrapper:
    """FINN's step with the layers of this package folded first.

    Where FINN relaxes the target because an MVAU cannot meet it, they are folded again for what was
    achieved. The limit on the MVAU's weight stream is raised to what the target needs.
    """
    target = cfg._resolve_cycles_per_frame()
    if target is None:
        return step_target_fps_parallelization(model, cfg)
    cfg = dataclasses.replace(cfg, mvau_wwidth_max=_weight_stream_width(model, cfg, target))
    model = model.transform(SetLayerFolding(target))
    model = step_target_fps_parallelization(model, cfg)
    achieved = max(target, slowest_cycles(model))
    model = model.transform(SetLayerFolding(achieved))
    model = model.transform(FoldMatrixVectors(achieved, cfg._resolve_fpga_part()))
    check_folding(model)
    return model


@register_build_dataflow_step()
def step_dhq_apply_folding_config(model: ModelWrapper, cfg: DataflowBuildConfig) -> ModelWrapper:
    """FINN's step; FlowError for a folding that does not divide its layer, or unrolls none."""
    model = step_apply_folding_config(model, cfg)
    check_folding(model)
    model = model.transform(MatchStreams(slowest_cycles(model), cfg._resolve_fpga_part()))
    if getattr(cfg, "mvau", MATRIX_VECTOR) == ADDERS:
        check_unrolled(model)
    return model


DHQ_BUILD_STEPS = [
    step_dhq_integer_form,
    step_tidy_up,
    step_dhq_convert_to_hw,
    step_dhq_minimize_bit_width_initial,
    step_dhq_create_dataflow_partition,
    step_dhq_specialize_layers,
    step_dhq_target_fps_parallelization,
    step_dhq_apply_folding_config,
    step_dhq_minimize_bit_width,
    step_generate_estimate_reports,
]


def _inferred(model: ModelWrapper) -> ModelWrapper:
    """``model`` with its shapes and datatypes inferred, which may change it in place."""
    infer_shapes(model)
    infer_datatypes(model)
    return model


def keep_weights_signed(model: ModelWrapper) -> None:
    """Gives MVAU weights that FINN narrowed to an unsigned or bipolar type a sign bit, in place."""
    for node in model.graph.node:
        if layer_kind(node) == "MVAU":
            op = getCustomOp(node)
            weights = model.get_initializer(node.input[1])
            if weights is None or op.get_input_datatype(1).name.startswith("INT"):
                continue
            bits = max(2, smallest_signed_datatype(weights.astype(np.int64)).bitwidth())
            op.set_nodeattr("weightDataType", f"INT{bits}")
            model.set_tensor_datatype(node.input[1], DataType[f"INT{bits}"])


def slowest_cycles(model: ModelWrapper) -> int:
    """Estimated cycles per inference of the slowest layer."""
    model = model.transform(AnnotateCycles())
    return int(model.analysis(dataflow_performance)["max_cycles"])


def _weight_stream_width(model: ModelWrapper, cfg: DataflowBuildConfig, target: int) -> int:
    """Bits per PE that SetFolding must allow so that PE = MH reaches the target."""
    width = cfg.mvau_wwidth_max
    for node in model.graph.node:
        if node.op_type.startswith("MVAU"):
            op = getCustomOp(node)
            inputs = op.get_nodeattr("MW") * math.prod(op.get_nodeattr("numInputVectors"))
            needed = math.ceil(inputs / target)
            simd = next((d for d in divisors(op.get_nodeattr("MW")) if d >= needed), 1)
            width = max(width, simd * op.get_input_datatype(1).bitwidth())
    return width
