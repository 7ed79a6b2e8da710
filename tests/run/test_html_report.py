# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``dhq report --html``: one page that holds together, says what the summary says, and is alone."""

import importlib.util
import re
import shlex
from html.parser import HTMLParser

import numpy as np
import pytest
from browser import BROWSER, probed
from commands import SMALL, failure, run
from PIL import Image

from dhq_brevitas.run.cli import _chosen_stages, build_parser
from dhq_brevitas.run.html_report import _depths, _resource_rows, command_of, write_page
from dhq_brevitas.run.records import RunFolder

pytestmark = pytest.mark.filterwarnings("ignore")

VOID = {"meta", "link", "img", "input", "br", "hr", "line", "path", "rect"}
MAX_BYTES = 5_000_000
HAS_FINN = importlib.util.find_spec("finn") is not None


class Page(HTMLParser):
    """What a page holds; AssertionError for tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.tables: list[list[list[str]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("th", "td"):
            self.tables[-1][-1][-1] += data
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]

    def table(self, first: str) -> list[list[str]]:
        """The one whose heading begins so."""
        (found,) = (table for table in self.tables if table[0][0] == first)
        return found


def page_of(folder) -> Page:
    path = write_page(RunFolder(folder))
    assert path.stat().st_size < MAX_BYTES
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of a picture with an odd name: planned, analyzed, and built where there is FINN."""
    path = tmp_path_factory.mktemp("html")
    gradient = np.indices((20, 32)).sum(axis=0)[..., None] * np.array([3, 2, 1])
    picture = path / "<b>&.png"
    Image.fromarray(gradient.astype(np.uint8)).save(picture)
    until = ["--until", "simulate" if HAS_FINN else "export"]
    assert run("run", picture, "--out", path / "out", *SMALL, "--scheme", "auto", *until) == 0
    assert run("analyze", "--out", path / "out") == 0
    return path / "out"


@pytest.fixture(scope="module")
def page(folder) -> Page:
    assert run("report", "--html", "--out", folder) == 0
    return page_of(folder)


def test_it_needs_nothing_else(page):
    places = [a[name] for _, a in page.tags for name in ("src", "href") if name in a]
    assert len(places) > 6
    for place in places:
        assert place.startswith(("data:", "#")), place[:80]
    assert "//" not in re.sub(r"base64,[\w+/=]*|>[^<]*<", "", page.text)
    assert not {"iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}


def test_it_can_be_read_by_anyone(page):
    assert page.all("html") == [{"lang": "en"}]
    assert all(len(image["alt"]) > 10 for image in page.all("img"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = {label["for"] for label in page.all("label")}
    controls = [a["id"] for tag, a in page.tags if tag in ("input", "select")]
    assert set(controls) == labels == {"cut", "choose-left", "choose-right"}
    assert (
        page.all("input")[0] | {"type": "range", "min": "0", "max": "100"} == page.all("input")[0]
    )
    named = [a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a]
    assert {name for names in named for name in names.split()} <= set(ids)
    assert {a["href"][1:] for a in page.all("a")} <= set(ids)
    scrolling = [a for _, a in page.tags if a.get("class") == "wide"]
    assert scrolling
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in scrolling)


def test_names_are_no_markup(page):
    assert page.all("b") == []
    assert len([w for w in page.words if w.endswith("<b>&.png, 10 x 16, 3 channels")]) == 2
    assert any(image["alt"].endswith("<b>&.png, 10 x 16") for image in page.all("img"))


def test_numbers_are_those_of_the_summary(page, folder):
    summary = RunFolder(folder).summary()
    levels = {row[0]: row[1:] for row in page.table("level")[1:]}
    assert levels["float network"][0] == f"{summary['psnr_float']:.2f}"
    assert levels["quantized, PyTorch"][0] == f"{summary['psnr_quant']:.2f}"
    expected = [f"{summary['psnr_qonnx']:.2f}", f"0 of {summary['codes_compared']}"]
    assert levels["QONNX"] == expected
    layers = page.table("layer")
    assert [row[0] for row in layers[1:]] == [layer["name"] for layer in summary["layers"]]
    assert [row[2] for row in layers[1:]] == [str(x["weight_bits"]) for x in summary["layers"]]
    text = "".join(page.words)
    assert "tried in earnest" in text
    for name, version in summary["versions"].items():
        assert f"{name} {version}" in text


def test_pictures_of_the_slider(page):
    options = [a["value"] for a in page.all("option")]
    assert options == ["0", "1", "2", "3"] * 2
    titles = [word for word in page.words if word.startswith("difference of ")]
    assert len(titles) == 3  # of both choices, and below the picture that stays
    assert len([image for image in page.all("img") if "histograms" in image["alt"]]) == 2


@pytest.mark.skipif(not HAS_FINN, reason="finn is not installed")
def test_the_drawing(page, folder):
    summary = RunFolder(folder).summary()
    text = "".join(page.words)
    layers = summary["build_layers"]
    slowest = max(layer["cycles_estimate"] for layer in layers)
    for layer in layers:
        folding = ", ".join(f"{key} {layer[key]}" for key in ("PE", "SIMD") if key in layer)
        assert f"{layer['name']}: {folding}, {layer['cycles_estimate']} cycles a sample, " in text
    assert len([a for a in page.all("rect") if a["class"].startswith("box")]) == len(layers)
    marked = [a for a in page.all("rect") if a["class"] == "box slow"]
    assert len(marked) == sum(layer["cycles_estimate"] == slowest for layer in layers) > 0
    assert page.words.count("slowest") == len(marked)
    resources = {row[0]: row[1:] for row in page.table("")[1:]}
    lut = summary["lut_estimate"]
    assert resources["LUT"] == ["", str(lut), "70560", f"{100 * lut / 70560:.1f} %"]


def test_commands_give_the_same_options(folder):
    for name, record in RunFolder(folder).chain().items():
        words = shlex.split(command_of(name, record, folder))
        arguments = build_parser().parse_args(words[1:])
        given = vars(_chosen_stages(arguments)[name]) | {"device": None}
        assert given == record.options | {"device": None} or "device" not in record.options


def test_sound_and_shape_have_their_figure(tmp_path):
    for task, signal in (("audio", "chord"), ("shape", "torus")):
        out = tmp_path / task
        size = ["--size", "64" if task == "audio" else "8", "--steps", "2", "--qat-steps", "0"]
        small = ["--hidden", "8", "--layers", "1", "--until", "quantize"]
        assert run("run", signal, "--task", task, "--out", out, *size, *small) == 0
        page = page_of(out)
        assert [i["alt"].startswith(f"{signal}: original, rec") for i in page.all("img")] == [True]
        assert page.all("script") == page.all("input") == []


def test_an_unpacked_run(folder, tmp_path):
    assert run("pack", "--out", folder, "--file", tmp_path / "a.dhq") == 0
    assert run("unpack", tmp_path / "a.dhq", "--out", tmp_path / "out") == 0
    page = page_of(tmp_path / "out")
    assert [image["alt"].split(":")[0] for image in page.all("img")] == ["quantized, PyTorch"] * 2
    assert "unpacked from a file, which does not hold the signal itself" in page.words


def test_large_pictures_are_shown_reduced(tmp_path):
    """Noise, which no format makes small."""
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    small = ["--hidden", "2", "--layers", "1", "--steps", "0", "--size", "1200"]
    out = tmp_path / "out"
    assert run("run", tmp_path / "noise.png", "--out", out, *small, "--until", "fit") == 0
    page_of(out)


def test_nothing_to_show(tmp_path, capsys):
    status, line = failure(capsys, "report", "--html", "--out", tmp_path)
    assert (status, "nothing has been computed in this folder yet" in line) == (1, True)
    assert list(tmp_path.iterdir()) == []


# -- the numbers of the hardware, from records as a synthesis and a simulation leave them ----------


def test_depths_of_streams_with_converters_between(tmp_path):
    (tmp_path / "synth").mkdir()
    (tmp_path / "synth" / "fifo_depths.json").write_text('{"fifo_depths": [2, 4, 8, 16, 32]}')
    names = ["StreamingFIFO_0", "A", "StreamingFIFO_1", "DWC", "StreamingFIFO_2", "B"]
    names += ["StreamingFIFO_3", "C", "StreamingFIFO_4"]
    summary = {"synthesis_nodes": [{"name": name} for name in names]}
    found = _depths(RunFolder(tmp_path), {}, summary, ["A", "B", "C"])
    assert found == {"A": "2", "B": "4 + 8", "C": "16"}
    summary["synthesis_nodes"].pop()
    assert _depths(RunFolder(tmp_path), {}, summary, ["A", "B", "C"]) == {}


def test_depths_of_a_simulation(tmp_path):
    folder = RunFolder(tmp_path)
    assert _depths(folder, {}, {"fifo_depths": [2, 9, 4]}, ["A", "B"]) == {"A": "2", "B": "9"}
    assert _depths(folder, {}, {"fifo_depths": [2, 9, 4]}, ["A"]) == {}


def test_resources_of_a_synthesis():
    summary = {
        "options": {"build": {"fpga_part": "xczu3eg-sbva484-1-e"}},
        "synthesis_part": "xc7z020clg400-1",
        "synthesis_tool": "Yosys",
        **{"lut": 532, "lut_estimate": 400, "ff": 100, "dsp": 22, "bram18": 0, "uram": 0},
    }
    rows = {row[0]: row[1:] for row in _resource_rows(summary)}
    assert rows["LUT"] == ["532", "400", "53200", "1.0 %"]
    assert rows["DSP"] == ["22", "", "220", "10.0 %"]
    assert rows["URAM"] == ["0", "", "0", ""]
    summary["synthesis_part"] = "xcvu9p"
    assert {row[0]: row[1:] for row in _resource_rows(summary)}["LUT"] == ["532", "400", "", ""]


# -- in a browser ----------------------------------------------------------------------------------

PROBE = """  const cut = page.getElementById("cut"), right = page.getElementById("right");
  const before = inside.getComputedStyle(right).clipPath;
  cut.value = 80;
  cut.dispatchEvent(new Event("input"));
  const choice = page.getElementById("choose-left");
  choice.value = "3";
  choice.dispatchEvent(new Event("change"));
  document.title = ["PROBE", before, inside.getComputedStyle(right).clipPath,
    cut.getAttribute("aria-valuetext"), page.getElementById("left").alt.slice(0, 13),
    inside.innerWidth, page.documentElement.scrollWidth,
    [...page.images].every(i => i.loading === "lazy" || i.naturalWidth > 0),
    inside.performance.getEntriesByType("resource").filter(e => !e.name.startsWith("data:")).length
  ].join("|");"""


@pytest.mark.exhaustive
@pytest.mark.skipif(BROWSER is None, reason="there is no chromium: apt-get install chromium")
@pytest.mark.parametrize("width", [360, 1600])
def test_in_a_browser(page, folder, tmp_path, width):
    """The slider moves, nothing is wider than the window or comes from elsewhere, no error."""
    found = probed(tmp_path, page.text, width, PROBE)
    before, after, spoken, alt, inner, scrolled, *others = found
    assert (before, after) == ("inset(0px 0px 0px 50%)", "inset(0px 0px 0px 80%)")
    assert (spoken, alt) == ("80 % left", "difference of")
    assert int(scrolled) <= int(inner) == width
    assert others == ["true", "0"]  # all pictures are loaded, and nothing was asked for elsewhere
