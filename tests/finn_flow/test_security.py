# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Model files are data: no program, library, module or other file that they name is run.

And what lies in a folder is overwritten only if it is ours.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op import registry

from dhq_brevitas.export import run_qonnx, to_integer_form
from dhq_brevitas.export.domains import all_nodes, check_nodes
from dhq_brevitas.finn_flow import FlowError, build_dataflow, execute_dataflow
from dhq_brevitas.finn_flow.stitching import stitch
from dhq_brevitas.run.folder import Folder
from dhq_brevitas.run.stages.build import DATAFLOW, load_dataflow
from graphs import codes, hadamard_model
from layer_graphs import hadamard, mvau


@pytest.fixture
def witness(tmp_path) -> Path:
    """Does not exist, unless something that a model names was run."""
    return tmp_path / "witness"


@pytest.fixture
def program(tmp_path, witness) -> Path:
    """A program that leaves the witness."""
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\ntouch {witness}\n")
    path.chmod(0o755)
    return path


def with_program(program: Path, variant: str) -> ModelWrapper:
    """A graph of one MVAU that says to start ``program``."""
    model = mvau()
    (node,) = model.graph.node
    node.op_type, node.domain = f"MVAU_{variant}", f"finn.custom_op.fpgadataflow.{variant}"
    folder = str(program.parent)
    for name, value in {
        "exec_mode": "cppsim",
        "executable_path": str(program),
        "code_gen_dir_cppsim": folder,
        "code_gen_dir_ipgen": folder,
        "rtlsim_so": str(program),
    }.items():
        node.attribute.append(helper.make_attribute(name, value))
    return model


def test_executing_a_dataflow_graph_starts_no_program(program, witness):
    x = codes("INT8", 2, 16).astype(np.float32)
    with pytest.raises(FlowError, match="has no Python execution"):
        execute_dataflow(with_program(program, "hls"), x, progress=False)
    with pytest.raises(ValueError, match="is specialized hardware"):
        run_qonnx(with_program(program, "hls"), x)
    assert not witness.exists()


def test_verifying_a_build_starts_no_program(tmp_path, program, witness):
    model = with_program(program, "hls")
    x = codes("INT8", 2, 16).astype(np.float32)
    with pytest.raises(FlowError, match="is specialized hardware"):
        build_dataflow(model, tmp_path / "build", verify_inputs=x, progress=False)
    assert not witness.exists()


def test_attributes_of_execution_do_not_count(program):
    """A layer set to another simulation, and its files, is executed in Python all the same."""
    x = codes("INT8", 4, 16)
    model = with_program(program, "rtl")
    (node,) = model.graph.node
    next(a for a in node.attribute if a.name == "exec_mode").s = b"rtlsim"
    outputs = execute_dataflow(model, x, progress=False)
    np.testing.assert_array_equal(outputs, execute_dataflow(mvau(), x, progress=False))
    assert any(
        a.name == "executable_path" for a in node.attribute
    )  # the caller's graph is as it was


def test_a_run_folder_does_not_say_where_waveforms_go(tmp_path, program):
    """Or what else simulation would write or load."""
    folder = Folder(tmp_path)
    folder.file(DATAFLOW).parent.mkdir()
    model = with_program(program, "rtl")
    model.graph.node[0].attribute.append(helper.make_attribute("rtlsim_trace", str(program)))
    model.save(str(folder.file(DATAFLOW)))
    kept = {attribute.name for attribute in load_dataflow(folder).graph.node[0].attribute}
    assert kept == {attribute.name for attribute in mvau().graph.node[0].attribute}


@pytest.fixture
def module(tmp_path, monkeypatch, witness) -> str:
    """Name of a module in the working directory that leaves the witness when it is imported."""
    (tmp_path / "innocent_ops.py").write_text(f"open({str(witness)!r}, 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    yield "innocent_ops"
    sys.modules.pop("innocent_ops", None)


def with_domain(domain: str) -> ModelWrapper:
    """x -> a node of that domain -> y."""
    model = hadamard_model(4, (2, 8))
    model.graph.node[0].domain = domain
    return model


def nested(domain: str) -> ModelWrapper:
    """A node of that domain within a branch of an If."""
    model = hadamard_model(4, (2, 8))
    (node,) = model.graph.node
    branch = helper.make_graph([helper.make_node("Foo", ["x"], ["z"], domain=domain)], "b", [], [])
    node.CopyFrom(helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch))
    return model


@pytest.mark.parametrize("make", [with_domain, nested])
@pytest.mark.parametrize(
    "use",
    [
        lambda model, folder: run_qonnx(model, np.zeros((2, 8), np.float32)),
        lambda model, folder: to_integer_form(model),
        lambda model, folder: build_dataflow(model, folder / "build", progress=False),
    ],
    ids=["run_qonnx", "to_integer_form", "build_dataflow"],
)
def test_a_domain_is_not_imported(tmp_path, module, witness, use, make):
    with pytest.raises(ValueError, match="the domain 'innocent_ops', which is not registered"):
        use(make(module), tmp_path)
    assert not witness.exists()
    assert module not in sys.modules


def test_execution_imports_no_domain_that_looks_like_hardware(tmp_path, module, witness):
    model = mvau()
    model.graph.node[0].domain = "finn.custom_op.fpgadataflow_of_mine"
    with pytest.raises(FlowError, match="has no Python execution"):
        execute_dataflow(model, codes("INT8", 2, 16), progress=False)


def test_a_domain_that_the_program_registered_is_looked_up(monkeypatch):
    monkeypatch.setitem(registry._DOMAIN_ALIASES, "mine", "dhq_brevitas.export.hadamard_op")
    x = np.arange(16, dtype=np.float32).reshape(2, 8)
    expected = run_qonnx(hadamard_model(4, (2, 8)), x)
    np.testing.assert_array_equal(run_qonnx(with_domain("mine"), x), expected)


@pytest.mark.parametrize("domain", ["qonnx.custom_op.general", "finn.custom_op.fpgadataflow"])
def test_partitions_in_other_files_are_refused(domain):
    kind = "GenericPartition" if domain.startswith("qonnx") else "StreamingDataflowPartition"
    model = hadamard_model(4, (2, 8))
    model.graph.node[0].CopyFrom(
        helper.make_node(kind, ["x"], ["y"], domain=domain, model="a.onnx")
    )
    with pytest.raises(ValueError, match="executes the model in another file"):
        run_qonnx(model, np.zeros((2, 8), np.float32))


@pytest.mark.parametrize("domain", ["", "qonnx.custom_op.general"])
def test_operators_that_do_not_exist(domain):
    model = hadamard_model(4, (2, 8))
    model.graph.node[0].CopyFrom(helper.make_node("Conjure", ["x"], ["y"], domain=domain))
    with pytest.raises(ValueError, match=r"op_type Conjure\) is no operator of the domain"):
        check_nodes(model)


def test_nodes_at_every_depth():
    assert [node.op_type for node in all_nodes(nested("d"))] == ["If", "Foo", "Foo"]


# -- folders ---------------------------------------------------------------------------------------


def test_a_design_replaces_no_files_of_others(tmp_path):
    """Not even those that a file list of theirs names."""
    names = {"filelist.f": "thesis.txt\n", "thesis.txt": "years of work", "data/a.dat": "1"}
    (tmp_path / "data").mkdir()
    for name, text in names.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(FlowError, match=r"folder=.* holds other files than a design's"):
        stitch(hadamard(), tmp_path, fifo_depths=[2, 2])
    assert {name: (tmp_path / name).read_text() for name in names} == names
    assert len(list(tmp_path.rglob("*"))) == 4


def test_a_build_replaces_no_files_of_others(tmp_path):
    (tmp_path / "build.json").write_text("mine")
    with pytest.raises(FlowError, match=r"output_dir=.* holds other files than a build's"):
        build_dataflow(mvau(), tmp_path, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["build.json"]
    with pytest.raises(FlowError, match="output_dir='': the output folder '' has no name"):
        build_dataflow(mvau(), "", progress=False)


@pytest.mark.parametrize("name", ["model", "folding_config"])
def test_inputs_of_a_build_are_not_its_outputs(tmp_path, name):
    inputs = {"model": mvau(), name: tmp_path / "dataflow.onnx"}
    mvau().save(str(tmp_path / "dataflow.onnx"))
    before = (tmp_path / "dataflow.onnx").read_bytes()
    with pytest.raises(FlowError, match=rf"{name}=.* is in output_dir=.*overwrite it"):
        build_dataflow(**inputs, output_dir=tmp_path, progress=False)
    assert (tmp_path / "dataflow.onnx").read_bytes() == before
