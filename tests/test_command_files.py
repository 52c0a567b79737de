"""Commands and files: photographs, disks that are full, pipes that are closed."""

import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest

import dsmfast
from dsmfast.cli import main

pytest.importorskip("sklearn")
pytest.importorskip("safetensors")


@pytest.fixture
def spiral_model(tmp_path):
    """Not of digits: each process that reads those imports scikit-learn."""
    dsmfast.ScoreModel.initialize(2, 20, 0.3).save(tmp_path / "spiral.safetensors")
    return str(tmp_path / "spiral.safetensors")


class TestImages:
    @pytest.fixture
    def photograph(self, tmp_path):
        pytest.importorskip("PIL")
        pytest.importorskip("tifffile")
        pytest.importorskip("imagecodecs")
        from sklearn.datasets import load_sample_images

        from dsmfast import images

        crop = load_sample_images().images[0][100:164, 200:280] / 255
        images.write(tmp_path / "photo.png", crop)
        noisy = crop + 0.1 * np.random.default_rng(0).standard_normal(crop.shape)
        images.write(tmp_path / "noisy.png", noisy)
        return images.read(tmp_path / "photo.png"), tmp_path

    def test_train_and_denoise(self, photograph, capsys):
        from dsmfast import images

        clean, folder = photograph
        model = str(folder / "model")
        options = ["--patch", "6", "--patches", "5000", "--hidden", "64", "--epochs", "100"]
        assert main(["train", str(folder / "photo.png"), *options, "--out", model]) == 0
        assert "4000 rows to train on, 1000 held out, 36 features" in capsys.readouterr().out
        noisy, out = folder / "noisy.png", folder / "clean.png"
        assert main(["denoise", model, str(noisy), "--out", str(out)]) == 0
        before = ((images.read(noisy) - clean) ** 2).mean()
        assert ((images.read(out) - clean) ** 2).mean() < 0.7 * before
        array = ["--noise", "0.05", "--stride", "3", "--out", str(folder / "clean.npy")]
        assert main(["denoise", model, str(noisy), *array]) == 0
        assert "noise of 0.05 is far from the 0.1 that the model was" in capsys.readouterr().err
        expected = images.denoise(
            dsmfast.load(folder / "model" / "model.safetensors"),
            images.read(noisy),
            noise=0.05,
            stride=3,
        )
        assert np.array_equal(np.load(folder / "clean.npy"), expected)

    def test_several_images(self, photograph, capsys):
        _, folder = photograph
        both = [str(folder / "photo.png"), str(folder / "noisy.png")]
        options = ["--patches", "100", "--epochs", "1", "--out", str(folder / "model")]
        assert main(["train", *both, *options]) == 0
        first = capsys.readouterr().out.splitlines()[0]
        assert first == f"{', '.join(both)}: 80 rows to train on, 20 held out, 64 features"

    @pytest.fixture
    def model(self, tmp_path):
        """Which says of a square that it is its mean."""
        path = tmp_path / "means.safetensors"
        dsmfast.ScoreModel(np.zeros((1, 9)), np.zeros(1), np.zeros(9), 1.0).save(path)
        return str(path)

    def test_depth_pages_and_what_is_said(self, photograph, model, capsys):
        """12 bits in a TIFF file of 16 came out with 15 levels of grey; pages were dropped."""
        tifffile = pytest.importorskip("tifffile")
        _, folder = photograph
        pages = np.linspace(0, 4000, 2 * 400).reshape(2, 20, 20).round().astype(np.uint16)
        tifffile.imwrite(folder / "deep.tif", pages, photometric="minisblack")
        command = ["denoise", model, str(folder / "deep.tif"), "--out"]
        assert main([*command, str(folder / "out.tif")]) == 0
        assert "white is taken to be 4095; if this is wrong" in capsys.readouterr().err
        with tifffile.TiffFile(folder / "out.tif") as file:
            stored = np.stack([page.asarray() for page in file.pages])
        assert stored.dtype == np.uint16
        assert np.abs(stored.astype(int) - pages).max() < 300
        assert main([*command, str(folder / "out.tif"), "--white", "4095"]) == 0
        assert capsys.readouterr().err == ""
        assert main([*command, str(folder / "out.npy"), "--white", "4095"]) == 0
        assert np.load(folder / "out.npy").shape == (2, 20, 20)
        assert main([*command, str(folder / "out.jpg"), "--white", "4095"]) == 2
        shown = capsys.readouterr().err
        assert "JPEG files hold one image, and " in shown
        assert "deep.tif holds 2; write to one of .png, .tif" in shown
        one = ["denoise", model, str(folder / "one.tif")]
        tifffile.imwrite(folder / "one.tif", pages[1], photometric="minisblack")
        assert main([*one, "--white", "4095", "--out", str(folder / "one.webp")]) == 0
        said = capsys.readouterr().err
        assert "one.webp: not kept in WEBP: uint16, for which there is uint8" in said
        assert said.count("\n") == 1

    def test_a_gif(self, photograph, model, capsys):
        """It was blamed on --out."""
        from dsmfast import images

        clean, folder = photograph
        gif, out = str(folder / "a.gif"), str(folder / "b.png")
        with pytest.warns(
            images.ImageWarning, match="not kept in GIF: all colours but 256 of a fra"
        ):
            images.write(gif, clean)
        assert main(["denoise", model, gif, "--out", out]) == 0
        assert images.read(out).shape == clean.shape
        assert main(["denoise", model, "photo.heic", "--out", out]) == 2
        assert capsys.readouterr().err.startswith("dsmfast: photo.heic: expected a file ending in")

    def test_several_and_directories(self, photograph, model, capsys):
        from dsmfast import images

        clean, folder = photograph
        inside, out = folder / "in", folder / "out"
        inside.mkdir()
        (inside / "notes.txt").write_text("no image")
        for name in ("a.png", "b.tif"):
            images.write(inside / name, clean, dtype="uint16")
        command = ["denoise", model, str(folder / "photo.png"), str(inside), "--verbose"]
        assert main([*command, "--out", str(out)]) == 0
        assert "dsmfast: image 3 of 3" in capsys.readouterr().err
        assert sorted(path.name for path in out.iterdir()) == ["a.png", "b.tif", "photo.png"]
        expected = images.denoise(dsmfast.load(model), clean)
        for path in out.iterdir():
            assert np.abs(images.read(path) - expected).max() < 0.51 / 255
            assert (images.open(path).dtype == np.uint16) == (path.name != "photo.png")
        # One that cannot be read stops no other.
        (inside / "aa.png").write_text("no image")
        assert main([*command, "--out", str(folder / "again")]) == 2
        shown = capsys.readouterr().err
        assert "aa.png: not a readable image" in shown
        assert "dsmfast: 1 of 4 images were not denoised" in shown
        assert len(list((folder / "again").iterdir())) == 3

    def test_training_on_a_directory(self, photograph, capsys):
        _, folder = photograph
        options = ["--patches", "100", "--epochs", "1", "--out", str(folder / "model")]
        assert main(["train", str(folder), *options]) == 0
        shown = capsys.readouterr().out
        assert f"{folder / 'noisy.png'}, {folder / 'photo.png'}: 80 rows to train on" in shown

    def test_mistakes_with_several(self, photograph, model, capsys):
        _, folder = photograph
        photo, noisy, empty = str(folder / "photo.png"), str(folder / "noisy.png"), folder / "empty"
        empty.mkdir()
        (folder / "in").mkdir()
        (folder / "in" / "photo.png").write_bytes((folder / "photo.png").read_bytes())
        cases = [
            ([photo, noisy, "--out", "x.png"], "--out: expected a directory for several images"),
            (
                [photo, noisy, "--out", str(folder)],
                "photo.png would be overwritten; choose another",
            ),
            ([photo, str(folder / "in"), "--out", "x"], "would both be written to x/photo.png"),
            (
                [str(empty), "--out", "x"],
                "empty: expected a file or a directory of images (.png, ",
            ),
            ([photo, "digits", "--out", "x"], "DATA: expected one set or file, or images, got "),
            (["digits", "spiral"], "DATA: expected one set or file, or images, got digits spiral"),
            (["digits", "--stride", "2"], "--stride: expected only with images, got digits"),
            (["digits", "--white", "2"], "--white: expected only with images, got digits"),
            ([photo, "--white", "0", "--out", "x.png"], "white: expected a finite number > 0"),
        ]
        for arguments, message in cases:
            assert main(["denoise", model, *arguments]) == 2, arguments
            shown = capsys.readouterr().err
            assert message in shown
            assert shown.count("\n") == 1
        assert main(["train", "digits", "--white", "1", "--out", "x"]) == 2
        assert "--white: expected only with images, got digits" in capsys.readouterr().err

    def test_mistakes(self, photograph, tmp_path, capsys):
        _, folder = photograph
        photo, model = str(folder / "photo.png"), str(tmp_path / "digits.safetensors")
        dsmfast.ScoreModel.initialize(64, 20, 0.3).save(model)
        dsmfast.ScoreModel.initialize(5, 3, 0.1).save(folder / "five.safetensors")
        (folder / "cut.png").write_bytes((folder / "photo.png").read_bytes()[:300])
        cases = [
            (["denoise", model, photo], "--out: needed for images"),
            (
                ["denoise", model, photo, "--out", "x.csv"],
                "--out: expected a file endin",
            ),
            (
                ["denoise", model, photo, "--key", "X", "--out", "x.png"],
                "--key: expected only with .npz",
            ),
            (["denoise", model, "digits", "--noise", "1"], "--noise: expected only with images"),
            (
                ["denoise", model, str(folder / "cut.png"), "--out", "x.png"],
                "cut.png: not",
            ),
            (
                ["denoise", str(folder / "five.safetensors"), photo, "--out", "x.png"],
                "expected one of square patches, got one of 5 features",
            ),
            (["train", photo, "digits", "--out", "x"], "DATA: expected one set or file, or images"),
            (
                ["train", "digits", "--patch", "8", "--out", "x"],
                "--patch: expected only with images, got digits",
            ),
            (
                ["train", photo, "--patch", "65", "--out", "x"],
                "photo.png: expected at least 65 x 65 pixels",
            ),
            (
                ["train", photo, "--patch", "1", "--out", "x"],
                "--patch: expected an integer of at l",
            ),
        ]
        for arguments, message in cases:
            assert main(arguments) == 2, arguments
            shown = capsys.readouterr()
            assert message in shown.err
            assert shown.err.count("\n") == 1


def limited(size):
    """Let a process write no more than so many bytes to a file, as on a disk that is full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_disk_that_is_full(spiral_model, tmp_path):
    """A clear line, the old file as it was, and nothing half-written."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "hidden.npy").write_bytes(b"old")
    for arguments in (
        ["transform", spiral_model, "spiral", "--out", str(out / "hidden.npy")],
        ["train", "spiral", "--hidden", "2000", "--epochs", "1", "--out", str(out)],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "dsmfast", *arguments],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: limited(10_000),
        )
        assert done.returncode == 2
        assert done.stderr.startswith("dsmfast: ")
        assert "File too large" in done.stderr
        assert done.stderr.count("\n") == 1
        assert [path.name for path in out.iterdir()] == ["hidden.npy"]
        assert (out / "hidden.npy").read_bytes() == b"old"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110
def test_stdout_that_is_full(spiral_model):
    for arguments in (["energy", spiral_model, "spiral"], ["info"]):
        with open("/dev/full", "w") as full:  # noqa: PTH123
            done = subprocess.run(
                [sys.executable, "-m", "dsmfast", *arguments],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert done.returncode == 2
        assert done.stderr == "dsmfast: stdout: No space left on device\n"


def test_a_reader_that_has_seen_enough(spiral_model):
    done = subprocess.run(
        f"{sys.executable} -m dsmfast score spiral --model {spiral_model} | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("score_0,score_1\n")
    assert done.stderr == ""
