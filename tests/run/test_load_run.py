# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import pytest

from dhq_brevitas.run.loading import load_run
from dhq_brevitas.run.pipeline import run_stage
from dhq_brevitas.run.records import MissingStageError, RunFolder
from dhq_brevitas.run.stages.fit import FitOptions

pytestmark = pytest.mark.filterwarnings("ignore")


def test_no_such_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no run folder"):
        load_run(tmp_path / "none")


@pytest.mark.parametrize(
    ("part", "what"),
    [
        ("problem", "the data"),
        ("float_network", "the float network"),
        ("quantized_network", "the quantized network"),
        ("graph", "the QONNX graph"),
        ("host", "the host's side"),
    ],
)
def test_what_nothing_has_made_yet(tmp_path, part, what):
    run = load_run(tmp_path)
    with pytest.raises(MissingStageError, match=f"{what} needs the result of fit"):
        getattr(run, part)


def test_after_the_fit_alone(tmp_path):
    options = FitOptions("camera", size=16, hidden=8, layers=1, steps=0)
    run_stage(RunFolder(tmp_path), "fit", options, progress=False, say=lambda text: None)
    run = load_run(tmp_path)
    assert run.float_network.spec.hidden == 8
    assert run.float_network is run.float_network
    message = f"run dhq quantize --out {tmp_path} first"
    for part in ("quantized_network", "graph", "host"):
        with pytest.raises(MissingStageError, match=message):
            getattr(run, part)
    (tmp_path / "float.pt").write_bytes(b"")
    with pytest.raises(MissingStageError, match="does not hold"):
        load_run(tmp_path).float_network  # noqa: B018
