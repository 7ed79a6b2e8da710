# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``simulate_nodes``: every layer simulated by itself, through FINN's own node execution."""

import numpy as np
from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim
from finn.transformation.fpgadataflow.set_exec_mode import SetExecMode
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from tqdm import tqdm

from dhq_brevitas.finn_flow.build import DEFAULT_FPGA_PART
from dhq_brevitas.finn_flow.checks import describe
from dhq_brevitas.finn_flow.errors import FlowError
from dhq_brevitas.finn_flow.execute import with_batch_size
from dhq_brevitas.finn_flow.rtlsim import SimulationError, enable_verilator
from dhq_brevitas.finn_flow.stitching.prepare import check_simulable, generate_nodes


def simulate_nodes(
    model: ModelWrapper,
    codes: np.ndarray,
    *,
    fpga_part: str = DEFAULT_FPGA_PART,
    clk_period_ns: float = 5.0,
    progress: bool = True,
) -> tuple[np.ndarray, dict[str, int]]:
    """Integer outputs with the RTL of one layer simulated after the other, and their cycles.

    Args:
        model: a graph of RTL layers; left as it is.
        codes: integer inputs [samples, …], of the datatype of the graph input, simulated at once.
        fpga_part: as in the build.
        clk_period_ns: as in the build.
        progress: show a progress bar.

    Returns (int64 [samples, …], clock cycles of all samples by node name). UnsupportedNodeError
    or SimulationError name the node that cannot be simulated, and why.
    """
    check_simulable(model)
    enable_verilator()
    codes = np.asarray(codes)
    batched = with_batch_size(model, len(codes))
    batched = generate_nodes(batched, fpga_part, clk_period_ns)
    batched = batched.transform(SetExecMode("rtlsim"))
    try:
        batched = batched.transform(PrepareRTLSim(num_workers=1))
    except SimulationError as error:
        raise SimulationError(f"a layer cannot be simulated: {error}") from error
    context = {i.name: batched.get_initializer(i.name) for i in batched.graph.initializer}
    context[batched.graph.input[0].name] = codes.astype(np.float32)
    cycles = {}
    for node in tqdm(batched.graph.node, desc="RTL, nodes", disable=not progress, leave=False):
        op = getCustomOp(node)
        context.setdefault(
            node.output[0], np.zeros(batched.get_tensor_shape(node.output[0]), np.float32)
        )
        try:
            op.execute_node(context, batched.graph)
        except SimulationError as error:
            raise SimulationError(f"{describe(node)}: {error}") from error
        except Exception as error:
            raise FlowError(f"{describe(node)} failed in simulation: {error}") from error
        cycles[node.name] = int(op.get_nodeattr("cycles_rtlsim"))
    return context[batched.graph.output[0].name].astype(np.int64), cycles
