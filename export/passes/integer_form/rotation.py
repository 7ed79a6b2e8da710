# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""HadamardTransform: integers become integers, the normalization goes to their scale."""

import math
from dataclasses import replace

import numpy as np
from onnx import NodeProto

from dhq_brevitas.export.graph import attribute, describe
from dhq_brevitas.export.hadamard_op import DOMAIN, OP_TYPE, output_range
from dhq_brevitas.export.passes.integer_form.values import (
    Constant,
    Rotated,
    Scaled,
    Value,
    check_sum,
    integer,
)
from dhq_brevitas.export.passes.integer_form.writer import GraphWriter


def convert_hadamard(
    writer: GraphWriter, node: NodeProto, x: Value, signs: Value | None = None
) -> Value | None:
    """A weight: noted. A tensor of one scale without offset: :func:`transformed`."""
    order, normalize = attribute(node, "order", 0), attribute(node, "normalize", 0)
    if isinstance(x, Constant) and x.codes is not None and signs is None:
        # A weight: the transform moves behind the MatMul that uses it.
        return replace(x, transform=(order, normalize), transform_axis=x.codes.ndim - 1)
    if not isinstance(x, Scaled):
        return None
    if x.scale.size > 1 or np.any(x.offset):
        raise ValueError(
            f"{describe(node)}: the input of a HadamardTransform must have one scale and no "
            "offset, since the transform mixes channels; use a per-tensor quantizer before it"
        )
    if signs is not None and not isinstance(signs, Constant):
        raise ValueError(f"{describe(node)}: the signs must be a constant")
    return transformed(
        writer, node, x, order, normalize, None if signs is None else signs.values, node.output[0]
    )


def transformed(
    writer: GraphWriter,
    node: NodeProto,
    x: Scaled,
    order: int,
    normalize: int,
    signs: np.ndarray | None = None,
    name: str | None = None,
) -> Scaled:
    """The unnormalized transform of q; 1/√order, if asked for, goes to the scale."""
    if x.scale.size > 1:
        raise ValueError(
            f"{describe(node)}: an output-side rotation needs one weight scale for all outputs; "
            "use a per-tensor weight quantizer"
        )
    check_sum(describe(node), x.magnitude * order)
    extra = [] if signs is None else [writer.parameter(signs.astype(np.float32))]
    name = writer.emit(
        OP_TYPE,
        [x.name, *extra],
        name or f"{x.name}_transformed",
        domain=DOMAIN,
        order=order,
        normalize=0,
    )
    low, high = output_range(x.low, x.high, order, signs)
    factor = 1 / math.sqrt(order) if normalize else 1.0
    rotation = Rotated(x.low, x.high, order, signs)
    return replace(integer(name, low, high), scale=x.scale * factor, rotation=rotation)
