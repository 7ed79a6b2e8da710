# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from dhq_brevitas.planning.plan_file import read_plan

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(script: str, *options: object) -> str:
    command = [sys.executable, "-W", "ignore", str(EXAMPLES / script), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_hadamard_benchmark(tmp_path):
    out = tmp_path / "times.json"
    text = run("hadamard_benchmark.py", "--rows", 64, "--order", 16, "--repeat", 2, "--json", out)
    assert "matmul_hadU" in text
    assert json.loads(out.read_text())


def test_qat_step_benchmark(tmp_path):
    out = tmp_path / "times.json"
    text = run("qat_step_benchmark.py", "--hidden", 8, "--batch", 16, "--steps", 2, "--json", out)
    assert "1.00 x stock" in text
    assert set(json.loads(out.read_text())) >= {"stock", "dhq"}


def test_own_family_and_task(tmp_path):
    """A family and a task outside the package, through the whole command line."""
    options = ["--size", 16, "--hidden", 16, "--layers", 2, "--steps", 200, "--qat-steps", 2]
    finn = importlib.util.find_spec("finn") is not None
    until = "simulate" if finn else "export"
    run("own_family_and_task.py", "--out", tmp_path, *options, "--until", until)
    values = json.loads((tmp_path / "summary.json").read_text())
    assert values["signal"]["task"] == "ripples"
    assert values["mismatch_quant_qonnx"] == 0
    assert values["cosine_quant"] > 0.5
    assert (tmp_path / "comparison.png").exists()
    if finn:
        assert values["mismatch_qonnx_finn"] == 0
        assert values["cosine_finn"] == values["cosine_quant"]


def test_family_table(tmp_path):
    small = ["--size", 8, "--hidden", 8, "--steps", 5, "--qat-steps", 2, "--rows", 1]
    text = run("family_table.py", "--out", tmp_path, *small)
    assert "| picture | siren  |       |" in text
    assert "W rotated" in text
    if importlib.util.find_spec("finn") is not None:
        assert "| 0 of 192 |" in text
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    assert run("family_table.py", "--out", tmp_path, *small) == text
    assert {path: path.stat().st_mtime_ns for path in before} == before  # nothing is done twice


def test_rtl_table(tmp_path):
    pytest.importorskip("finn", reason="RTL simulation needs FINN")
    options = ["--hidden", 16, "--size", 8, "--factors", 4]
    row = run("rtl_table.py", "--out", tmp_path, *options).splitlines()[-1].split()
    assert row[:4] == ["16", "64", "64", "64.00"]
    assert row[5:7] == ["64", "0"]


def _cell(folder, scheme):
    results = json.loads((folder / "results.json").read_text())
    (cell,) = (cell for cell in results.values() if cell["scheme"] == scheme)
    return cell


def test_quality_benchmark(tmp_path):
    options = ["--pictures", "camera", "--size", 16, "--hidden", 8, "--layers", 2, "--steps", 5]
    schemes = ["--bits", "W4A8", "--schemes", "stock channel", "plan", "k-means", "torch.ao"]
    text = run("quality_benchmark.py", "--out", tmp_path, *options, "--qat", 2, *schemes)
    assert "W4A8: PSNR in dB, PTQ / QAT" in text
    assert "| camera-16-8x2-5-W4A8-plan | " in text
    results = json.loads((tmp_path / "results.json").read_text())
    assert {cell["scheme"] for cell in results.values()} == set(schemes[3:])
    assert all("ssim" in cell["ptq"] for cell in results.values())
    assert (tmp_path / "results.png").stat().st_size > 1000
    again = run("quality_benchmark.py", "--out", tmp_path, *options, "--qat", 2, *schemes)
    assert again == text
    (plan,) = (tmp_path / "plans").iterdir()
    assert [layer.weight_bits for layer in read_plan(plan)] == [
        bits for _, _, bits, _, _ in _cell(tmp_path, "plan")["layers"]
    ]
    if importlib.util.find_spec("finn") is not None:
        text = run("quality_in_finn.py", "--out", tmp_path, *options, "--qat", 2, *schemes)
        assert text.splitlines()[-1].startswith("camera-16-8x2-5 W4A8 plan qat2")
        (mapped,) = json.loads((tmp_path / "finn.json").read_text()).values()
        assert mapped["mismatch_quant_qonnx"] == mapped["mismatch_qonnx_finn"] == 0
        assert mapped["mismatch_finn_rtl"] == 0
        assert mapped["cycles_per_sample"] == mapped["cycles_per_sample_estimate"]
        assert mapped["codes"] == 16 * 16
        assert mapped["psnr"] == _cell(tmp_path, "plan")["qat"]["psnr"]
    floats = ["--bits", "W32A32", "--schemes", "float"]
    run("quality_benchmark.py", "--out", tmp_path, *options, "--qat", 2, *floats)
    cell = _cell(tmp_path, "float")
    assert cell["ptq"]["psnr"] == cell["psnr_float"] != cell["qat"]["psnr"]
    scales = ["--bits", "W8A8", "--schemes", "plan, po2"]
    text = run("quality_benchmark.py", "--out", tmp_path, *options, "--qat", 0, *scales)
    cell = _cell(tmp_path, "plan, po2")
    values = [cell["ptq"]["psnr"], *cell["ptq_float_scales"].values()]
    assert "| camera, W8A8 | " + " | ".join(f"{value:.2f}" for value in values) + " |" in text
    assert list(cell["ptq_float_scales"]) == ["linear0", "linear1", "linear2"]


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_help_shows_a_command_line(script):
    needs_finn = (
        "brevitas_to_finn",
        "kernel_timing",
        "quality_in_finn",
        "resource_estimates",
        "transform_area",
    )
    if script.removesuffix(".py") in needs_finn:
        pytest.importorskip("finn", reason="this example maps to FINN")
    assert f"python examples/{script}" in run(script, "--help")
