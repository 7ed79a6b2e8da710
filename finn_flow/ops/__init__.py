# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Hardware layers, registered in FINN's domain ``finn.custom_op.fpgadataflow`` on import.

``finn.custom_op.fpgadataflow.{hls,rtl}.custom_op`` is where FINN's SpecializeLayers looks for
variants: a ``HadamardTransform_rtl`` registered there is picked up by FINN's own pass.
"""

from finn.custom_op.fpgadataflow import custom_op
from finn.custom_op.fpgadataflow.rtl import custom_op as rtl_variants
from onnx import NodeProto
from qonnx.custom_op.registry import add_op_to_domain

from dhq_brevitas.finn_flow.ops.channelwise import ChannelwiseOp
from dhq_brevitas.finn_flow.ops.hadamard_transform import HadamardTransform
from dhq_brevitas.finn_flow.ops.hadamard_transform_rtl import HadamardTransform_rtl
from dhq_brevitas.finn_flow.ops.joints import (
    DuplicateStreams,
    ElementwiseAdd,
    ElementwiseMul,
    StreamingConcat,
)
from dhq_brevitas.finn_flow.ops.joints_rtl import (
    DuplicateStreams_rtl,
    StreamAdd_rtl,
    StreamingConcat_rtl,
    StreamMultiply_rtl,
)
from dhq_brevitas.finn_flow.ops.lookup_activation import LookupActivation
from dhq_brevitas.finn_flow.ops.lookup_activation_rtl import LookupActivation_rtl
from dhq_brevitas.finn_flow.ops.mvau_rtl import MVAU_rtl
from dhq_brevitas.finn_flow.ops.thresholding_rtl import Thresholding_rtl

DOMAIN = "finn.custom_op.fpgadataflow"
RTL_DOMAIN = f"{DOMAIN}.rtl"
LAYERS: tuple[type[ChannelwiseOp], ...] = (HadamardTransform, LookupActivation)

RTL_VARIANTS: tuple[type[ChannelwiseOp], ...] = (HadamardTransform_rtl, LookupActivation_rtl)
#: Layers with several streams, in place of FINN's own, and their variants.
JOINTS = (DuplicateStreams, ElementwiseAdd, ElementwiseMul, StreamingConcat)
JOINT_VARIANTS = (DuplicateStreams_rtl, StreamAdd_rtl, StreamMultiply_rtl, StreamingConcat_rtl)
#: Variants that FINN's pass does not choose.
INTEGER_VARIANTS = {"ElementwiseAdd": StreamAdd_rtl, "ElementwiseMul": StreamMultiply_rtl}


def is_hardware(node: NodeProto) -> bool:
    """Whether ``node`` is a hardware layer, FINN's or of this package, of any variant."""
    return node.domain.startswith(DOMAIN)


def layer_kind(node: NodeProto) -> str:
    """Operator of a node without the suffix of its variant: MVAU for MVAU_rtl."""
    return node.op_type.removesuffix("_rtl").removesuffix("_hls")


for _layer in LAYERS:
    custom_op[_layer.__name__] = _layer
for _layer in RTL_VARIANTS:
    rtl_variants[_layer.__name__] = _layer
for _joint in JOINTS:
    custom_op[_joint.__name__] = _joint
    add_op_to_domain(DOMAIN, _joint)
for _variant in JOINT_VARIANTS:
    rtl_variants[_variant.__name__] = _variant
    add_op_to_domain(RTL_DOMAIN, _variant)
# In place of FINN's own.
for _variant in (MVAU_rtl, Thresholding_rtl):
    rtl_variants[_variant.__name__] = _variant
    add_op_to_domain(RTL_DOMAIN, _variant)

__all__ = [
    "DOMAIN",
    "INTEGER_VARIANTS",
    "JOINTS",
    "JOINT_VARIANTS",
    "LAYERS",
    "RTL_DOMAIN",
    "RTL_VARIANTS",
    "ChannelwiseOp",
    "HadamardTransform",
    "HadamardTransform_rtl",
    "LookupActivation",
    "LookupActivation_rtl",
    "is_hardware",
    "layer_kind",
]
