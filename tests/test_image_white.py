"""Which number is white, and in what unit noise and images are."""

import numpy as np
import pytest

import dsmfast
from dsmfast import images

Image = pytest.importorskip("PIL.Image")
tifffile = pytest.importorskip("tifffile")
pytest.importorskip("imagecodecs")

RNG = np.random.default_rng(0)
MODEL = dsmfast.ScoreModel(np.zeros((1, 9)), np.zeros(1), np.zeros(9), 1.0)  # means of squares
MODEL8 = dsmfast.ScoreModel(np.zeros((1, 64)), np.zeros(1), np.zeros(64), 1.0)


def write_tiff(path, pixels):
    tifffile.imwrite(path, pixels, photometric="minisblack")


@pytest.mark.parametrize(("dtype", "white"), [("int8", 127), ("int16", 32767)])
def test_signed_integers_end_at_a_white_of_their_own(tmp_path, dtype, white):
    """White came out as -32757, and 8 bits as floats."""
    pixels = np.linspace(0, white, 200).round().reshape(10, 20).astype(dtype)
    write_tiff(tmp_path / "a.tif", pixels)
    picture = images.open(tmp_path / "a.tif")
    assert picture.white == white
    images.write(tmp_path / "b.tif", picture)
    stored = tifffile.imread(tmp_path / "b.tif")
    assert stored.dtype == dtype
    assert np.array_equal(stored, pixels)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32"])
def test_what_is_written_stays_within_its_type(tmp_path, dtype):
    most = np.iinfo(dtype).max
    picture = images.Picture((np.array([[-3.0, 0.0, 1.0, 1.5]]),), dtype=np.dtype(dtype))
    for white in (float(most), 4.0 * most):
        beyond = images.Picture(picture.frames, dtype=picture.dtype, white=white, most=white)
        images.write(tmp_path / "a.tif", beyond)
        assert tifffile.imread(tmp_path / "a.tif").tolist() == [[0, 0, most, most]]


def test_a_white_that_the_depth_does_not_reach_is_not_used(tmp_path):
    levels = RNG.integers(256, size=(9, 8)).astype(np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.png")
    with pytest.warns(images.ImageWarning, match=r"a\.png: white is 255 in it, .* not 4095"):
        picture = images.open(tmp_path / "a.png", white=4095)
    assert picture.white == 255
    assert np.array_equal(picture.frames[0], images.read(tmp_path / "a.png"))
    assert images.open(tmp_path / "a.png", white=200).white == 200


@pytest.mark.parametrize(
    ("pixels", "white", "message"),
    [
        (RNG.random((9, 8)).astype(np.float32), 4095, "no number is larger than .* is white 4095"),
        (np.full((9, 8), 60000, np.uint16), 4095, "most numbers are larger than 4095; is that"),
    ],
)
def test_an_unlikely_white_is_used_and_said(tmp_path, pixels, white, message):
    write_tiff(tmp_path / "a.tif", pixels)
    with pytest.warns(images.ImageWarning, match=rf"a\.tif: {message}"):
        assert images.open(tmp_path / "a.tif", white=white).white == white


def test_one_hot_pixel_does_not_make_white_255(tmp_path):
    pixels = RNG.random((40, 30)).astype(np.float32)
    pixels[3, 4] = 2.5
    write_tiff(tmp_path / "a.tif", pixels)
    with pytest.warns(images.ImageWarning, match=r"as large as 2\.5, .* white is taken to be 1;"):
        picture = images.open(tmp_path / "a.tif")
    assert picture.white == 1
    assert np.array_equal(picture.frames[0], pixels)


def test_a_dark_image_of_floats_up_to_255(tmp_path):
    """Its black says nothing of the unit."""
    pixels = np.zeros((40, 30), np.float32)
    pixels[:9] = RNG.random((9, 30)) * 255
    write_tiff(tmp_path / "a.tif", pixels)
    with pytest.warns(images.ImageWarning, match="most numbers are larger than 2, and none"):
        assert images.open(tmp_path / "a.tif").white == 255


def test_images_in_another_unit_are_told_of_everywhere(tmp_path):
    image = RNG.random((9, 8)) * 255
    told = r"its values go up to 25\d.*is it in \[0, 1\]"
    with pytest.warns(images.ImageWarning, match=told):
        images.denoise(MODEL, image)
    with pytest.warns(images.ImageWarning, match=told):
        images.write(tmp_path / "a.png", image)
    with pytest.warns(images.ImageWarning, match=rf"images\[1\]: {told}"):
        images.patches([image / 255, image], side=3)
    with pytest.warns(images.ImageWarning, match=told):
        images.write(tmp_path / "a.png", images.Picture((image,)))
    images.write(tmp_path / "a.tif", image, dtype="float32")  # as it is
    bright = np.where(RNG.random((9, 8)) < 0.1, 5, image / 255)  # some lamps
    images.write(tmp_path / "a.png", bright)


def test_noise_beyond_white_is_refused():
    picture = images.Picture((RNG.random((9, 8)),))
    for image in (picture, picture.frames[0]):
        with pytest.raises(ValueError, match=r"noise: .* at most 1, .* 25 of 255 is 0\.098"):
            images.denoise(MODEL, image, noise=25)
    images.denoise(MODEL, 255 * picture.frames[0], noise=25)  # in one unit


def test_a_lamp_does_not_say_that_an_image_is_in_another_unit():
    image = RNG.random((9, 8))
    image[3, 4] = 3.0
    images.denoise(MODEL, image, noise=0.004)  # without a word
    with pytest.raises(ValueError, match="noise: expected at most 1, because white is 1, got 25"):
        images.denoise(MODEL, image, noise=25)


def test_the_white_of_integers_is_that_of_their_type():
    for dtype, white in ((np.uint8, 255), (np.uint16, 65535), (np.int16, 32767)):
        with pytest.raises(TypeError, match=f"expected floats.* such as {white}$"):
            images.denoise(MODEL, np.zeros((9, 8), dtype))
    with pytest.raises(TypeError, match=r"expected floats.* got dtype bool$"):
        images.denoise(MODEL, np.zeros((9, 8), bool))


def test_paths_are_not_images(tmp_path):
    calls = [
        lambda name: images.denoise(MODEL, name),
        lambda name: images.write(tmp_path / "b.png", name),
        lambda name: images.patches([name]),
        lambda name: images.patches(name),
    ]
    for call in calls:
        for name in ("a.png", tmp_path / "a.png"):
            with pytest.raises(TypeError, match=r"got the path '.*a\.png'; images\.open reads it"):
                call(name)


def test_what_holds_a_model_is_no_model():
    result = dsmfast.train(RNG.random((20, 9)), 2, 0.5, epochs=1)
    calls = [
        lambda: images.denoise(result, np.zeros((9, 8))),
        lambda: dsmfast.loss(result, np.zeros((2, 9))),
    ]
    for call in calls:
        with pytest.raises(TypeError, match=r"got a TrainingResult; use result\.model$"):
            call()
    with pytest.raises(TypeError) as caught:
        images.denoise([0.0] * 1000, np.zeros((9, 8)))
    assert len(str(caught.value)) < 200


def test_a_picture_is_printed_in_a_line():
    picture = images.Picture((np.zeros((40, 50, 3)),) * 2, name="a.tif")
    assert repr(picture) == "Picture('a.tif': 2 frames of shape (40, 50, 3), uint8, white 255)"
    metadata = images.picture.Metadata(exif=bytes(1000), icc_profile=bytes(1000))
    assert len(repr(metadata)) < 200


def test_small_images_are_named(tmp_path):
    small = images.Picture((np.zeros((5, 9)),), name="small.png")
    for call in (lambda: images.patches([small]), lambda: images.denoise(MODEL8, small)):
        with pytest.raises(ValueError, match=r"^small\.png: expected at least 8 x 8 pixels"):
            call()
