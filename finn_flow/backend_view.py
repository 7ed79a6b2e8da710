# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""How FINN's passes meet layers of this package that have no HLS or RTL variant registered yet.

FINN decides by the domain of a node. Two functions run a step with the domain of such layers
changed and restore it in the model that comes out; a layer with a registered variant is never
touched, so with all variants registered FINN's passes see the graph as it is.

* :func:`hidden_from_specialization`: SpecializeLayers raises for a layer of its domain without a
  variant. Under the import path of :mod:`dhq_brevitas.finn_flow.ops` it passes over them, while
  shape and datatype inference find them there.
* :func:`seen_as_rtl`: SetFolding, AnnotateCycles and the analyses behind the estimate reports
  consider nodes of the hls and rtl domains only. In the rtl domain they ask these layers for
  cycles and resources like any other.
"""

from collections.abc import Callable

from finn.custom_op.fpgadataflow.hls import custom_op as hls_variants
from finn.custom_op.fpgadataflow.rtl import custom_op as rtl_variants
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import add_op_to_domain

from dhq_brevitas.finn_flow.ops import DOMAIN, LAYERS
from dhq_brevitas.finn_flow.ops import __name__ as _OPS_DOMAIN

RTL_DOMAIN = f"{DOMAIN}.rtl"
_NAMES = {layer.__name__ for layer in LAYERS}

for _layer in LAYERS:
    add_op_to_domain(RTL_DOMAIN, _layer)

ModelStep = Callable[[ModelWrapper], ModelWrapper]


def lacks_variant(node: NodeProto) -> bool:
    """Whether ``node`` is a layer of this package without a registered HLS or RTL variant."""
    return (
        node.op_type in _NAMES
        and node.domain == DOMAIN
        and f"{node.op_type}_hls" not in hls_variants
        and f"{node.op_type}_rtl" not in rtl_variants
    )


def hidden_from_specialization(model: ModelWrapper, step: ModelStep) -> ModelWrapper:
    """Result of ``step`` on ``model`` with the layers without variant out of FINN's domain."""
    return _in_domain(model, step, _OPS_DOMAIN)


def seen_as_rtl(model: ModelWrapper, step: ModelStep) -> ModelWrapper:
    """Result of ``step`` on ``model`` with the layers without variant in FINN's rtl domain."""
    return _in_domain(model, step, RTL_DOMAIN)


def _in_domain(model: ModelWrapper, step: ModelStep, domain: str) -> ModelWrapper:
    model = ModelWrapper(model.model, make_deepcopy=True)
    for node in model.graph.node:
        if lacks_variant(node):
            node.domain = domain
    model = step(model)
    for node in model.graph.node:
        if node.op_type in _NAMES and node.domain == domain:
            node.domain = DOMAIN
    return model
