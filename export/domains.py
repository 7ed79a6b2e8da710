# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The door for graphs: what a model file says is data, and nothing of it is run as a program.

QONNX finds an operator by importing the module that a node's domain names, FINN's layers start the
program that an attribute names, and partitions execute another file. So a graph is checked before
any node of it is looked up: :func:`check_nodes` refuses domains that nobody registered, operators
that do not exist and operators that execute other files; :func:`remove_execution` takes out the
attributes that say how a node is executed.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, TensorProto, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op import registry

from dhq_brevitas.export.graph import describe
from dhq_brevitas.export.hadamard_op import DOMAIN

__all__ = ["check_executable", "check_nodes", "remove_execution"]

HARDWARE = "finn.custom_op.fpgadataflow"
VARIANTS = (f"{HARDWARE}.hls", f"{HARDWARE}.rtl")
#: Domains, which are names of modules, that come with the packages this one builds on.
KNOWN = {
    DOMAIN,
    "qonnx.custom_op.general",
    "qonnx.custom_op.channels_last",
    "finn.custom_op.general",
    HARDWARE,
    *VARIANTS,
}
#: Operators that execute the model file which an attribute names.
FILE_OPS = ("GenericPartition", "StreamingDataflowPartition")
#: Operators with bounds, which may be infinite.
RANGE_OPS = ("Clip", "Max", "Min")
FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)
#: Attributes of FINN's layers: how they are executed, and where generated code lies.
EXECUTION = (
    "code_gen_dir_cppsim",
    "code_gen_dir_ipgen",
    "exec_mode",
    "executable_path",
    "ip_path",
    "ipgen_path",
    "rtlsim_so",
    "rtlsim_trace",
)


def check_nodes(model: ModelWrapper) -> None:
    """ValueError for a node, at any depth, whose operator is not one to be looked up, and for a
    constant that is not finite.

    Domains are those of ONNX, QONNX, FINN and this package, and what the running program itself
    registered with QONNX. Nothing is imported for any other.
    """
    for node in all_nodes(model):
        where = describe(node)
        if not node.domain:
            known = onnx.defs.has(node.op_type)
        elif node.domain not in _registered():
            raise ValueError(
                f"{where} has the domain {node.domain!r}, which is not registered: operators are "
                "code, which a model file cannot bring along; register it with "
                "qonnx.custom_op.registry.add_domain_alias if you trust it"
            )
        else:
            known = registry.is_custom_op(node.domain, node.op_type)
        if not known:
            raise ValueError(f"{where} is no operator of the domain {node.domain!r}; remove it")
        if node.op_type in FILE_OPS:
            raise ValueError(
                f"{where} executes the model in another file; put that graph in its place"
            )
    _check_constants(model)


def _check_constants(model: ModelWrapper) -> None:
    """ValueError for a constant that holds NaN or infinity, but as the bound of a range."""
    bounds = {name for node in all_nodes(model) if node.op_type in RANGE_OPS for name in node.input}
    for constant in model.graph.initializer:
        if constant.data_type not in FLOATS or constant.name in bounds:
            continue
        if not np.isfinite(numpy_helper.to_array(constant)).all():
            readers = [n.name or n.op_type for n in model.graph.node if constant.name in n.input]
            raise ValueError(
                f"{constant.name}, which node {', '.join(readers) or '(none)'} reads, holds NaN or "
                "infinity; export the network again with finite parameters"
            )


def check_executable(model: ModelWrapper) -> None:
    """ValueError for a node that is specialized to HLS or RTL.

    Those run in FINN's own simulations, or in Python by
    :func:`dhq_brevitas.finn_flow.execute_dataflow`.
    """
    for node in all_nodes(model):
        if node.domain in VARIANTS:
            raise ValueError(
                f"{describe(node)} is specialized hardware "
                "among other nodes; execute the graph as it was before step_specialize_layers"
            )


def remove_execution(model: ModelWrapper) -> None:
    """Removes, in place, the attributes that say how nodes are executed."""
    for node in all_nodes(model):
        for index in reversed(range(len(node.attribute))):
            if node.attribute[index].name in EXECUTION:
                del node.attribute[index]


def all_nodes(model: ModelWrapper) -> Iterator[NodeProto]:
    """The nodes of a model, of the graphs in their attributes, and of its functions."""
    yield from _nodes(model.graph.node)
    for function in model.model.functions:
        yield from _nodes(function.node)


def _nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            graphs: list[GraphProto] = [*attribute.graphs]
            if attribute.HasField("g"):
                graphs.append(attribute.g)
            for graph in graphs:
                yield from _nodes(graph.node)


def _registered() -> set[str]:
    return KNOWN | registry._DOMAIN_ALIASES.keys() | registry._OP_REGISTRY.keys()
