"""Image files: what is written is read, and what is no image is told of."""

import errno
import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsmfast import images

RNG = np.random.default_rng(5)
UNIT = images.UNIT


@pytest.fixture
def pillow():
    pytest.importorskip("tifffile")
    pytest.importorskip("imagecodecs")
    return pytest.importorskip("PIL.Image")


@pytest.mark.parametrize("ending", [".png", ".PNG", ".bmp", ".tif"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_eight_bits_come_back(pillow, tmp_path, ending, shape):
    path = tmp_path / f"image{ending}"
    levels = RNG.integers(256, size=shape)
    images.write(path, levels / 255)
    image = images.read(str(path))
    assert image.shape == shape
    assert image.dtype == np.float32
    assert np.array_equal(image, (levels / 255).astype(np.float32))


@pytest.mark.parametrize("ending", [".jpg", ".jpeg", ".webp"])
def test_lossy_formats_come_back_nearly(pillow, tmp_path, ending):
    path = tmp_path / f"image{ending}"
    ramp = np.linspace(0, 1, 64)[:, None] * np.array([1, 0.5, 0.25])
    image = np.broadcast_to(ramp[:, None], (64, 48, 3))
    images.write(path, image)
    assert np.abs(images.read(path) - image).max() < 0.03


def test_values_are_cut_off_and_rounded(pillow, tmp_path):
    path = tmp_path / "image.png"
    images.write(path, np.array([[-3.0, 0.4 / 255, 0.6 / 255, 1.0, 1.0, 7.0]])[:, :, None])
    assert np.array_equal(images.read(path), np.float32([[0, 0, 1 / 255, 1, 1, 1]]))


def test_sixteen_bits(pillow, tmp_path):
    path = tmp_path / "image.png"
    levels = np.array([[0, 1, 40000, 65535]], dtype=np.uint16)
    pillow.fromarray(levels).save(path)
    assert np.allclose(images.read(path), levels / 65535, rtol=1e-6, atol=0)


def test_transparency_is_dropped_from_arrays(pillow, tmp_path):
    path = tmp_path / "image.png"
    levels = RNG.integers(1, 256, size=(4, 6, 4)).astype(np.uint8)
    pillow.fromarray(levels).save(path)
    assert np.array_equal(images.read(path), np.float32(levels[:, :, :3]) / np.float32(255))
    pillow.fromarray(levels[:, :, 2:]).save(path)
    assert np.array_equal(images.read(path), np.float32(levels[:, :, 2]) / np.float32(255))


def test_other_modes(pillow, tmp_path):
    path = tmp_path / "image.png"
    black_and_white = np.array([[True, False], [False, True]])
    pillow.fromarray(black_and_white).save(path)
    assert np.array_equal(images.read(path), black_and_white)
    palette = pillow.fromarray(np.array([[0, 1]], dtype=np.uint8)).convert("P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.save(path, transparency=0)
    assert np.array_equal(images.open(path).alpha[0], [[0, 1]])
    # What is not to be seen is of the colour beside it.
    assert np.array_equal(images.read(path), [[[0, 0, 1], [0, 0, 1]]])
    fractions = np.array([[0, 0.25, 1]], dtype=np.float32)
    pillow.fromarray(fractions).save(tmp_path / "image.tif")
    assert np.array_equal(images.read(tmp_path / "image.tif"), fractions)


def test_photographs_are_turned_upright(pillow, tmp_path):
    path = tmp_path / "image.png"
    upright = RNG.integers(256, size=(4, 6)).astype(np.uint8)
    exif = pillow.Exif()
    exif[0x0112] = 6  # a camera held on its side: turn by 90 degrees clockwise to see it
    pillow.fromarray(np.rot90(upright)).save(path, exif=exif)
    assert np.array_equal(images.read(path), np.float32(upright) / np.float32(255))


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.array([[0, 70000]], np.int32), "expected pixels up to 65535, got 70000; give"),
        (np.array([[-1, 3]], np.int32), "expected pixels of at least 0, got -1 to 3"),
        (np.float32([[0, 1e6]]), "expected pixels up to 65535, got 1e[+]06; give"),
        (np.float32([[0, np.nan]]), "expected finite pixels, got nan"),
    ],
)
def test_values_of_unknown_scale(pillow, tmp_path, pixels, message):
    path = tmp_path / "image.tif"
    pillow.fromarray(pixels).save(path)
    with pytest.raises(ValueError, match=rf"image\.tif: {message}"):
        images.read(path)


@pytest.mark.parametrize("ending", ["png", "jpeg", "tif"])
def test_cut_files_are_clear_errors(pillow, tmp_path_factory, ending):
    path = tmp_path_factory.mktemp("cut") / f"image.{ending}"
    images.write(path, np.random.default_rng(0).random((20, 30, 3)))
    whole = path.read_bytes()

    @given(kept=st.integers(0, len(whole) * 9 // 10))
    def cut(kept):
        path.write_bytes(whole[:kept])
        with pytest.raises(ValueError, match=r"image\.\w+: not a readable image: "):
            images.read(path)

    cut()


@given(place=st.integers(0, 10**6), change=st.integers(1, 255))
def test_damaged_files_are_clear_errors(place, change, tmp_path_factory):
    """Changed anywhere: an error that names the file or, at most, another image."""
    pytest.importorskip("PIL")
    path = tmp_path_factory.mktemp("damaged") / "image.jpg"
    images.write(path, np.random.default_rng(0).random((9, 12, 3)))
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= change
    path.write_bytes(bytes(content))
    try:
        image = images.read(path)
    except ValueError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017
    else:
        assert 0 <= image.min() <= image.max() <= 1


def test_foreign_and_missing_files(pillow, tmp_path):
    path = tmp_path / "image.png"
    path.write_text("no image")
    with pytest.raises(ValueError, match=r"image\.png: not a readable image: "):
        images.read(path)
    with pytest.raises(FileNotFoundError):
        images.read(tmp_path / "nothing.png")
    with pytest.raises(IsADirectoryError):
        images.read(tmp_path)


def test_endings():
    assert images.is_image("a/photo.PNG")
    assert images.is_image(Path("photo.jpeg"))
    assert not images.is_image("rows.npy")
    assert not images.is_image("png")


@pytest.mark.parametrize(
    ("name", "image", "error", "message"),
    [
        ("a.npy", np.zeros((3, 3)), ValueError, r"path: expected a file ending in .*got .*a\.npy"),
        ("a.png", np.zeros((3, 3, 2)), ValueError, "image: expected 1 or 3 channels .* got 2"),
        ("a.png", np.zeros((3, 3), int), TypeError, "image: expected floats"),
        ("a.png", np.full((1, 3), np.nan), ValueError, "image: expected finite values"),
        ("a.jpg", np.zeros((1, 66_000)), ValueError, "image: 1 x 66000 .* be written as JPEG: "),
    ],
)
def test_write_refuses(pillow, tmp_path, name, image, error, message):
    with pytest.raises(error, match=message):
        images.write(tmp_path / name, image)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("owner", "method", "code", "error"),
    [
        (os, "open", errno.EACCES, PermissionError),
        (Path, "write_bytes", errno.ENOSPC, OSError),
    ],
)
def test_a_failed_write_leaves_the_old_file(
    pillow, tmp_path, monkeypatch, owner, method, code, error
):
    """In a directory that one may not write to, and on a full disk."""
    path = tmp_path / "image.png"
    images.write(path, np.zeros((3, 4)))
    old = path.read_bytes()

    def fail(*_, **__):
        raise OSError(code, "no")

    with monkeypatch.context() as patched:
        patched.setattr(owner, method, fail)
        with pytest.raises(error) as caught:
            images.write(path, np.ones((3, 4)))
    assert caught.value.filename == str(path)
    assert caught.value.errno == code
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_a_format_that_pillow_was_built_without(pillow, tmp_path, monkeypatch):
    monkeypatch.setattr(pillow, "registered_extensions", lambda: {".png": "PNG"})
    with pytest.raises(ValueError, match=r"path: this Pillow was built without \.webp"):
        images.write(tmp_path / "image.webp", np.zeros((3, 3)))


def test_write_to_nowhere(pillow, tmp_path):
    with pytest.raises(FileNotFoundError):
        images.write(tmp_path / "nowhere" / "image.png", np.zeros((3, 3)))


def test_pictures_of_other_programs_are_the_same(pillow, tmp_path):
    path = tmp_path / "image.png"
    image = RNG.integers(256, size=(5, 4, 3)) / 255
    images.write(path, image)
    with pillow.open(io.BytesIO(path.read_bytes())) as opened:
        assert np.array_equal(np.asarray(opened), np.round(image * 255))


def test_without_pillow_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    path = tmp_path / "image.png"
    for run in (lambda: images.read(path), lambda: images.write(path, np.zeros((3, 3)))):
        with pytest.raises(ImportError, match=r"needs Pillow: pip install 'dsmfast\[images\]'"):
            run()
    assert images.patches([np.zeros((9, 9))], count=2).shape == (2, 64)
