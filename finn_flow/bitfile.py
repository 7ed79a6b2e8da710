# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""FINN's own way to a bitstream, which needs Vivado, and Vitis HLS for FINN's DMA.

``DHQ_BITFILE_STEPS`` are the steps of a build with ``finn build`` or ``build_dataflow_cfg``:

================================  ==================================================================
DHQ_BUILD_STEPS                   to the folded graph
step_generate_hardware            FINN's: Verilog of every layer, FIFOs sized in Vivado's simulator
step_create_stitched_ip           FINN's
step_dhq_synthesize_bitfile       FINN's; its worker processes know the layers of this package
step_dhq_make_driver              FINN's; with scale and bias in ``host.py`` beside it
step_deployment_package           FINN's
================================  ==================================================================
"""

import shutil
from pathlib import Path
from typing import Any

import finn.transformation.fpgadataflow.make_zynq_proj as make_zynq_proj
from finn.builder.build_dataflow_config import DataflowBuildConfig
from finn.builder.build_dataflow_steps import (
    register_build_dataflow_step,
    step_create_stitched_ip,
    step_deployment_package,
    step_generate_hardware,
    step_make_driver,
    step_synthesize_bitfile,
)
from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.finn_flow import host
from dhq_brevitas.finn_flow.host_affine import HostAffine
from dhq_brevitas.finn_flow.steps import DHQ_BUILD_STEPS
from dhq_brevitas.util.files import write_text

HOST_AFFINE_FILE = "host_affine.json"
_build_kernel = make_zynq_proj._build_sdp_kernel


def build_kernel(arguments: Any) -> None:
    """FINN's worker for one partition, found in this module.

    A spawned process imports the module of what it is to call, so this one registers the layers of
    this package there.
    """
    _build_kernel(arguments)


@register_build_dataflow_step()
def step_dhq_synthesize_bitfile(model: ModelWrapper, cfg: DataflowBuildConfig) -> ModelWrapper:
    """FINN's step with :func:`build_kernel` in its worker processes."""
    make_zynq_proj._build_sdp_kernel = build_kernel
    try:
        return step_synthesize_bitfile(model, cfg)
    finally:
        make_zynq_proj._build_sdp_kernel = _build_kernel


@register_build_dataflow_step()
def step_dhq_make_driver(model: ModelWrapper, cfg: DataflowBuildConfig) -> ModelWrapper:
    """FINN's step; its driver takes and gives integers only, so ``host.py`` goes beside it.

    ``Host.from_json(Path("host_affine.json").read_text())`` encodes and decodes, with NumPy alone.
    """
    affine = HostAffine.from_model(model) or HostAffine()
    model = step_make_driver(model, cfg)
    folder = cfg.get_driver_directory()
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(host.__file__, folder / Path(host.__file__).name)
    write_text(folder / HOST_AFFINE_FILE, affine.to_json())
    return model


DHQ_BITFILE_STEPS = [
    *DHQ_BUILD_STEPS,
    step_generate_hardware,
    step_create_stitched_ip,
    step_dhq_synthesize_bitfile,
    step_dhq_make_driver,
    step_deployment_package,
]
