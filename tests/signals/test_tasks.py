# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import wavfile
from skimage.transform import radon

from dhq_brevitas.inr.network import Inr
from dhq_brevitas.inr.spec import InrSpec
from dhq_brevitas.inr.training import TrainSpec, fit_float, tensor_psnr
from dhq_brevitas.signals import tasks
from dhq_brevitas.signals.metrics import psnr
from dhq_brevitas.signals.tasks import TASKS, Problem, get_task, register_task
from dhq_brevitas.signals.tasks.radiance import render, scene
from dhq_brevitas.signals.tasks.shape import mesh_of
from dhq_brevitas.signals.tasks.tomography import radon_weights

SOURCES = {
    "picture": ("astronaut", 16),
    "super-resolution": ("astronaut", 17),
    "denoising": ("camera", 16),
    "inpainting": ("coffee", 16),
    "audio": ("chord", 256),
    "shape": ("torus", 16),
    "tomography": ("phantom", 16),
    "radiance": ("shapes", 8),
}


def problem(task: str, **options) -> Problem:
    source, size = SOURCES[task]
    return get_task(task).problem(source, size, **options)


def test_every_task_has_a_source_here():
    assert list(SOURCES) == list(TASKS)


# -- what every task must hold ---------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_saved_and_read_again(task, tmp_path):
    before = problem(task)
    before.save(tmp_path / "signal.npz")
    after = Problem.load(tmp_path / "signal.npz")
    assert after.digest() == before.digest()
    others = ("task", "name", "shape", "step", "notes", "results", "details")
    assert all(getattr(after, name) == getattr(before, name) for name in others)


@pytest.mark.parametrize("task", [task for task in TASKS if task != "radiance"])
def test_points_are_a_grid_of_exact_codes(task):
    data = problem(task)
    assert np.unique(data.codes, axis=0).shape == data.codes.shape
    for axis, side in enumerate(data.shape):
        assert len(np.unique(data.codes[:, axis])) == side
    largest = np.abs(data.codes).max()
    assert largest <= 2 ** (data.bits - 1)
    assert 0.8 < largest * data.step <= 1
    assert torch.equal(data.inputs, torch.from_numpy(data.codes).float())


@pytest.mark.parametrize("task", TASKS)
def test_pictures_of_a_result(task, tmp_path):
    data = problem(task)
    noise = np.random.default_rng(0).normal(0, 0.05, data.values.shape)
    outputs = (data.values + noise).astype(np.float32)
    written = TASKS[task].write(data, outputs, tmp_path / "level")
    assert written.stem == "level"
    other = TASKS[task].write(data, -outputs, tmp_path / "other")
    assert written.read_bytes() != other.read_bytes()
    TASKS[task].compare(tmp_path / "all.png", data, [("float", data.values), ("finn", outputs)])
    with Image.open(tmp_path / "all.png") as image:
        assert image.width > 2 * image.height
        # More than a background.
        assert len(np.unique(np.asarray(image.convert("L")))) > 20


@pytest.mark.parametrize("task", TASKS)
def test_unknown_numbers(task):
    with pytest.raises(ValueError, match=f"loudness=3 is no parameter of {task}; it has: "):
        problem(task, parameters={"loudness": 3})


# -- each task -------------------------------------------------------------------------------------


def test_super_resolution_gives_means_at_their_centers():
    data = problem("super-resolution")
    assert data.shape == (16, 16)  # the odd row and column are left out
    fine = data.grid(data.values)
    for code, value in zip(data.fit_codes, data.fit_values, strict=True):
        near = np.abs(data.codes - code).max(axis=1) == 1
        assert near.sum() == 4
        np.testing.assert_allclose(data.values[near].mean(axis=0), value, atol=1e-6)
    assert data.results["psnr_given"] == pytest.approx(
        psnr(fine, fine.reshape(8, 2, 8, 2, 3).mean((1, 3)).repeat(2, 0).repeat(2, 1)), abs=1e-4
    )


def test_denoising_has_the_noise_asked_for():
    data = get_task("denoising").problem("camera", 64, parameters={"noise": 0.1}, seed=3)
    assert np.std(data.fit_values - data.values) == pytest.approx(0.1, rel=0.05)
    again = get_task("denoising").problem("camera", 64, parameters={"noise": 0.1}, seed=4)
    assert again.digest() != data.digest()


def test_inpainting_keeps_its_part():
    data = problem("inpainting", parameters={"kept": 0.25})
    assert len(data.fit_codes) == round(0.25 * len(data.codes))
    places = {tuple(code): place for place, code in enumerate(data.codes.tolist())}
    kept = [places[tuple(code)] for code in data.fit_codes.tolist()]
    assert kept == sorted(set(kept))
    np.testing.assert_array_equal(data.fit_values, data.values[kept])


@pytest.mark.parametrize("side", [16, 17])
def test_line_integrals_are_those_of_scikit_image(side):
    picture = np.random.default_rng(0).random((side, side))
    picture[np.hypot(*(np.mgrid[:side, :side] - side // 2)) > side // 2 - 1] = 0
    angles = np.array([0.0, 13.0, 45.0, 90.0, 120.0])
    rows, columns, weights = radon_weights(side, angles)
    sums = np.zeros(len(angles) * side)
    np.add.at(sums, rows, weights * picture.reshape(-1)[columns])
    # Weights are rounded to float32.
    np.testing.assert_allclose(
        sums.reshape(-1, side).T, radon(picture, angles, circle=True), atol=1e-6 * side
    )


def test_a_view_is_what_the_samples_let_through():
    samples = np.array([[0.5, -1.0, 0.0, -0.3], [1.0, -1.0, 0.2, 0.5], [-1.0, 1.0, 0.0, 1.0]])
    light = np.exp(-20 * 2 / 3 * np.array([0.5, 1.5]))  # behind the second and third sample
    expected = (1 - light[0]) * np.array([1, 0, 0.6]) + (light[0] - light[1]) * np.array(
        [0, 1, 0.5]
    )
    np.testing.assert_allclose(render(samples), expected + light[1], rtol=1e-12)
    np.testing.assert_array_equal(render(-np.ones((2, 5, 4))), np.ones((2, 3)))  # white


def test_scenes_have_shapes_where_they_are():
    points = np.array([[0.15, 0.0, 0.0], [-0.35, 0.45, 0.0], [0.9, 0.9, 0.9]])
    values = scene("shapes", points)
    assert values[:, 3].round(3).tolist() == [1.0, 0.997, -1.0]
    assert values[0, :3].argmax() == 2  # blue
    assert values[1, :3].argmax() == 0  # orange
    data = problem("radiance", parameters={"views": 3})
    assert (data.values.shape, data.fit_values.shape) == ((2 * 8**3, 4), (3 * 8**3, 4))
    # The cameras that judge are none of those that the network is fitted to.
    given = set(map(tuple, data.fit_codes.tolist()))
    assert len(given & set(map(tuple, data.codes.tolist()))) < 0.1 * len(given)


def test_tomography_measures_its_slice():
    data = problem("tomography", parameters={"angles": 5})
    assert len(data.fit_values) == 5 * 16
    projected = data.project(torch.from_numpy(data.values)).numpy()
    np.testing.assert_allclose(projected, data.fit_values, atol=1e-5)
    assert 10 < data.results["psnr_given"] < 30


def test_fitting_through_a_projection():
    """The samples are never given, only sums of pairs; the network finds those sums."""
    inputs = torch.linspace(-1, 1, 16).unsqueeze(1)
    sums = torch.sin(3 * inputs)[0::2] + torch.sin(3 * inputs)[1::2]
    model = Inr(InrSpec(hidden=16, layers=1, in_features=1, out_features=1))
    spec = TrainSpec(200, batch=4)  # a batch would not do: sums need them all
    result = fit_float(
        model, inputs, sums, spec, progress=False, project=lambda y: y[0::2] + y[1::2]
    )
    found = model(inputs)[0::2] + model(inputs)[1::2]
    assert result.psnr == pytest.approx(tensor_psnr(found.detach(), sums))
    assert result.psnr > 20
    with pytest.raises(ValueError, match=r"inputs \(16, 1\) and target \(8, 1\) must be"):
        fit_float(model, inputs, sums, spec, progress=False)


@pytest.mark.parametrize("name", ["sphere", "box", "torus"])
def test_volume_of_a_shape(name):
    data = get_task("shape").problem(name, 48)
    inside = float((data.values < 0).sum()) * data.step**3
    volumes = {
        "sphere": 4 / 3 * np.pi * 0.6**3,
        "box": 0.48 * 2,
        "torus": 2 * np.pi**2 * 0.5 * 0.22**2,
    }
    # Counted in cubes of 1/24.
    assert inside == pytest.approx(volumes[name], rel=0.05)
    vertices, triangles = mesh_of(data, data.values)
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    meshed = abs(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)
    assert meshed == pytest.approx(volumes[name], rel=0.03)


def test_iou():
    data = problem("shape")
    metric = TASKS["shape"].metrics
    assert metric(data, data.values) == {"iou": 1.0}
    assert metric(data, np.ones_like(data.values)) == {"iou": 0.0}
    half = data.values.copy()
    half[: len(half) // 2] = 1
    assert 0.3 < metric(data, half)["iou"] < 0.7


def test_a_surface_that_is_not_there(tmp_path):
    data = problem("shape")
    outside = np.ones_like(data.values)
    TASKS["shape"].write(data, outside, tmp_path / "none")
    TASKS["shape"].compare(tmp_path / "all.png", data, [("finn", outside)])
    assert (tmp_path / "all.png").exists()


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.skipif(importlib.util.find_spec("soundfile") is None, reason="no soundfile")
def test_sound_file(tmp_path):
    wave = (np.sin(np.arange(400) / 9)[:, None] * [16000, 8000]).astype(np.int16)
    path = tmp_path / "stereo.wav"
    wavfile.write(path, 22050, wave)
    data = get_task("audio").problem(str(path), 300)
    assert data.details == {"rate": 22050}
    assert data.notes == ("stereo.wav has 2 channels; they are averaged",)
    np.testing.assert_allclose(data.values[:, 0], wave[:300].mean(axis=1) / 2**15, atol=1e-6)
    back = TASKS["audio"].write(data, data.values, tmp_path / "again")
    rate, samples = wavfile.read(back)
    assert rate == 22050
    np.testing.assert_allclose(samples / 32767, data.values[:, 0], atol=2e-5)


def _mesh(folder, closed=True):
    trimesh = pytest.importorskip("trimesh")
    pytest.importorskip("rtree")
    mesh = trimesh.creation.icosphere(subdivisions=2, radius=7.0)
    mesh.apply_translation([10, -3, 5])
    if not closed:
        mesh.update_faces(np.arange(len(mesh.faces)) > 3)
    path = folder / "mesh.stl"
    mesh.export(path)
    return path


def test_mesh_file_is_scaled_into_the_cube(tmp_path):
    data = get_task("shape").problem(str(_mesh(tmp_path)), 12)
    distance = np.linalg.norm(data.codes * data.step, axis=1) - 0.8
    # The icosphere's faces lie up to 2 % inside its sphere.
    np.testing.assert_allclose(data.values[:, 0], np.clip(distance, -1, 1), atol=0.03)


def test_open_mesh(tmp_path):
    with pytest.raises(ValueError, match="the mesh is not closed, so it has no inside"):
        get_task("shape").problem(str(_mesh(tmp_path, closed=False)), 12)


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("denoising", {"parameters": {"noise": 0}}, "noise=0 must be positive"),
        ("inpainting", {"parameters": {"kept": 1}}, "kept=1 must be between 0 and 1"),
        ("tomography", {"parameters": {"angles": 1}}, "angles=1 must be a whole number, 2 to 720"),
        ("shape", {"parameters": {"reach": 0}}, "reach=0 must be positive"),
        ("radiance", {"parameters": {"views": 1.5}}, "views=1.5 must be a whole number, 2 to 48"),
    ],
)
def test_numbers_out_of_range(task, options, message):
    with pytest.raises(ValueError, match=message):
        problem(task, **options)


@pytest.mark.parametrize(
    ("task", "name", "content", "message"),
    [
        ("audio", "none.wav", None, "there is no sound .* give a WAV, FLAC or OGG file, or chord"),
        ("audio", "bad.wav", b"no sound at all", "cannot read the sound"),
        ("shape", "none.stl", None, "there is no shape .* or one of torus, sphere, box"),
        ("shape", "bad.stl", b"solid x", "cannot (read|use)"),
        ("tomography", "none.png", None, "there is no picture"),
        ("radiance", "none", None, "is no scene: use shapes"),
    ],
)
def test_files_that_cannot_be_read(task, name, content, message, tmp_path):
    pytest.importorskip("soundfile")
    pytest.importorskip("trimesh")
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        get_task(task).problem(str(path), 100)


def test_sounds_that_cannot_be_used(tmp_path):
    pytest.importorskip("soundfile")
    audio = get_task("audio")
    with pytest.raises(ValueError, match="size=10 is too short: use at least 64 samples"):
        audio.problem("chord", 10)
    for name, samples, message in [
        ("short.wav", np.ones(20, np.int16), "has 20 samples, which is too short"),
        ("silent.wav", np.zeros(200, np.int16), "is silent in its first 100 samples"),
        ("loud.wav", np.full(200, 3.0, np.float32), r"must be finite and in \[-1, 1\]"),
        ("nan.wav", np.full(200, np.nan, np.float32), "must be finite"),
    ]:
        path = tmp_path / name
        wavfile.write(path, 8000, samples)
        with pytest.raises(ValueError, match=message):
            audio.problem(str(path), 100)


@pytest.mark.parametrize(
    ("size", "message"), [(4, "size=4 is out of range"), (200, "size=200 is out of range")]
)
def test_size_of_a_shape(size, message):
    with pytest.raises(ValueError, match=message):
        get_task("shape").problem("torus", size)


# -- problems made by hand -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codes": np.zeros(4, int)}, r"codes of shape \(4,\) .* must be integers \[points, axes"),
        ({"codes": np.zeros((4, 2))}, "codes of shape .* type float64 must be integers"),
        ({"codes": np.full((4, 2), 1 << 23)}, "codes need 25 bits, more than the 24"),
        ({"values": np.zeros((3, 1))}, r"must be \[4, channels\], a row for each of the codes"),
        ({"values": np.full((4, 1), 1.5)}, "values span 1.5 to 1.5, more than"),
        ({"values": np.full((4, 1), np.nan)}, "values hold NaN or infinity"),
        ({"shape": (3, 2)}, r"shape=\(3, 2\) does not hold 4 points"),
        ({"step": 0.0}, "step=0.0 must be positive"),
        ({"fit_values": np.zeros((3, 1))}, r"fit_values of shape \(3, 1\) must be \[4, channels"),
        ({"fit_values": np.full((4, 1), np.inf)}, "fit_values hold NaN or infinity"),
    ],
)
def test_data_that_do_not_fit(changes, message):
    codes = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    good = Problem("own", "square", codes, np.zeros((4, 1), np.float32), (2, 2), 0.5)
    with pytest.raises(ValueError, match=message):
        replace(good, **changes)


# -- the registry ----------------------------------------------------------------------------------


def test_registry(monkeypatch, tmp_path):
    monkeypatch.setattr(tasks, "TASKS", dict(TASKS))
    register_task(replace(get_task("picture"), name="photo"))
    assert get_task("photo").name == "photo"
    with pytest.raises(ValueError, match="task='film' is unknown: use picture, super-resolution"):
        get_task("film")
    path = tmp_path / "own.py"
    path.write_text("TASK = 1")
    with pytest.raises(
        ValueError, match=r"must define TASK, a dhq_brevitas\.signals\.tasks\.base\.Task"
    ):
        get_task(str(path))
