# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""``dhq pack`` and ``dhq unpack``: byte for byte, onward to hardware, and nothing from damage."""

import importlib.util
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from commands import SMALL, failure, run

from dhq_brevitas.fitting import unpack
from dhq_brevitas.inr import packed
from dhq_brevitas.inr.families import FAMILIES
from dhq_brevitas.run import packing
from dhq_brevitas.run.loading import load_run
from dhq_brevitas.run.packing import pack_run
from dhq_brevitas.run.pipeline import run_stage
from dhq_brevitas.run.records import MissingStageError, RunFolder
from dhq_brevitas.run.stages.fit import FitOptions
from dhq_brevitas.run.stages.quantize import QuantizeOptions
from dhq_brevitas.signals.tasks import TASKS
from dhq_brevitas.util.files import file_digest

pytestmark = pytest.mark.filterwarnings("ignore")

SIGNALS = {
    "audio": ("chord", 64),
    "shape": ("torus", 8),
    "tomography": ("phantom", 16),
    "radiance": ("shapes", 8),
}


def make(path: Path, until: str = "quantize", task: str = "picture", **options) -> RunFolder:
    """A run folder; options of the fit and of the quantization."""
    signal, size = SIGNALS.get(task, ("astronaut", 16))
    fit = {"family": "siren", "hidden": 16, "layers": 1}
    fit = {name: options.pop(name, default) for name, default in fit.items()}
    stages = {
        "fit": FitOptions(signal, task=task, size=size, steps=20, **fit),
        "quantize": QuantizeOptions(qat_steps=0, **options),
    }
    path.mkdir(parents=True)
    for name, chosen in stages.items():
        run_stage(RunFolder(path), name, chosen, progress=False, say=lambda text: None)
        if name == until:
            break
    return RunFolder(path)


def repacked(tmp_path, source: RunFolder) -> Path:
    """A folder of what was packed from ``source``."""
    pack_run(source, tmp_path / "a.dhq")
    assert run("unpack", tmp_path / "a.dhq", "--out", tmp_path / "again") == 0
    return tmp_path / "again"


def assert_equal_reconstructions(one: Path, other: Path) -> None:
    shown = [path.name for path in one.glob("quant.*") if path.suffix not in (".pt", ".npz")]
    assert len(shown) == 1
    for name in (*shown, "quant.npz"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.parametrize("task", TASKS)
def test_every_task(tmp_path, task):
    source = make(tmp_path / "run", task=task)
    again = repacked(tmp_path, source)
    assert_equal_reconstructions(source.path, again)
    assert run("export", "--out", again) == 0
    found = load_run(again).summary
    assert (found["mismatch_quant_qonnx"], "psnr_qonnx" in found) == (0, False)
    assert found["psnr_quant"] == source.summary()["psnr_quant"]
    assert found["options"]["fit"]["steps"] == 20


@pytest.mark.parametrize(
    "options",
    [
        {"layers": 2, "scale": "float", "rotation": "output", "signs_seed": 3},
        {"scale": "dyadic", "rotation": "after", "weight_bits": 3},
        {"family": "relu", "scheme": "stock"},
        {"family": "finer", "scheme": "auto", "weight_bits": 5, "hidden": 8, "first_hidden": 6},
        {"scheme": "stock", "first_hidden": 12},
    ],
    ids=str,
)
def test_every_kind(tmp_path, monkeypatch, options):
    monkeypatch.setattr(packing, "CHUNK", 100)  # in pieces, which must not matter
    source = make(tmp_path / "run", **options)
    again = repacked(tmp_path, source)
    assert_equal_reconstructions(source.path, again)
    one, other = load_run(source.path), load_run(again)
    assert one.quantized_network.plans == other.quantized_network.plans
    assert one.quantized_network.spec.first_hidden == options.get("first_hidden")
    assert one.summary["options"]["quantize"]["weight_bits"] == options.get("weight_bits", 8)


@pytest.mark.skipif(importlib.util.find_spec("finn") is None, reason="finn is not installed")
def test_onward_to_hardware(tmp_path):
    again = repacked(tmp_path, make(tmp_path / "run"))
    for stage in ("export", "build", "simulate"):
        assert run(stage, "--out", again) == 0
    found = load_run(again).summary
    assert (found["mismatch_quant_qonnx"], found["mismatch_qonnx_finn"]) == (0, 0)
    assert not [name for name in found if name.startswith("psnr_") and name != "psnr_quant"]


def test_points_that_are_no_grid(tmp_path):
    """Their codes are in the file."""

    def load(request):
        problem = TASKS["picture"].load(request)
        order = np.random.default_rng(0).permutation(len(problem.codes))
        return replace(
            problem, task="mixed", codes=problem.codes[order], values=problem.values[order]
        )

    TASKS["mixed"] = replace(TASKS["picture"], name="mixed", load=load)
    try:
        source = make(tmp_path / "run", task="mixed")
        again = repacked(tmp_path, source)
    finally:
        del TASKS["mixed"]
    assert_equal_reconstructions(source.path, again)
    codes = [load_run(folder).problem.codes for folder in (source.path, again)]
    np.testing.assert_array_equal(*codes)


def test_what_is_printed(tmp_path, capsys):
    source = make(tmp_path / "run", hidden=64)
    assert run("pack", "--out", source.path) == 0
    lines = capsys.readouterr().out.splitlines()
    size = (source.path / "network.dhq").stat().st_size
    parameters = 2 * 64 + 64 + 64 * 3 + 3
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:]}
    assert rows["float32"][0] == str(4 * parameters)
    assert rows["float16"][0] == str(2 * parameters)
    per_weight = 8 * size / (2 * 64 + 64 * 3)
    expected = [str(size), f"{8 * size / 256:.3f}", f"{per_weight:.2f}"]
    assert rows[str(source.path / "network.dhq")] == expected


def test_a_file_elsewhere(tmp_path, capsys):
    source = make(tmp_path / "run")
    assert run("pack", "--out", source.path, "--file", tmp_path / "b.dhq") == 0
    assert not (source.path / "network.dhq").exists()
    assert run("pack", "--out", source.path, "--file", tmp_path / "b.dhq") == 0
    status, line = failure(capsys, "pack", "--out", source.path, "--file", tmp_path / "no/b.dhq")
    assert (status, "there is no folder" in line) == (1, True)
    weights = source.path / "quant.pt"
    before = weights.read_bytes()
    status, line = failure(capsys, "pack", "--out", source.path, "--file", weights)
    assert (status, "is something else than a packed network" in line) == (1, True)
    assert weights.read_bytes() == before


def test_in_python(tmp_path):
    """The codes of the grid are the coordinates."""
    source = make(tmp_path / "run")
    pack_run(source, tmp_path / "a.dhq")
    network = unpack(tmp_path / "a.dhq")
    outputs = network(load_run(source.path).problem.codes)
    np.testing.assert_array_equal(outputs, source.array("quant.npz", "outputs"))
    assert network.psnr == source.summary()["psnr_quant"]


def test_without_a_network(tmp_path, capsys):
    with pytest.raises(MissingStageError, match="a packed file needs the result of quantize"):
        pack_run(make(tmp_path / "run", until="fit"))
    status, line = failure(capsys, "pack", "--out", tmp_path / "none")
    assert (status, "there is no run folder" in line) == (1, True)


def test_what_a_file_does_not_hold(tmp_path, capsys):
    again = repacked(tmp_path, make(tmp_path / "run"))
    for command in ("quantize", "analyze", "plan"):
        status, line = failure(capsys, command, "--out", again)
        assert status == 1
        assert "was unpacked from a file, which holds neither the float network nor" in line
    with pytest.raises(ValueError, match="was unpacked from a file"):
        load_run(again).float_network  # noqa: B018
    assert not (again / "comparison.png").exists()


def test_an_unpacked_folder_can_be_packed(tmp_path):
    again = RunFolder(repacked(tmp_path, make(tmp_path / "run")))
    pack_run(again, tmp_path / "b.dhq")
    assert (tmp_path / "b.dhq").read_bytes() == (tmp_path / "a.dhq").read_bytes()


def test_folders_that_hold_something_else(tmp_path, capsys):
    source = make(tmp_path / "run")
    again = repacked(tmp_path, source)
    assert run("unpack", tmp_path / "a.dhq", "--out", again) == 0  # the same once more
    status, line = failure(capsys, "unpack", tmp_path / "a.dhq", "--out", source.path)
    assert (status, "holds another run" in line) == (1, True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    status, line = failure(capsys, "unpack", tmp_path / "a.dhq", "--out", tmp_path / "other")
    assert (status, "holds other files than a run's" in line) == (1, True)
    assert os.listdir(tmp_path / "other") == ["letter.txt"]


def test_a_result_that_another_network_gives(tmp_path, capsys):
    """Negative control of the comparison with what was packed."""
    data = make(tmp_path / "run")
    pack_run(data, tmp_path / "a.dhq")
    write(tmp_path / "b.dhq", (tmp_path / "a.dhq").read_bytes(), {"about/outputs": "0" * 16})
    status, line = failure(capsys, "unpack", tmp_path / "b.dhq", "--out", tmp_path / "out")
    assert (status, "gives other output codes here" in line) == (1, True)


def test_files_of_an_earlier_version(tmp_path, capsys):
    source = make(tmp_path / "run")
    layers = json.loads((source.path / "layers.json").read_text())
    del layers["network"]
    record = json.loads((source.path / "quantize.json").read_text())
    (source.path / "layers.json").write_text(json.dumps(layers))
    record["files"]["layers.json"] = file_digest(source.path / "layers.json")
    (source.path / "quantize.json").write_text(json.dumps(record))
    status, line = failure(capsys, "pack", "--out", source.path)
    assert (status, "is of an earlier version of dhq: run dhq quantize" in line) == (1, True)


# -- families and tasks of one's own ---------------------------------------------------------------

OWN = """\
from dataclasses import replace
from dhq_brevitas.inr.families import FAMILIES
from dhq_brevitas.signals.tasks import TASKS
open({witness!r}, "w").close()
FAMILY = replace(FAMILIES["siren"], name="mine")
TASK = replace(TASKS["picture"], name="negative")
"""


def test_python_files_are_named_again(tmp_path, capsys):
    own, witness = tmp_path / "own.py", tmp_path / "witness"
    own.write_text(OWN.format(witness=str(witness)))
    options = [*SMALL, "--family", own, "--task", own, "--until", "quantize"]
    assert run("run", "camera", "--out", tmp_path / "run", *options) == 0
    status, line = failure(capsys, "pack", "--out", tmp_path / "run")
    # Known in this process, since the command before named it.
    assert run("pack", "--out", tmp_path / "run", "--trust-code") == 0
    witness.unlink(missing_ok=True)
    file, out = tmp_path / "run" / "network.dhq", tmp_path / "again"
    for given in ([], ["--task", own]):
        status, line = failure(capsys, "unpack", file, "--out", out, *given)
        assert (status, "its family 'mine' is not registered: name the" in line) == (1, True)
    status, line = failure(capsys, "unpack", file, "--out", out, "--family", own)
    assert (status, "its task 'negative' is not one of dhq's: name the" in line) == (1, True)
    status, line = failure(
        capsys, "unpack", file, "--out", out, "--family", own, "--task", "picture"
    )
    assert (status, "its task is 'negative', and picture defines 'picture'" in line) == (1, True)
    assert not out.exists()
    assert run("unpack", file, "--out", out, "--family", own, "--task", own) == 0
    assert_equal_reconstructions(tmp_path / "run", out)
    status, line = failure(capsys, "export", "--out", out)
    assert "add --trust-code" in line
    assert run("export", "--out", out, "--trust-code") == 0


def test_a_file_that_names_code_executes_nothing(tmp_path, capsys):
    own, witness = tmp_path / "own.py", tmp_path / "witness"
    own.write_text(OWN.format(witness=str(witness)))
    pack_run(make(tmp_path / "run"), tmp_path / "a.dhq")
    data = (tmp_path / "a.dhq").read_bytes()
    for place in ("network/family", "about/signal/task"):
        write(tmp_path / "b.dhq", data, {place: str(own)})
        status, _ = failure(capsys, "unpack", tmp_path / "b.dhq", "--out", tmp_path / "out")
        assert status == 1
        assert str(own) not in FAMILIES
    options = {"fit": {"task": str(own), "family": str(own), "signal": str(own), "size": "x"}}
    write(tmp_path / "b.dhq", data, {"about/options": options})
    assert run("unpack", tmp_path / "b.dhq", "--out", tmp_path / "out") == 0
    assert run("export", "--out", tmp_path / "out") == 0
    assert not witness.exists()


# -- damage ----------------------------------------------------------------------------------------


def write(path: Path, data: bytes, values: dict) -> None:
    """``data`` with these entries of its header, by their path, and the right checksum."""
    header, integers = packed._unframed(data, "file")
    for place, value in values.items():
        *parents, last = place.split("/")
        found = header
        for parent in parents:
            found = found[parent]
        found[last] = value
    path.write_bytes(packed._framed(json.dumps(header), integers))


def signed(data: bytes) -> bytes:
    """Damaged content with the right checksum, which takes intent."""
    content = data[packed.PREFIX :]
    return data[:4] + packed._digest(content) + content


HUGE = (-1, 0, 7, 255, 2**16, 2**20, 2**31, 2**62, 10**30, 1e300, "x", {}, [], True)
PLACES = (
    *(f"network/{name}" for name in ("hidden", "layers", "in_features", "out_features")),
    *("network/parameters", "network/family", "coordinates", "limits", "plan", "tables"),
    *("plan/weight_bits", "plan/order", "plan/phase_bits", "plan/rotation", "plan/signs_seed"),
    *("about/signal", "about/signal/task", "about/signal/grid", "about/outputs"),
)


def damaged(path: Path, data: bytes, seed: int) -> None:
    """One of: bits that flip, a file that ends early or late, and both signed; odd entries."""
    random, changed = Random(seed), bytearray(data)
    kind = seed % 5
    if kind in (0, 1):
        # Signed only in the integers: a digit of the PSNR, say, would be no damage to the network.
        start = kind * (len(data) - len(packed._unframed(data, "file")[1]))
        for _ in range(random.choice((1, 2, 20))):
            changed[random.randrange(start, len(data))] ^= 1 << random.randrange(8)
    elif kind == 2:
        changed = changed[: random.randrange(len(data))] + random.randbytes(random.choice((0, 9)))
    else:
        value = random.choice(HUGE)
        if kind == 4:
            place = random.choice(("about/signal/shape", "about/signal/grid", "coordinates"))
            other = random.choice(HUGE)
            write(path, data, {place: [value, other] if place[-1] != "d" else [[value], [other]]})
            return
        write(path, data, {random.choice(PLACES): value})
        return
    path.write_bytes(signed(bytes(changed)) if kind == 1 else bytes(changed))


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> bytes:
    folder = make(tmp_path_factory.mktemp("small") / "run", hidden=8)
    pack_run(folder)
    return (folder.path / "network.dhq").read_bytes()


def test_200_damaged_files_give_a_sentence_each(tmp_path, small, capsys):
    file, out = tmp_path / "a.dhq", tmp_path / "out"
    sentences = set()
    for seed in range(200):
        damaged(file, small, seed)
        assert file.read_bytes() != small
        status, line = failure(capsys, "unpack", file, "--out", out, "--quiet")
        assert status == 1, seed
        assert line.startswith(f"dhq: error: {file} "), (seed, line)
        assert "an error of dhq" not in line, (seed, line)
        assert not out.exists(), seed
        sentences.add(line)
    assert len(sentences) > 30  # the damage is found in many places


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"about/signal/shape": [2**20, 2**20]}, "its 1099511627776 points are too many"),
        ({"about/signal/shape": [2**12, 2**12]}, "its points need 13 bits, and the network takes"),
        ({"about/signal/shape": [256]}, "has not 2 axes"),
        ({"about/signal/grid": [[2**16, 0], [1, 1]]}, "its points need 18 bits"),
        ({"about/signal/grid": [[0, 0], [0, 1]]}, "where integers of 1 to 16777216 belong"),
        ({"about/signal/grid": [[-8, -8]]}, "its grid is .*, which is none"),
        ({"about/signal/grid": [[-8, -8], [1, 1]], "about/signal/shape": [8, 32]}, "6 bits"),
        ({"about/signal/grid": [[-7, -8], [1, 1]]}, "need 5 bits, and the network takes 4"),
        ({"about/signal/shape": [15, 16]}, "gives other output codes here"),
        ({"about/signal/grid": None}, "coded integers|other output codes|bits"),
        ({"about/signal/details": 5}, "its details is '5', which is none"),
        ({"about/signal": None}, "its signal is 'None', which is none"),
    ],
    ids=str,
)
def test_signals_that_do_not_hold_together(tmp_path, small, capsys, values, message):
    write(tmp_path / "a.dhq", small, values)
    status, line = failure(capsys, "unpack", tmp_path / "a.dhq", "--out", tmp_path / "out")
    assert status == 1
    assert re.search(message, line), line


@pytest.mark.parametrize("details", [{}, {"rate": "fast"}, {"rate": -1}, {"rate": 10**12}], ids=str)
def test_details_that_the_task_cannot_use(tmp_path, capsys, details):
    pack_run(make(tmp_path / "run", task="audio"), tmp_path / "a.dhq")
    write(tmp_path / "b.dhq", (tmp_path / "a.dhq").read_bytes(), {"about/signal/details": details})
    status, line = failure(capsys, "unpack", tmp_path / "b.dhq", "--out", tmp_path / "out")
    assert (status, "the task audio cannot show it" in line) == (1, True)


def test_no_file(tmp_path, capsys):
    for file in (tmp_path / "none.dhq", tmp_path):
        status, line = failure(capsys, "unpack", file, "--out", tmp_path / "out")
        assert (status, str(file) in line) == (1, True)
