# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""FINN's way to a bitstream up to where Vivado would start, for which a script stands that ends."""

import multiprocessing
import os
import re
from pathlib import Path

import finn.transformation.fpgadataflow.make_zynq_proj as make_zynq_proj
import numpy as np
import pytest
from finn.builder.build_dataflow_config import DataflowOutputType
from qonnx.core.modelwrapper import ModelWrapper

from dhq_brevitas.finn_flow import (
    DHQ_BITFILE_STEPS,
    DHQ_BUILD_STEPS,
    DhqBuildConfig,
    HostAffine,
    bitfile,
)
from dhq_brevitas.finn_flow.host import Host, HostOutput, HostStep
from layer_graphs import hadamard, mvau

PART = "xc7z020clg400-1"


@pytest.fixture
def vivado(tmp_path, monkeypatch) -> Path:
    """A vivado that leaves an empty wrapper, and writes its folder into the file that this is."""
    tools = tmp_path / "tools"
    tools.mkdir()
    script = tools / "vivado"
    hdl = "finn_vivado_stitch_proj.srcs/sources_1/bd/StreamingDataflowPartition_0/hdl"
    script.write_text(
        f'#!/bin/sh\necho "$PWD" >> {tmp_path}/calls\nmkdir -p {hdl}\n'
        f"touch {hdl}/StreamingDataflowPartition_0_wrapper.v\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("FINN_TOOL_DIR_OVERRIDE", str(tools))
    (tmp_path / "build").mkdir()
    monkeypatch.setenv("FINN_BUILD_DIR", str(tmp_path / "build"))
    return tmp_path / "calls"


def partition(model: ModelWrapper, folder: Path) -> tuple:
    """Arguments of the worker for a partition that is ``model``."""
    path = folder / "partition.onnx"
    model.save(str(path))
    return ("StreamingDataflowPartition_0", str(path), PART, 5.0, True)


def test_spawned_workers_know_the_layers(tmp_path, vivado):
    arguments = partition(hadamard(), tmp_path)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        # Negative control: FINN's function, which is imported without this package.
        with pytest.raises(Exception, match="HadamardTransform_rtl"):
            pool.map(bitfile._build_kernel, [arguments])
        pool.map(bitfile.build_kernel, [arguments])
    (folder,) = set(vivado.read_text().split())
    model = ModelWrapper(arguments[1])
    assert model.get_metadata_prop("vivado_stitch_proj") == folder
    tcl = (Path(folder) / "make_project.tcl").read_text()
    library = os.environ["FINN_RTLLIB"]
    files = re.findall(r"add_files .*?(/\S+\.s?v)\b", tcl.replace("$::env(FINN_RTLLIB)", library))
    assert any(path.startswith(library) for path in files)
    assert any(path.endswith("hadamard_word_stage.sv") for path in files)
    assert all(Path(path).is_file() for path in files)


def test_the_step_gives_finn_our_worker(monkeypatch):
    seen = []
    monkeypatch.setattr(
        bitfile,
        "step_synthesize_bitfile",
        lambda model, cfg: seen.append(make_zynq_proj._build_sdp_kernel) or model,
    )
    assert bitfile.step_dhq_synthesize_bitfile("model", None) == "model"
    assert seen == [bitfile.build_kernel]
    assert make_zynq_proj._build_sdp_kernel is bitfile._build_kernel


def test_library_of_finn_is_named_for_its_tcl():
    assert (Path(os.environ["FINN_RTLLIB"]) / "mvu" / "mvu_vvu_axi.sv").is_file()


def test_stitched_ip_takes_the_corrected_file(tmp_path, vivado):
    arguments = partition(mvau(), tmp_path)
    bitfile.build_kernel(arguments)
    tcl = (Path(vivado.read_text().split()[0]) / "make_project.tcl").read_text()
    (path,) = set(re.findall(r"(/\S+/mvu_vvu_axi\.sv)\b", tcl))
    assert "MAX_IN_FLIGHT = CORE_PIPELINE_DEPTH + 2;" in Path(path).read_text()


def test_driver_comes_with_scale_and_bias(tmp_path):
    model = hadamard()
    steps = (HostStep("Mul", np.float32([0.5, 1.5])), HostStep("Add", np.array(3, np.float32)))
    HostAffine(outputs=(HostOutput(steps),)).save_to(model)
    cfg = DhqBuildConfig(
        output_dir=str(tmp_path),
        synth_clk_period_ns=5.0,
        fpga_part=PART,
        generate_outputs=[DataflowOutputType.ESTIMATE_REPORTS],
    )
    bitfile.step_dhq_make_driver(model, cfg)
    folder = cfg.get_driver_directory()
    assert (folder / "host.py").is_file()
    again = Host.from_json((folder / "host_affine.json").read_text())
    assert again.decode(np.array([[2, 4], [-2, 6]])).tolist() == [[4.0, 9.0], [2.0, 12.0]]


def test_steps():
    assert DHQ_BITFILE_STEPS[: len(DHQ_BUILD_STEPS)] == DHQ_BUILD_STEPS
    names = [step.__name__ for step in DHQ_BITFILE_STEPS[len(DHQ_BUILD_STEPS) :]]
    assert names.index("step_create_stitched_ip") < names.index("step_dhq_synthesize_bitfile")
