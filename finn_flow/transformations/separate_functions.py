# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""A quantizer that several functions read gets a copy for each of them.

    x -> [Mul] [Add] -> Quant -> Sin -> Quant        becomes        x -> … -> Quant -> Sin -> Quant
                             `-> Cos -> Quant                       `-> … -> Quant -> Cos -> Quant

A copy makes the same codes, so nothing changes; and each can become one table with its function
(:class:`~dhq_brevitas.finn_flow.transformations.InferLookupActivation`). Readers that need no
table, as a matrix product or another quantizer, keep the quantizer there is.
"""

import copy

from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from dhq_brevitas.export.exact_sums import AFFINE_OPS, MONOTONE_OPS
from dhq_brevitas.export.graph import QUANT_OPS
from dhq_brevitas.finn_flow.elementwise import (
    NotConvertible,
    chain_before,
    reachable_part,
)
from dhq_brevitas.finn_flow.ranges import integer_ranges

#: What thresholds compute without a table.
UNTABLED = (*AFFINE_OPS, *MONOTONE_OPS)


class SeparateFunctions(Transformation):
    """See the module docstring."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        sources = set(integer_ranges(model))
        changed = False
        for quant in [node for node in model.graph.node if node.op_type in QUANT_OPS]:
            output = quant.output[0]
            if model.get_initializer(quant.input[0]) is not None:
                continue
            # One of several functions at a time: the last one then has the quantizer for itself.
            functions = _functions(model, output)
            shared = [f for f in functions if not _alone(model, output, f)]
            if not shared:
                continue
            function = shared[0]
            try:
                chain = chain_before(model, quant, sources - {output})
            except NotConvertible:
                continue
            _copy(model, [*chain.nodes, quant, *function[:-1]], function[-1])
            _remove_unread(model, [*chain.nodes, quant, *function[:-1]])
            changed = True
        return model, changed


def _functions(model: ModelWrapper, source: str) -> list[list[NodeProto]]:
    """The nodes, in order, of each function that needs a table, reads ``source`` and ends with a
    Quant."""
    candidates = reachable_part(model, source)
    found: list[list[NodeProto]] = []
    for last in (node for node in candidates if node.op_type in QUANT_OPS):
        needed, wanted = [last], set(last.input)
        for node in reversed(candidates[: candidates.index(last)]):
            if wanted.intersection(node.output):
                needed.append(node)
                wanted.update(node.input)
        kinds = {node.op_type for node in needed[1:]}
        if not kinds.intersection(QUANT_OPS) and not kinds.issubset(UNTABLED):
            found.append(needed[::-1])
    return found


def _alone(model: ModelWrapper, source: str, function: list[NodeProto]) -> bool:
    """Whether nothing but ``function`` reads ``source`` or what the function computes inside."""
    inner = [source, *(name for node in function[:-1] for name in node.output)]
    outputs = {output.name for output in model.graph.output}
    readers = [reader for name in inner for reader in model.find_consumers(name)]
    return outputs.isdisjoint(inner) and all(reader in function for reader in readers)


def _copy(model: ModelWrapper, nodes: list[NodeProto], last: NodeProto) -> None:
    """Lets ``last`` read from copies of ``nodes``."""
    renamed: dict[str, str] = {}
    index = model.get_node_index(last)
    for offset, node in enumerate(nodes):
        twin = copy.deepcopy(node)
        twin.name = f"{node.name}_{last.name}"
        for i, name in enumerate(node.input):
            twin.input[i] = renamed.get(name, name)
        for i, name in enumerate(node.output):
            renamed[name] = twin.output[i] = f"{name}_{last.output[0]}"
            model.set_tensor_shape(renamed[name], model.get_tensor_shape(name))
            model.set_tensor_datatype(renamed[name], model.get_tensor_datatype(name))
        model.graph.node.insert(index + offset, twin)
    for i, name in enumerate(last.input):
        last.input[i] = renamed.get(name, name)


def _remove_unread(model: ModelWrapper, nodes: list[NodeProto]) -> None:
    outputs = {output.name for output in model.graph.output}
    for node in reversed(nodes):
        if not any(name in outputs or model.find_consumers(name) for name in node.output):
            model.graph.node.remove(node)
