# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
"""The registry of stages, their options, and what decides whether a stage runs again."""

import importlib.metadata
import json
import re
import subprocess
import sys
import typing
from dataclasses import MISSING, dataclass, fields, replace

import pytest
import torch
from commands import failure, run

from dhq_brevitas.inr.families import FAMILIES
from dhq_brevitas.inr.layer_plan import LayerPlan
from dhq_brevitas.inr.quant_spec import QuantSpec, Scheme
from dhq_brevitas.nn.scales import Granularity, ScaleKind
from dhq_brevitas.quantization.recipe import FINE_TUNING_BATCH, FINE_TUNING_STEPS
from dhq_brevitas.run.loading import load_run
from dhq_brevitas.run.pipeline import check_stages, run_stage
from dhq_brevitas.run.records import RunFolder
from dhq_brevitas.run.stage import Chosen, DeviceOptions, NoOptions, StageKind, option
from dhq_brevitas.run.stages import STAGES, main_stages, register_stage, stages_before
from dhq_brevitas.run.stages.fit import FitOptions
from dhq_brevitas.run.stages.quantize import QuantizeOptions
from dhq_brevitas.signals.tasks import TASKS
from dhq_brevitas.util.errors import ArgumentError
from dhq_brevitas.util.plugins import module_names

pytestmark = pytest.mark.filterwarnings("ignore")
FIT = FitOptions("camera", size=16, hidden=8, layers=1, steps=3)


def fitted(folder, options=FIT):
    """(record, whether the fit ran)"""
    return run_stage(RunFolder(folder), "fit", options, progress=False, say=lambda text: None)


@pytest.fixture
def registry():
    """May be changed: afterwards it is as before."""
    before = dict(STAGES)
    yield
    STAGES.clear()
    STAGES.update(before)


# -- the registry ----------------------------------------------------------------------------------


def test_order():
    assert main_stages() == ["fit", "quantize", "export", "build", "simulate"]
    assert stages_before("synth") == ["fit", "quantize", "export", "build"]
    assert stages_before("analyze") == stages_before("plan") == ["fit"]
    names = list(STAGES)
    for name, kind in STAGES.items():
        assert kind.name == name
        assert not kind.after or names.index(kind.after) < names.index(name)
        assert not [other for other in STAGES.values() if kind.branch and other.after == name]
    assert len({kind.options for kind in STAGES.values()}) == len(STAGES)


@pytest.mark.parametrize("name", STAGES)
def test_every_option_has_help_and_a_default_of_its_type(name):
    kind = STAGES[name].options
    hints = typing.get_type_hints(kind)
    for given in fields(kind):
        assert given.metadata["help"]
        if given.default is MISSING:
            assert given.name == "signal"
            continue
        allowed = typing.get_args(hints[given.name]) or (hints[given.name],)
        assert isinstance(given.default, allowed)
        choices = given.metadata["choices"]
        assert choices is None or given.default in choices


def test_choices_and_defaults_are_those_of_the_descriptions():
    options = {given.name: given for given in fields(QuantizeOptions)}
    assert options["scheme"].metadata["choices"] == (*Scheme, "auto")
    assert options["scale"].metadata["choices"] == tuple(ScaleKind)
    assert sorted(options["granularity"].metadata["choices"]) == sorted(Granularity)
    spec, defaults = QuantSpec(), QuantizeOptions()
    shared = vars(spec).keys() & vars(defaults).keys()
    assert len(shared) > 8
    assert all(getattr(spec, name) == getattr(defaults, name) for name in shared)
    assert (defaults.qat_steps, defaults.batch) == (FINE_TUNING_STEPS, FINE_TUNING_BATCH)


def test_modules_are_named_after_what_they_define():
    assert module_names("dhq_brevitas.inr.families") == sorted(FAMILIES)
    names = module_names("dhq_brevitas.signals.tasks")
    assert sorted(TASKS) == [name.replace("_", "-") for name in names]
    with pytest.raises(ModuleNotFoundError, match="there is no package dhq_brevitas"):
        module_names("dhq_brevitas.nothing")


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from dhq_brevitas.run import cli; cli.main(['run', '--help']); "
        "print(sorted({'torch', 'brevitas', 'finn', 'qonnx', 'scipy'} & set(sys.modules)))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
    assert "--family NAME" in done.stdout


@dataclass(frozen=True)
class CountOptions:
    """Of a stage of one's own."""

    least: int = option(0, "smallest code that is counted", metavar="N")


def count(stage, options):
    codes = stage.problem.codes[stage.problem.codes >= options.least]
    stage.folder.file("count.txt").write_text(str(len(codes)))
    return {"counted": len(codes), "hidden": stage.earlier(FitOptions).hidden}, ["count.txt"]


def check_count(options, chosen):
    if options.least > 99:
        raise ArgumentError("least", options.least, "is beyond all codes: use at most 99")


def test_a_stage_of_ones_own(registry, tmp_path, capsys):
    register_stage(
        StageKind(
            "count",
            "count codes",
            CountOptions,
            count,
            after="fit",
            branch=True,
            check=check_count,
        )
    )
    fitted(tmp_path)
    assert run("count", "--out", tmp_path, "--least", "0") == 0
    assert RunFolder(tmp_path).summary()["counted"] == 256
    assert RunFolder(tmp_path).summary()["hidden"] == 8
    assert run("count", "--out", tmp_path, "--least", "0") == 0
    assert "count: unchanged, skipped" in capsys.readouterr().out
    assert run("count", "--out", tmp_path, "--least", "100") == 2
    assert "--least 100 is beyond all codes: use at most 99" in capsys.readouterr().err
    assert run("count", "--help") == 0
    assert "smallest code that is counted (0)" in capsys.readouterr().out


def test_a_stage_after_nothing():
    with pytest.raises(ValueError, match="stage late is after 'never', which is no stage"):
        register_stage(StageKind("late", "", NoOptions, count, after="never"))


# -- what decides whether a stage runs again -------------------------------------------------------


@pytest.mark.parametrize("package", ["torch", "dhq-brevitas"])
def test_another_version_of_a_package_runs_it_again(tmp_path, monkeypatch, package):
    assert fitted(tmp_path)[1]
    assert not fitted(tmp_path)[1]
    version = importlib.metadata.version
    monkeypatch.setattr(
        "importlib.metadata.version", lambda name: "9.9" if name == package else version(name)
    )
    record, ran = fitted(tmp_path)
    assert ran
    assert record.versions[package] == "9.9"


def test_another_version_of_a_package_that_it_does_not_use(tmp_path, monkeypatch):
    assert fitted(tmp_path)[1]
    version = importlib.metadata.version
    monkeypatch.setattr(
        "importlib.metadata.version", lambda name: "9.9" if name == "qonnx" else version(name)
    )
    assert not fitted(tmp_path)[1]


def test_a_record_of_other_options_does_not_count(tmp_path):
    fitted(tmp_path)
    file = tmp_path / "fit.json"
    file.write_text(file.read_text().replace('"hidden": 8', '"concealed": 8'))
    assert RunFolder(tmp_path).chain() == {}


def test_earlier_options_are_typed(tmp_path):
    fitted(tmp_path)
    chosen = RunFolder(tmp_path).chosen()
    assert chosen.get(FitOptions) == replace(FIT, device="cpu" if no_cuda() else "cuda")
    assert chosen.find(QuantizeOptions) is None
    with pytest.raises(LookupError, match="no stage before this one has QuantizeOptions"):
        chosen.get(QuantizeOptions)


# -- the device ------------------------------------------------------------------------------------


def no_cuda():
    return not torch.cuda.is_available()


def test_auto_is_the_cpu_without_cuda(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    record, ran = fitted(tmp_path)
    assert record.options["device"] == "cpu"
    assert ran
    assert not fitted(tmp_path, replace(FIT, device="cpu"))[1]


def test_cuda_that_is_not_there(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    status, line = failure(capsys, "fit", "camera", "--out", tmp_path, "--device", "cuda")
    assert (status, "--device 'cuda' is not there: PyTorch finds no GPU" in line) == (2, True)
    for kind in STAGES.values():
        if issubclass(kind.options, DeviceOptions):
            options = replace(FIT, device="cuda") if kind.name == "fit" else kind.options()
            options = replace(options, device="cuda")
            with pytest.raises(ArgumentError, match="device='cuda' is not there"):
                check_stages({kind.name: options}, Chosen())


@pytest.mark.skipif(no_cuda(), reason="PyTorch finds no GPU")
def test_stages_on_a_gpu(tmp_path):
    on_cpu, _ = fitted(tmp_path, replace(FIT, device="cpu"))
    record, ran = fitted(tmp_path, replace(FIT, device="cuda"))
    assert ran
    assert record.key != on_cpu.key
    assert abs(record.results["psnr_float"] - on_cpu.results["psnr_float"]) < 0.1
    folder = RunFolder(tmp_path)
    for name in ("analyze", "plan", "quantize"):
        options = STAGES[name].options(device="cuda")
        run_stage(folder, name, options, progress=False, say=lambda text: None)
    loaded = load_run(tmp_path)
    assert {p.device.type for p in loaded.quantized_network.parameters()} == {"cpu"}
    codes = folder.array("quant.npz", "codes")
    assert codes.shape == (256, 1)
    assert all(isinstance(layer, LayerPlan) for layer in loaded.quantized_network.plans)


def test_what_narrowing_leaves_is_said(tmp_path, capsys):
    options = ["--size", 16, "--hidden", 24, "--layers", 1, "--steps", 200]
    assert run("fit", "astronaut", "--out", tmp_path, *options) == 0
    narrow = ["--first-hidden", 16, "--qat-steps", 0]
    assert run("quantize", "--out", tmp_path, *narrow) == 0
    said = capsys.readouterr().out
    before, after = re.search(
        r"24 -> 16 neurons; the float network had (\S+) dB and has (\S+)\n", said
    ).groups()
    values = json.loads((tmp_path / "summary.json").read_text())
    assert f"{values['psnr_float']:.2f}" == before  # of all neurons
    assert values["psnr_calibrated"] < float(after) < float(before)
    assert load_run(tmp_path).quantized_network.spec.sizes == [(2, 16), (16, 3)]
    assert load_run(tmp_path).float_network.spec.sizes == [(2, 24), (24, 3)]


def test_the_planner_chooses_the_width_and_the_plan_says_it(tmp_path, capsys):
    options = ["--size", 16, "--hidden", 32, "--layers", 1, "--steps", 100]
    assert run("fit", "astronaut", "--out", tmp_path, *options) == 0
    auto = ["--scheme", "auto", "--weight-bits", 3, "--first-hidden", "auto", "--qat-steps", 0]
    assert run("quantize", "--out", tmp_path, *auto) == 0
    values = json.loads((tmp_path / "layer_plan.json").read_text())
    assert [width["neurons"] for width in values["first_hidden"]] == [32, 24]
    best = max(values["first_hidden"], key=lambda width: width["sqnr"] or 0)
    assert best["taken"]
    network = load_run(tmp_path).quantized_network
    assert network.spec.sizes == [(2, best["neurons"]), (best["neurons"], 3)]
    assert f"{best['neurons']} neurons" in (tmp_path / "layer_plan.txt").read_text()
