# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Verilator behind finn.xsi: FINN's passes, the cycle loops, the cache, waveforms, errors."""

import multiprocessing
from pathlib import Path

import pytest

from dhq_brevitas.finn_flow import environment
from dhq_brevitas.finn_flow.rtlsim import SimulationError, enable_verilator, verilator_enabled
from dhq_brevitas.finn_flow.rtlsim.compiler import compile_design
from dhq_brevitas.finn_flow.rtlsim.sources import Sources, collect
from dhq_brevitas.finn_flow.rtlsim.toolchain import Toolchain
from dhq_brevitas.finn_flow.rtlsim.xsi import Design, Kernel

ACCUMULATOR = """\
module accumulator #(parameter INIT = "%s") (
    input  logic ap_clk,
    input  logic ap_rst_n,
    input  logic [39:0] in0_V_TDATA,
    input  logic in0_V_TVALID,
    output logic in0_V_TREADY,
    output logic [39:0] out0_V_TDATA,
    output logic out0_V_TVALID,
    input  logic out0_V_TREADY
);
  logic [39:0] offset[1];
  initial $readmemh(INIT, offset);
  assign in0_V_TREADY = out0_V_TREADY || !out0_V_TVALID;
  always_ff @(posedge ap_clk)
    if (!ap_rst_n) begin
      out0_V_TVALID <= 0;
      out0_V_TDATA  <= 0;
    end else if (in0_V_TREADY) begin
      out0_V_TVALID <= in0_V_TVALID;
      if (in0_V_TVALID) out0_V_TDATA <= out0_V_TDATA + in0_V_TDATA + offset[0];
    end
  a_small : assert property (@(posedge ap_clk) disable iff (!ap_rst_n) out0_V_TDATA[39:36] != 4'hf);
endmodule
"""
VALUES = [1, 2, 1 << 35, 7, 0]
SUMS = [2, 5, (1 << 35) + 6, (1 << 35) + 14, (1 << 35) + 15]


@pytest.fixture
def source(tmp_path) -> Path:
    """An accumulator that also adds 1, read from a file, to every word."""
    (tmp_path / "one.dat").write_text("1\n")
    path = tmp_path / "accumulator.sv"
    path.write_text(ACCUMULATOR % "./one.dat")
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """A cache of this test alone that takes the compiled runtime from the user's."""
    own, shared = tmp_path / "cache", environment.simulator_cache_dir()
    own.mkdir()
    compile_design(Sources({"a.sv": "module a(input logic x); endmodule"}), "a")
    for entry in shared.glob("runtime-*"):
        if entry.is_dir():
            (own / entry.name).symlink_to(entry)
    monkeypatch.setenv("DHQ_RTLSIM_CACHE", str(own))
    return own


def simulate(path: Path, folder: Path, values: list[int] = VALUES, **options):
    import finn.xsi

    enable_verilator()
    trace = options.pop("trace", None)
    base, relative = finn.xsi.compile_sim_obj(
        "accumulator", [str(path)], folder, debug=trace is not None
    )
    sim = finn.xsi.load_sim_obj(base, relative, trace)
    finn.xsi.reset_rtlsim(sim)
    streams = {"inputs": {"in0": values}, "outputs": {"out0": []}}
    multi_io = options.pop("multi_io", finn.xsi.rtlsim_multi_io)
    cycles = multi_io(sim, streams, len(values), sname="_V", **options)
    finn.xsi.close_rtlsim(sim)
    return streams["outputs"]["out0"], cycles


def test_enabling(monkeypatch):
    assert enable_verilator()
    assert verilator_enabled()
    assert enable_verilator()
    import finn.xsi

    assert finn.xsi.is_available()
    monkeypatch.setenv("XILINX_VIVADO", "/opt/Vivado/2024.2")
    assert not enable_verilator()
    assert enable_verilator(force=True)


def test_loop_equals_finns_engine(source, tmp_path):
    enable_verilator()
    from finn_xsi import adapter

    fast = simulate(source, tmp_path)
    slow = simulate(source, tmp_path, multi_io=adapter.rtlsim_multi_io)
    assert fast == slow
    assert fast[0] == SUMS


def test_waveform(source, tmp_path):
    outputs, _ = simulate(source, tmp_path, trace=str(tmp_path / "wave.wdb"))
    assert outputs == SUMS
    # An FST file starts with a header block: type 0, length 329.
    assert (tmp_path / "wave.fst").read_bytes()[:9] == bytes([0, 0, 0, 0, 0, 0, 0, 1, 73])


def test_failed_assertion_is_an_error(source, tmp_path):
    with pytest.raises(SimulationError, match=r"accumulator.*failed at accumulator.sv:22 \(assert"):
        simulate(source, tmp_path, [0xF << 36])


def test_starved_output_is_an_error(source, tmp_path):
    import finn.xsi
    from finn.util.exception import FINNUserError

    enable_verilator()
    base, relative = finn.xsi.compile_sim_obj("accumulator", [str(source)], tmp_path)
    sim = finn.xsi.load_sim_obj(base, relative)
    finn.xsi.reset_rtlsim(sim)
    streams = {"inputs": {"in0": [1, 2]}, "outputs": {"out0": []}}
    with pytest.raises(FINNUserError, match="out0_V: 2 of 3 beats"):
        finn.xsi.rtlsim_multi_io(sim, streams, 3, sname="_V", liveness_threshold=100)
    finn.xsi.close_rtlsim(sim)


def test_ports(source):
    design = Design(Kernel(""), str(compile_design(collect([source]), "accumulator")))
    port = design.getPort("in0_V_TDATA")
    assert (port.width(), port.isInput(), port.isOutput()) == (40, True, False)
    port.set_hexstr("ab12345678").write_back()
    port.clear().read()
    assert port.as_hexstr() == "ab12345678"
    assert port.as_unsigned() == 0x12345678
    assert port.as_binstr() == f"{0xAB12345678:040b}"
    port.set_hexstr("fffab12345678").write_back()
    assert port.read().as_hexstr() == "ab12345678"
    assert design.getPort("ap_clk").width() == 1
    assert design.num_ports() == 8
    with pytest.raises(RuntimeError, match="no port nothing"):
        design.getPort("nothing")
    design.close()
    assert not design.is_open()


def test_cache_by_content(source, tmp_path, cache, monkeypatch):
    first = compile_design(collect([source]), "accumulator")
    assert first.is_relative_to(cache)

    def forbidden(*_arguments):
        raise AssertionError("compiled again")

    monkeypatch.setattr(Toolchain, "compile", forbidden)
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "one.dat").write_text("1\n")
    (other / source.name).write_text(source.read_text())
    assert compile_design(collect([other / source.name]), "accumulator") == first
    # The same source with another memory is another design.
    (other / "one.dat").write_text("2\n")
    with pytest.raises(AssertionError, match="compiled again"):
        compile_design(collect([other / source.name]), "accumulator")
    assert not [path for path in cache.iterdir() if path.name.startswith(".")]


def _simulate_once(arguments: tuple[str, str, str]) -> tuple[list[int], int]:
    source, folder, trace = arguments
    return simulate(Path(source), Path(folder), trace=trace)


@pytest.mark.exhaustive
def test_several_processes_compile_once_and_simulate_at_once(source, tmp_path, cache):
    """Each in a folder and with a waveform of its own."""
    jobs = []
    for index in range(2):
        folder = tmp_path / str(index)
        folder.mkdir()
        jobs.append((str(source), str(folder), str(folder / "wave.fst")))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        results = pool.map(_simulate_once, jobs, chunksize=1)
    assert results == [(SUMS, results[0][1])] * 2
    waves = [Path(trace).read_bytes() for _, _, trace in jobs]
    assert all(len(wave) > 300 for wave in waves)
    assert len([p for p in cache.iterdir() if p.is_dir() and p.name.startswith("accu")]) == 1


def test_sources_that_cannot_be_simulated(tmp_path):
    netlist = tmp_path / "core.vhd"
    netlist.write_text("")
    with pytest.raises(SimulationError, match=r"core.vhd: Verilator reads Verilog.*Vivado"):
        collect([netlist])
    with pytest.raises(SimulationError, match=r"missing.sv does not exist"):
        collect([tmp_path / "missing.sv"])
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.sv").write_text(f"module {folder}; endmodule")
    with pytest.raises(SimulationError, match=r"two different source files are called m.sv"):
        collect([tmp_path / "a" / "m.sv", tmp_path / "b" / "m.sv"])


def test_message_of_the_design(tmp_path):
    path = tmp_path / "broken.sv"
    path.write_text('module broken(input logic x); if (1) $fatal(1, "N=%0d is bad", 7); endmodule')
    with pytest.raises(SimulationError, match=r"broken cannot be simulated:[\s\S]*N=7 is bad"):
        compile_design(collect([path]), "broken")
    path.write_text("module broken(input logic x); BUFG b(.I(x)); endmodule")
    with pytest.raises(SimulationError, match=r"broken cannot be simulated:[\s\S]*BUFG"):
        compile_design(collect([path]), "broken")


def test_messages_with_bytes_that_are_no_text(tmp_path):
    program = tmp_path / "compiler"
    program.write_text("#!/bin/sh\nprintf 'error: \\231 is bad' >&2; exit 1\n")
    program.chmod(0o755)
    toolchain = Toolchain(program, tmp_path, program, "")
    with pytest.raises(SimulationError, match="error: \ufffd is bad"):
        toolchain.compile([], tmp_path)


def test_missing_memory_is_an_error(tmp_path):
    path = tmp_path / "accumulator.sv"
    path.write_text(ACCUMULATOR % "./gone.dat")
    with pytest.raises(SimulationError, match=r"accumulator.*not found"):
        simulate(path, tmp_path)


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("DHQ_RTLSIM_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert environment.simulator_cache_dir() == tmp_path / "dhq_brevitas" / "rtlsim"
    monkeypatch.setenv("DHQ_RTLSIM_CACHE", str(tmp_path / "other"))
    assert environment.simulator_cache_dir() == tmp_path / "other"
