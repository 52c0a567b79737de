"""Commands and image files: units, names, what is written over, models of something else."""

from pathlib import Path

import numpy as np
import pytest

import dsmfast
from dsmfast import images
from dsmfast.cli import main

Image = pytest.importorskip("PIL.Image")
tifffile = pytest.importorskip("tifffile")
pytest.importorskip("imagecodecs")
pytest.importorskip("safetensors")

LEVELS = np.random.default_rng(0).integers(256, size=(12, 14)).astype(np.uint8)
TRAIN = ["--patches", "50", "--patch", "3", "--hidden", "4", "--epochs", "1"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A directory with an image, and a model that says of a square that it is its mean."""
    monkeypatch.chdir(tmp_path)
    dsmfast.ScoreModel(np.zeros((1, 9)), np.zeros(1), np.zeros(9), 1.0).save("m.safetensors")
    Image.fromarray(LEVELS).save("a.png")
    return tmp_path


def refused(capsys, *arguments):
    """Return what is said where a command does nothing."""
    assert main(list(arguments)) == 2
    return capsys.readouterr().err


def said(capsys, *arguments):
    assert main(list(arguments)) == 0
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["denoise", "m.safetensors", "a.png", "--out", "b.png", "--noise", "25"], "--noise: "),
        (["train", "a.png", *TRAIN, "--out", "t", "--sigma", "25"], "--sigma: "),
        (["train", "a.png", *TRAIN, "--out", "t", "--sigma-end", "25"], "--sigma-end: "),
        (["train", "a.png", *TRAIN, "--out", "t", "--sigma-max", "25"], "--sigma-max: "),
    ],
)
def test_noise_in_units_of_255_is_refused(capsys, arguments, message):
    shown = refused(capsys, *arguments)
    assert f"{message}expected at most 1, because white is 1, got 25; 25 of 255 is 0.098" in shown
    assert not Path(arguments[arguments.index("--out") + 1]).exists()


def test_white_is_of_the_files_that_go_so_far(capsys):
    """An image of 8 bits beside others of 12 was denoised as if it were nearly black."""
    tifffile.imwrite("deep.tif", LEVELS.astype(np.uint16) * 16, photometric="minisblack")
    command = ["denoise", "m.safetensors", "a.png", "deep.tif", "--white", "4080", "--out", "o"]
    assert said(capsys, *command) == (
        "dsmfast: a.png: white is 255 in it, the largest number of uint8, not 4080\n"
    )
    shallow, deep = images.read("o/a.png"), images.read("o/deep.tif", white=4080)
    assert np.abs(shallow - deep).max() < 1.01 / 255


@pytest.mark.parametrize("link", [False, True])
def test_images_are_not_written_over(capsys, link):
    out = "link.png" if link else "a.png"
    if link:
        Path(out).symlink_to("a.png")
    before = Path("a.png").read_bytes()
    shown = refused(capsys, "denoise", "m.safetensors", "a.png", "--out", out)
    assert "--out: a.png" in shown
    assert "would be overwritten; choose another name" in shown
    assert Path("a.png").read_bytes() == before


@pytest.mark.parametrize(
    "command",
    [
        ["energy", "m.safetensors", "x.csv"],
        ["score", "m.safetensors", "x.csv"],
        ["transform", "m.safetensors", "x.csv"],
        ["denoise", "m.safetensors", "x.csv"],
        ["sample", "m.safetensors", "x.csv"],
        ["impute", "m.safetensors", "x.csv"],
        ["outliers", "x.csv"],
        ["outliers", "y.csv", "x.csv"],
    ],
)
def test_rows_are_not_written_over(capsys, command):
    for name in ("x.csv", "y.csv"):
        np.savetxt(name, np.random.default_rng(0).random((9, 9)), delimiter=",")
    before = Path("x.csv").read_bytes()
    shown = refused(capsys, *command, "--out", "./x.csv")
    assert "--out: x.csv would be overwritten; choose another name" in shown
    assert Path("x.csv").read_bytes() == before


def test_modes_are_looked_for_where_images_have_many_scales_of_noise(capsys, monkeypatch):
    """At one scale, which is for denoising, nothing is said of where the energy is low."""
    name = "dsmfast.cli.commands.train.spurious_modes"
    monkeypatch.setattr(name, lambda *arguments, **options: "a mode")
    one = said(capsys, "train", "a.png", *TRAIN, "--out", "t")
    many = said(capsys, "train", "a.png", *TRAIN, "--sigma-max", "0.4", "--out", "t")
    assert "a mode" not in one
    assert "dsmfast: a mode; try a larger --sigma-max\n" in many


def test_sigma_max_is_in_the_unit_of_sigma(capsys):
    said(capsys, "train", "a.png", *TRAIN, "--sigma", "0.1", "--sigma-max", "0.4", "--out", "t")
    model = dsmfast.load("t/model.safetensors")
    assert model.sigma == pytest.approx(0.1 / images.UNIT)
    assert model.training["sigma_max"] == pytest.approx(0.4 / images.UNIT)


def test_another_image_is_not_written_over(capsys):
    Path("o").mkdir()
    Image.fromarray(LEVELS // 2).save("b.png")
    Path("o/a.png").symlink_to(Path("b.png").resolve())
    shown = refused(capsys, "denoise", "m.safetensors", "a.png", "b.png", "--out", "o")
    assert "--out: b.png, which is o/a.png, would be overwritten" in shown


def test_training_does_not_write_over_its_rows(capsys):
    Path("d").mkdir()
    np.savetxt("d/history.csv", np.random.default_rng(0).random((9, 9)), delimiter=",")
    shown = refused(capsys, "train", "d/history.csv", "--epochs", "1", "--out", "d")
    assert "--out: d/history.csv would be overwritten" in shown
    Path("a.png").rename("d/filters.png")
    assert "d/filters.png would be over" in refused(capsys, "train", "d", *TRAIN, "--out", "d")


def test_a_model_that_is_not_of_patches_is_told_of(capsys):
    np.savetxt("x.csv", np.random.default_rng(0).random((40, 9)), delimiter=",")
    said(capsys, "train", "x.csv", "--epochs", "1", "--hidden", "4", "--out", "rows")
    said(capsys, "train", "a.png", *TRAIN, "--out", "photo")
    assert dsmfast.load("photo/model.safetensors").training["data"] == "patches of images"
    assert dsmfast.load("rows/model.safetensors").training["data"] == "rows"
    dsmfast.train(np.ones((9, 9)), 2, 0.5, epochs=1).model.save("old.safetensors")
    for model, message in (
        ("photo", ""),
        ("m.safetensors", ""),
        ("rows", "dsmfast: rows was trained on rows, not on images; if these rows are not patches"),
        (
            "old.safetensors",
            "dsmfast: old.safetensors has no record of its training data; if",
        ),
    ):
        shown = said(capsys, "denoise", model, "a.png", "--out", "b.png")
        assert shown.startswith(message)
        assert bool(shown) == bool(message)
    assert said(capsys, "energy", "rows", "x.csv") == ""


def test_what_is_no_image_in_a_directory_is_told_of(capsys):
    Path("in/more.png").mkdir(parents=True)
    Path("a.png").rename("in/a.png")
    for name in (".hidden", "._a.png", "notes.txt", "b.tga"):
        Path(f"in/{name}").write_text("none")
    shown = said(capsys, "denoise", "m.safetensors", "in", "--out", "o")
    assert shown == "dsmfast: in: skipped, as no images: b.tga, more.png/, notes.txt\n"
    assert [path.name for path in Path("o").iterdir()] == ["a.png"]
    assert "skipped, as no images" in said(capsys, "train", "in", *TRAIN, "--out", "t")
    for i in range(9):
        Path(f"in/{i}").mkdir()
    assert "0/, 1/, 2/, 3/, 4/ and 7 more" in said(
        capsys, "denoise", "m.safetensors", "in", "--out", "o"
    )


@pytest.mark.parametrize("command", ["denoise m.safetensors a.jxl --out b.png", "train a.jxl"])
def test_endings_of_images_are_named(capsys, command):
    Path("a.jxl").write_text("none")
    shown = refused(capsys, *command.split(), *["--out", "b.png"] * (command[0] == "t"))
    assert "a.jxl: expected a file ending in .npy, " in shown
    assert "or of an image (.png, " in shown


def test_a_directory_may_be_called_like_an_image(capsys):
    Path("in.png").mkdir()
    Path("a.png").rename("in.png/a.png")
    assert said(capsys, "denoise", "m.safetensors", "in.png", "--out", "o") == ""


def test_a_slash_is_of_a_directory(capsys):
    assert said(capsys, "denoise", "m.safetensors", "a.png", "--out", "clean/") == ""
    assert [path.name for path in Path("clean").iterdir()] == ["a.png"]


def test_large_images_need_no_leave(capsys, monkeypatch):
    for limit in (100, 50):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert said(capsys, "denoise", "m.safetensors", "a.png", "--out", "b.png") == ""
        assert "pixels" not in said(capsys, "train", "a.png", *TRAIN, "--out", "t")
        assert limit == Image.MAX_IMAGE_PIXELS


def test_small_images_are_named(capsys):
    Image.fromarray(LEVELS[:2]).save("small.png")
    message = "small.png: expected at least 3 x 3 pixels"
    assert message in refused(capsys, "denoise", "m.safetensors", "small.png", "--out", "b.png")
    assert message in refused(capsys, "train", "a.png", "small.png", *TRAIN, "--out", "t")
