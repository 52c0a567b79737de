"""What a file holds comes out as it went in, depth, alpha, pages, metadata; or it is said."""

import io

import numpy as np
import pytest

import dsmfast
from dsmfast import images

Image = pytest.importorskip("PIL.Image")
tifffile = pytest.importorskip("tifffile")
imagecodecs = pytest.importorskip("imagecodecs")

RNG = np.random.default_rng(3)
MODEL = dsmfast.ScoreModel(np.zeros((1, 9)), np.zeros(1), np.zeros(9), 1.0)  # means of squares


def through(tmp_path, name, out, **options):
    """Read, denoise, write: the picture that is read again."""
    clean = images.denoise(MODEL, images.open(tmp_path / name, **options))
    images.write(tmp_path / out, clean)
    return images.open(tmp_path / out, **options)


def stored_tiff(path):
    with tifffile.TiffFile(path) as file:
        return [page.asarray() for page in file.pages]


@pytest.mark.parametrize("ending", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_are_read_and_written(tmp_path, ending, channels):
    pixels = RNG.integers(65536, size=(9, 7, channels)).astype(np.uint16)
    pixels[..., -1] |= 1  # so that nothing is invisible
    pixels[0, 0, 0] = 65535
    plain = pixels[:, :, 0] if channels == 1 else pixels
    path = tmp_path / f"image{ending}"
    if ending == ".png":
        path.write_bytes(imagecodecs.png_encode(plain))
    else:
        alpha = {"extrasamples": ["unassalpha"]} if channels in (2, 4) else {}
        kind = "rgb" if channels > 2 else "minisblack"
        tifffile.imwrite(path, plain, photometric=kind, planarconfig="contig", **alpha)
    picture = images.open(path)
    assert picture.dtype == np.uint16
    colours = pixels[:, :, :3] if channels > 2 else pixels[:, :, 0]
    assert np.allclose(picture.frames[0], colours / 65535, rtol=1e-6, atol=0)
    images.write(tmp_path / f"again{ending}", picture)
    again = tmp_path / f"again{ending}"
    stored = (
        imagecodecs.png_decode(again.read_bytes()) if ending == ".png" else stored_tiff(again)[0]
    )
    assert stored.dtype == np.uint16
    assert np.array_equal(stored, plain)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 3)])
def test_floats_are_read_and_written(tmp_path, dtype, shape, compression):
    pixels = (RNG.random(shape) * 1.4 - 0.2).astype(dtype)  # noise takes some out of [0, 1]
    kind = "rgb" if len(shape) == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric=kind, compression=compression)
    images.write(tmp_path / "b.tif", images.open(tmp_path / "a.tif"))
    (stored,) = stored_tiff(tmp_path / "b.tif")
    assert stored.dtype == dtype
    assert np.array_equal(stored, pixels)


@pytest.mark.parametrize(
    ("dtype", "largest", "white"),
    [
        ("uint16", 4095, 4095),
        ("uint16", 16383, 16383),
        ("float32", 290.0, 255),
        ("int32", 900, 1023),
    ],
)
def test_the_range_is_that_of_the_file(tmp_path, dtype, largest, white):
    """12 bits in a TIFF file of 16 came out with 15 levels of grey."""
    pixels = np.linspace(0, largest, 400).reshape(20, 20).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack")
    with pytest.warns(images.ImageWarning, match=f"white is taken to be {white}; if this is wrong"):
        picture = images.open(tmp_path / "a.tif")
    assert np.allclose(picture.frames[0], pixels / white, rtol=1e-6)
    images.write(tmp_path / "b.tif", images.denoise(MODEL, picture))
    (stored,) = stored_tiff(tmp_path / "b.tif")
    assert stored.dtype == dtype
    assert len(np.unique(stored)) > 300
    assert abs(stored.astype(float) - pixels).max() < 0.06 * largest
    given = images.open(tmp_path / "a.tif", white=4 * white)  # without a warning
    assert np.allclose(given.frames[0], pixels / (4 * white), rtol=1e-6)


def test_what_is_brighter_than_white_is_cut_off_in_integers(tmp_path):
    picture = images.Picture(
        (np.array([[-1.0, 0.5, 3.0]]),), dtype=np.dtype("uint16"), white=4095.0, most=4095.0
    )
    images.write(tmp_path / "a.tif", picture)
    assert stored_tiff(tmp_path / "a.tif")[0].tolist() == [[0, 2048, 4095]]


def test_twelve_bits_that_the_file_tells_of(tmp_path):
    pixels = RNG.integers(4096, size=(9, 8)).astype(np.uint16)
    try:
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", bitspersample=12)
    except Exception as error:  # not every version packs them
        pytest.skip(str(error))
    picture = images.open(tmp_path / "a.tif")
    assert picture.white == 4095
    images.write(tmp_path / "b.tif", picture)
    assert np.array_equal(stored_tiff(tmp_path / "b.tif")[0], pixels)


@pytest.mark.parametrize("ending", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_carried_over(tmp_path, ending, channels):
    """An invisible area in magenta stays invisible, and does not colour what is beside it."""
    pixels = np.full((24, 20, channels), 40, np.uint8)
    pixels[:, :, -1] = np.linspace(1, 255, 20).astype(np.uint8)
    pixels[:, 10:] = [255, 0] if channels == 2 else [255, 0, 255, 0]
    path = tmp_path / f"a{ending}"
    options = {"lossless": True, "exact": True} if ending == ".webp" else {}
    Image.fromarray(pixels).save(path, **options)
    clean = through(tmp_path, path.name, f"b{ending}")
    assert np.array_equal(clean.alpha[0], pixels[:, :, -1] / np.float32(255))
    assert np.abs(clean.frames[0] - 40 / 255).max() < 2 / 255
    with pytest.warns(images.ImageWarning, match="JPEG: transparency, for which there is white"):
        images.write(tmp_path / "c.jpg", clean)
    assert images.read(tmp_path / "c.jpg")[:, 12:].min() > 0.97


def test_premultiplied_alpha(tmp_path):
    alpha = np.linspace(0, 65535, 30).round().astype(np.uint16)[None].repeat(9, axis=0)
    pixels = np.dstack([np.round(alpha * 0.5).astype(np.uint16)] * 3 + [alpha])
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["assocalpha"])
    picture = images.open(tmp_path / "a.tif")
    assert np.allclose(picture.frames[0], 0.5, atol=1e-3)
    images.write(tmp_path / "b.tif", picture)
    assert np.array_equal(stored_tiff(tmp_path / "b.tif")[0], pixels)


def test_pages_of_tiff(tmp_path):
    pages = [RNG.integers(256, size=shape).astype(np.uint8) for shape in ((9, 8), (5, 6), (7, 7))]
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in pages:
            file.write(page, photometric="minisblack")
    clean = through(tmp_path, "a.tif", "b.tif")
    assert [frame.shape for frame in clean.frames] == [page.shape for page in pages]
    for page, frame in zip(pages, clean.frames, strict=True):
        expected = images.denoise(MODEL, page / 255)
        assert np.abs(frame - expected).max() < 0.51 / 255
    with pytest.raises(ValueError, match=r"a\.tif: expected one image, got 3; images\.open"):
        images.read(tmp_path / "a.tif")
    for ending, message in ((".jpg", "JPEG files hold one image"), (".gif", "have one size")):
        with pytest.raises(ValueError, match=message):
            images.write(tmp_path / f"c{ending}", clean)


@pytest.mark.parametrize("ending", [".gif", ".webp", ".png"])
def test_frames_of_animations(tmp_path, ending):
    levels = (10, 100, 200)
    frames = [Image.fromarray(np.full((12, 10, 3), v, np.uint8)) for v in levels]
    frames[0].save(
        tmp_path / f"a{ending}",
        save_all=True,
        append_images=frames[1:],
        duration=[100, 200, 300],
        loop=2,
    )
    clean = through(tmp_path, f"a{ending}", f"b{ending}")
    assert np.allclose([frame.mean() * 255 for frame in clean.frames], levels, atol=1.5)
    assert clean.metadata.seconds == (0.1, 0.2, 0.3)
    assert clean.metadata.loop == 2
    with pytest.warns(images.ImageWarning, match="TIFF: how long frames are shown"):
        images.write(tmp_path / "c.tif", clean)
    assert len(images.open(tmp_path / "c.tif")) == 3


def test_a_transparent_gif(tmp_path):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, :4] = [200, 30, 30, 255]
    Image.fromarray(pixels).save(tmp_path / "a.gif")
    clean = through(tmp_path, "a.gif", "b.gif")
    assert np.array_equal(clean.alpha[0] > 0, pixels[:, :, 3] > 0)
    assert np.abs(clean.frames[0] - pixels[0, 0, :3] / 255).max() < 0.05


def a_camera():
    exif = Image.Exif()
    exif[0x010F] = "Cam"
    exif.get_ifd(0x8769)[0x829A] = 0.01  # exposure, in seconds
    exif[0x8769] = dict(exif.get_ifd(0x8769))
    return exif


PROFILE = b"\0\0\0\x84none" + bytes(124)


@pytest.mark.parametrize("source", ["a.jpg", "a.png", "a.webp", "a.tif", "deep.png", "deep.tif"])
@pytest.mark.parametrize("out", ["b.jpg", "b.png", "b.webp", "b.tif"])
@pytest.mark.filterwarnings("ignore::dsmfast.images.ImageWarning")
def test_metadata_are_kept(tmp_path, source, out):
    first = images.Picture(
        (RNG.random((12, 10, 3)),),
        dtype=np.dtype("uint16" if source.startswith("deep") else "uint8"),
        metadata=images.picture.Metadata(
            exif=a_camera().tobytes(), icc_profile=PROFILE, dpi=(300.0, 150.0)
        ),
    )
    images.write(tmp_path / source, first)
    images.write(tmp_path / out, images.open(tmp_path / source))
    with Image.open(io.BytesIO((tmp_path / out).read_bytes())) as opened:
        if opened.mode != "RGB":
            pytest.fail(opened.mode)
        opened.load()
        assert opened.info["icc_profile"] == PROFILE
        assert opened.getexif()[0x010F] == "Cam"
        assert float(opened.getexif().get_ifd(0x8769)[0x829A]) == pytest.approx(0.01)
        if "webp" not in source + out:
            assert np.allclose(opened.info["dpi"], (300, 150), atol=0.1)


def test_metadata_of_float_tiff(tmp_path):
    """Which Pillow does not open."""
    given = images.Picture(
        (RNG.random((12, 10, 3)).astype(np.float32),),
        dtype=np.dtype("float32"),
        white=1.0,
        metadata=images.picture.Metadata(
            exif=a_camera().tobytes(), icc_profile=PROFILE, dpi=(300.0, 150.0)
        ),
    )
    images.write(tmp_path / "a.tif", given)
    found = images.open(tmp_path / "a.tif").metadata
    assert found.dpi == (300, 150)
    assert found.icc_profile == PROFILE
    exif = Image.Exif()
    exif.load(found.exif)
    assert exif[0x010F] == "Cam"
    assert float(exif.get_ifd(0x8769)[0x829A]) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("b.bmp", "uint16, for which there is uint8; EXIF; the colour profile"),
        ("b.gif", "EXIF; the colour profile; dots an inch"),
        ("b.webp", "uint16, for which there is uint8; dots an inch"),
        ("b.jpg", "uint16, for which there is uint8"),
    ],
)
def test_what_cannot_be_kept_is_said(tmp_path, out, said):
    picture = images.Picture(
        (RNG.random((12, 10)),),
        dtype=np.dtype("uint16"),
        white=65535.0,
        most=65535.0,
        metadata=images.picture.Metadata(
            exif=a_camera().tobytes(), icc_profile=PROFILE, dpi=(300.0, 300.0)
        ),
    )
    with pytest.warns(images.ImageWarning, match=f"{out}: not kept in .*{said}"):
        images.write(tmp_path / out, picture)
    assert (
        np.abs(images.read(tmp_path / out).reshape(12, 10, -1)[..., 0] - picture.frames[0]).max()
        < 0.1
    )


def test_other_metadata_are_said(tmp_path):
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("Title", "a photograph")
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(tmp_path / "a.png", pnginfo=text, comment="c")
    with pytest.warns(images.ImageWarning, match=r"b\.png: not kept in PNG: text"):
        images.write(tmp_path / "b.png", images.open(tmp_path / "a.png"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_format_is_turned_upright(tmp_path, orientation):
    """As Pillow turns a PNG file, so a deep TIFF file is turned."""
    levels = RNG.integers(256, size=(4, 6)).astype(np.uint16) * 257
    levels[0, 0] = 65535
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray((levels // 257).astype(np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    with Image.open(tmp_path / "a.jpg") as opened:
        from PIL import ImageOps

        shape = ImageOps.exif_transpose(opened).size[::-1]
    tag = [(0x0112, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", levels, photometric="minisblack", extratags=tag)
    Image.fromarray(levels).save(tmp_path / "a.png", exif=exif)
    Image.fromarray((levels // 257).astype(np.uint8)).save(tmp_path / "b.tif", exif=exif)
    deep, png, shallow = (images.read(tmp_path / name) for name in ("a.tif", "a.png", "b.tif"))
    assert deep.shape == shape
    assert np.array_equal(deep, png)
    assert np.allclose(deep, shallow, atol=1e-6)
    images.write(tmp_path / "c.tif", images.open(tmp_path / "a.tif"))
    assert np.array_equal(images.read(tmp_path / "c.tif"), deep)  # not turned twice


def test_white_is_zero_and_planes(tmp_path):
    grey = RNG.integers(65536, size=(6, 5)).astype(np.uint16)
    grey[0, 0] = 0
    tifffile.imwrite(tmp_path / "a.tif", grey, photometric="miniswhite")
    assert np.allclose(images.read(tmp_path / "a.tif"), 1 - grey / 65535, atol=1e-6)
    colour = RNG.random((3, 6, 5)).astype(np.float32)
    tifffile.imwrite(tmp_path / "b.tif", colour, photometric="rgb", planarconfig="separate")
    assert np.array_equal(images.read(tmp_path / "b.tif"), np.moveaxis(colour, 0, 2))


def test_channels_that_are_no_colours_are_refused(tmp_path):
    pixels = np.ones((9, 8, 5), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", planarconfig="contig")
    with pytest.raises(ValueError, match="expected no channels beside colours and alpha"):
        images.open(tmp_path / "a.tif")


def test_a_stack_of_imagej(tmp_path):
    """Of which the file names the first plane only."""
    planes = RNG.integers(65536, size=(3, 9, 8)).astype(np.uint16)
    planes[0, 0] = 65535
    tifffile.imwrite(tmp_path / "a.tif", planes, imagej=True)
    assert np.allclose(images.open(tmp_path / "a.tif").frames, planes / 65535, rtol=1e-6)


def test_writing_arrays_in_other_depths(tmp_path):
    ramp = np.linspace(0, 1, 1000).reshape(10, 100)
    for dtype, ending in (("uint16", ".png"), ("uint16", ".tif"), ("float32", ".tif")):
        images.write(tmp_path / f"a{ending}", ramp, dtype=dtype)
        assert np.abs(images.read(tmp_path / f"a{ending}") - ramp).max() < 1e-5
    with pytest.raises(ValueError, match="dtype: expected one of 'uint8', 'uint16', 'float32'"):
        images.write(tmp_path / "a.png", ramp, dtype="int8")


def test_an_image_in_another_unit_is_told_of():
    """A float image from 0 to 255 came out as it was, without a word."""
    image = RNG.random((9, 8)) * 255
    with pytest.warns(images.ImageWarning, match=r"values go up to 25\d.*is it in \[0, 1\]"):
        images.denoise(MODEL, image)
    with pytest.warns(images.ImageWarning):
        images.denoise(MODEL, image, noise=0.1)
    assert np.allclose(
        images.denoise(MODEL, image, noise=25.5),
        255 * images.denoise(MODEL, image / 255, noise=0.1),
    )


def test_colours_go_on_where_nothing_is_visible():
    from dsmfast.images.reading import filled

    image = np.broadcast_to(np.linspace(0, 1, 33)[:, None], (33, 21)).copy()
    visible = RNG.random((33, 21)) > 0.3
    hidden = np.where(visible, image, 77.0)
    assert np.abs(filled(hidden, visible) - image).max() < 0.2
    assert np.array_equal(filled(hidden, visible)[visible], image[visible])
    assert not filled(hidden, np.zeros_like(visible)).any()


def test_patches_of_pictures(tmp_path):
    frames = RNG.random((2, 9, 8))
    of_arrays = images.patches(list(frames), side=3, count=40)
    assert np.array_equal(
        images.patches([images.Picture(tuple(frames))], side=3, count=40), of_arrays
    )
