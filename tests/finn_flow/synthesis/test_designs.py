# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Parts, resources, sources, Yosys's errors, cache; one small design as a whole."""

import dataclasses
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import finn
import pytest

from dhq_brevitas.finn_flow import FlowError
from dhq_brevitas.finn_flow.rtlsim.sources import Sources, collect
from dhq_brevitas.finn_flow.stitching import stitch
from dhq_brevitas.finn_flow.stitching.folder import FINN_FILE_LIST
from dhq_brevitas.finn_flow.stitching.prepare import generate_nodes
from dhq_brevitas.finn_flow.synthesis import (
    Resources,
    SynthesisError,
    Yosys,
    part_family,
    synthesize_design,
)
from dhq_brevitas.finn_flow.synthesis.design import (
    node_sources,
    read_resources,
    stitched_sources,
)
from dhq_brevitas.finn_flow.synthesis.sources import patched
from dhq_brevitas.run.stages.synth import synthesis_rows
from layer_graphs import hadamard, mvau

QUEUE = "mvu_vvu_axi.sv"
COUNTER = """
module counter (input logic clk, output logic [3:0] value);
  initial value = 0;
  always_ff @(posedge clk) value <= value + 4'd3;
endmodule
"""


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DHQ_SYNTHESIS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("part", "family"),
    [
        ("xc7z020clg400-1", "xc7"),
        ("xc7a35t", "xc7"),
        ("xczu3eg-sbva484-1-e", "xcup"),
        ("xck26-sfvc784-2LV-c", "xcup"),
        ("XCVU9P-flga2104-2-i", "xcup"),
        ("xcu250-figd2104-2L-e", "xcup"),
        ("xcku040-ffva1156-2-e", "xcu"),
    ],
)
def test_part_family(part, family):
    assert part_family(part) == family


@pytest.mark.parametrize("part", ["xcvc1902-vsva2197-2MP-e-S", "5CEBA4F23C7", "xc", ""])
def test_other_parts_are_refused(part):
    with pytest.raises(FlowError, match=r"is no part that Yosys can map to: choose one of"):
        part_family(part)


def test_resources_of_cells():
    found = Resources.of_cells(
        {"LUT6": 10, "INV": 1, "LUT6_2": 2, "MUXF7": 3, "RAM64M8": 2, "SRL16E": 4, "FDRE": 7}
        | {"CARRY4": 3, "CARRY8": 1, "DSP48E2": 5, "RAMB18E2": 3, "RAMB36E2": 2, "URAM288": 1}
    )
    assert found == Resources(lut=33, lutram=20, ff=7, carry=5, dsp=5, bram18=7, bram36=2, uram=1)
    assert (found + found).lut == 66


@pytest.mark.parametrize("cell", ["LDCE", "$_DLATCH_P_", "$mem_v2"])
def test_cells_that_are_no_resource(cell):
    with pytest.raises(FlowError, match=r"the netlist has 2 cells of type .*no resource"):
        Resources.of_cells({"LUT2": 1, cell: 2})


def test_missing_yosys(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SynthesisError, match=r"pip install 'dhq-brevitas\[synth\]'"):
        Yosys()


def test_cache(empty_cache, monkeypatch):
    sources = Sources({"counter.sv": COUNTER})
    entry = Yosys().synthesize(sources, "counter", "xcup")
    assert sorted(p.name for p in entry.iterdir()) == ["cells.json", "netlist.v", "yosys.log"]
    monkeypatch.setattr(Yosys, "run", lambda *_: pytest.fail("synthesized again"))
    assert Yosys().synthesize(sources, "counter", "xcup") == entry


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (COUNTER.replace("4'd3", "missing"), r"counter\.sv, line 4: use of undeclared .*missing"),
        (COUNTER.replace("[3:0] value", "[3:0] other"), r"counter cannot be synthesized: counter"),
        ("module other; endmodule", r"counter cannot be synthesized: .*counter"),
    ],
)
def test_errors_name_file_and_line(text, message, empty_cache):
    with pytest.raises(SynthesisError, match=message):
        Yosys().synthesize(Sources({"counter.sv": text}), "counter", "xcup")
    assert not [p for p in empty_cache.iterdir() if p.is_dir()]


def test_a_stopped_yosys_starts_nothing(empty_cache):
    yosys = Yosys()
    yosys.stop()
    with pytest.raises(SynthesisError, match="was stopped"):
        yosys.synthesize(Sources({"counter.sv": COUNTER}), "counter", "xcup")


def test_an_unknown_shift_register_is_refused():
    text = '(* SHREG_EXTRACT = "yes" *)\nword  A[7];\nalways_ff @(posedge clk) A[0] <= d;'
    with pytest.raises(FlowError, match=r"fifo\.sv of this FINN has a shift register A"):
        patched("fifo.sv", text)


def test_the_output_queue_of_an_mvau_is_shift_registers():
    node = generate_nodes(mvau(mw=4, mh=2, simd=2, pe=1), "xczu3eg-sbva484-1-e", 5.0).graph.node[0]
    sources, top = node_sources(node)
    (path,) = (Path(finn.__file__).parent / "finn-rtllib").rglob(QUEUE)
    as_it_stands = dataclasses.replace(
        sources, texts=sources.texts | {QUEUE: collect([path]).texts[QUEUE]}
    )
    before, after = (
        read_resources(Yosys().synthesize(each, top, "xcup")) for each in (as_it_stands, sources)
    )
    # 8 words of 24 bits: an SRL16E each bit instead of a flip-flop each bit and word.
    assert before.ff - after.ff == 8 * 24
    assert after.lutram - before.lutram == 24
    assert after.lut < before.lut


def test_another_output_queue_is_refused():
    with pytest.raises(FlowError, match=rf"^{QUEUE} .* is not the file .*OBuf"):
        patched(QUEUE, "logic  OBuf[16];")


def test_a_design_and_its_nodes(tmp_path):
    model = hadamard(2, requantShift=2, narrow=1, outputDataType="INT6")
    design = stitch(model, tmp_path / "design", fifo_depths=[2, 4])
    result = synthesize_design(design, "xczu3eg-sbva484-1-e", progress=False)
    names = [node.name for node in result.nodes]
    assert names == [node.name for node in design.model.graph.node]
    total = sum((node.resources for node in result.nodes), Resources())
    # Together or one by one, the same up to what is optimized across the borders.
    assert total.lut * 0.9 <= result.total.lut <= total.lut
    assert result.total.dsp == result.total.bram18 == 0
    values = result.as_json()
    layer = values["synthesis_nodes"][1]
    assert layer["op_type"] == "HadamardTransform_rtl"
    assert layer["lut_ratio"] == pytest.approx(layer["lut"] / layer["lut_estimate"], abs=1e-3)
    heading, *rows = synthesis_rows(values)
    assert heading[1] == "LUT"
    assert [row[0] for row in rows] == [
        "HadamardTransform_rtl_0 SIMD 2",
        "2 FIFOs",
        "sum",
        "stitched, as one",
    ]
    assert rows[-1][1] == str(result.total.lut)


def test_a_part_that_yosys_does_not_know(tmp_path):
    design = stitch(hadamard(2), tmp_path / "design", fifo_depths=[2, 2])
    with pytest.raises(FlowError, match="is no part that Yosys can map to"):
        synthesize_design(design, "xcvc1902-vsva2197-2MP-e-S", progress=False)


def test_a_folder_may_have_a_space_in_its_name(tmp_path):
    folder = tmp_path / "a design"
    folder.mkdir()
    (folder / "counter.sv").write_text(COUNTER)
    (folder / FINN_FILE_LIST).write_text(f"{folder / 'counter.sv'}\n")
    sources = stitched_sources(SimpleNamespace(folder=folder))
    assert list(sources.texts) == ["counter.sv"]
