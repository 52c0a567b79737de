"""TIFF files: what they hold besides pixels, kinds that one library does not read; other files."""

import io
import subprocess
import sys

import numpy as np
import pytest

from dsmfast import images

Image = pytest.importorskip("PIL.Image")
tifffile = pytest.importorskip("tifffile")
pytest.importorskip("imagecodecs")

RNG = np.random.default_rng(0)
RGB8 = RNG.integers(256, size=(17, 19, 3)).astype(np.uint8)
GREY8 = RNG.integers(256, size=(17, 19)).astype(np.uint8)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    ("channels", "kind", "extra"),
    [(5, "rgb", [0, 0]), (2, "minisblack", [0]), (5, "rgb", [2, 0]), (4, "minisblack", None)],
)
def test_channels_that_are_no_colours_are_refused_in_any_depth(
    tmp_path, dtype, channels, kind, extra
):
    """Of 8 bits they were dropped without a word."""
    pixels = np.ones((9, 8, channels), dtype)
    options = {"photometric": kind, "planarconfig": "contig", "extrasamples": extra}
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    message = f"beside colours and alpha, got {channels} channels"
    with pytest.raises(ValueError, match=message):
        images.open(tmp_path / "a.tif")


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_big_tiff(tmp_path, dtype, byteorder):
    pixels = (RNG.random((9, 8)) * (1 if dtype == "float32" else np.iinfo(dtype).max)).astype(dtype)
    pixels[0, 0] = 1 if dtype == "float32" else np.iinfo(dtype).max
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels,
        bigtiff=True,
        byteorder=byteorder,
        photometric="minisblack",
        description="a field",
        metadata=None,
    )
    picture = images.open(tmp_path / "a.tif")
    images.write(tmp_path / "b.tif", picture)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert np.array_equal(file.asarray(), pixels)
        assert file.pages[0].description == "a field"


@pytest.mark.parametrize("compression", ["jpeg2000", "webp", "zstd", "lzma", "lzw"])
def test_compressions_that_pillow_does_not_know(tmp_path, compression, capfd):
    tifffile.imwrite(tmp_path / "a.tif", RGB8, photometric="rgb", compression=compression)
    assert np.abs(images.read(tmp_path / "a.tif") - RGB8 / 255).max() < 0.3
    assert capfd.readouterr().err == ""


def test_kinds_that_pillow_reads(tmp_path):
    for mode in ("1", "P", "CMYK", "YCbCr"):
        image = Image.fromarray(RGB8).convert(mode)
        image.save(tmp_path / "a.tif")
        expected = np.asarray(image.convert("L" if mode == "1" else "RGB")) / 255
        assert np.abs(images.read(tmp_path / "a.tif") - expected).max() < 0.02, mode


def test_complex_numbers_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((9, 8), np.complex64), photometric="minisblack")
    with pytest.raises(ValueError, match="expected integers or floats, got complex64"):
        images.open(tmp_path / "a.tif")


PLACE = [
    (33550, "d", 3, (10.0, 10.0, 0.0), True),
    (33922, "d", 6, (0.0, 0.0, 0.0, 5e5, 4e6, 0.0), True),
    (34735, "H", 4, (1, 1, 0, 0), True),
    (34736, "d", 1, 6378137.0, True),
    (34737, "s", 0, "WGS 84|", True),
    (42112, "s", 0, "<GDALMetadata/>", True),
    (42113, "s", 0, "7", True),
]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_place_on_a_map_is_kept(tmp_path, dtype):
    pixels = GREY8.astype(dtype) * (np.iinfo(dtype).max // 255)
    pixels[0, 0], pixels[1, 1] = np.iinfo(dtype).max, 7
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", extratags=PLACE)
    with pytest.warns(images.ImageWarning, match=r"a\.tif: pixels without data, which are 7 in"):
        picture = images.open(tmp_path / "a.tif")
    images.write(tmp_path / "b.tif", picture)
    with tifffile.TiffFile(tmp_path / "a.tif") as old, tifffile.TiffFile(tmp_path / "b.tif") as new:
        for code, *_ in PLACE:
            assert new.pages[0].tags[code].value == old.pages[0].tags[code].value
    with pytest.warns(images.ImageWarning, match="tags of GeoTIFF and GDAL"):
        images.write(tmp_path / "b.png", picture)


def test_tags_of_what_pillow_reads_are_told_of(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        colours = np.arange(3 * 256, dtype=np.uint16).reshape(3, 256) * 80
        file.write(GREY8, photometric="palette", colormap=colours, extratags=PLACE[:2])
    with pytest.warns(images.ImageWarning, match="TIFF: ModelPixelScaleTag; ModelTiepointTag$"):
        images.write(tmp_path / "b.tif", images.open(tmp_path / "a.tif"))


def test_a_turned_image_has_another_place(tmp_path):
    tags = [*PLACE[:3], (0x0112, "H", 1, 6, True)]
    tifffile.imwrite(tmp_path / "a.tif", GREY8, photometric="minisblack", extratags=tags)
    with pytest.warns(images.ImageWarning, match="TIFF: the place on the map, because"):
        images.write(tmp_path / "b.tif", images.open(tmp_path / "a.tif"))
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert 33550 not in file.pages[0].tags


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tags_that_are_not_kept_are_told_of(tmp_path, dtype):
    tags = [
        (33723, "B", 6, b"abcdef", True),
        (700, "B", 4, b"<x/>", True),
        (285, "s", 0, "one", True),
    ]
    pixels = np.full((9, 8), np.iinfo(dtype).max, dtype)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for i, resolution in enumerate(((300, 300), (150, 150))):
            file.write(
                pixels,
                photometric="minisblack",
                description=f"page {i}",
                metadata=None,
                resolution=resolution,
                resolutionunit="INCH",
                extratags=tags if i == 0 else [],
            )
    with pytest.warns(images.ImageWarning) as told:
        images.write(tmp_path / "b.tif", images.open(tmp_path / "a.tif"))
    text = str(told[0].message)
    for word in (
        "IPTC",
        "XMP",
        "PageName",
        "ImageDescription of later pages",
        "XResolution of lat",
    ):
        assert word in text
    again = images.open(tmp_path / "b.tif")
    assert again.metadata.dpi == (300, 300)


def test_an_animation_that_plays_once_does_so_again(tmp_path):
    frames = [Image.fromarray(np.full((12, 10), v, np.uint8)) for v in (10, 100, 200)]
    options = {"save_all": True, "append_images": frames[1:]}
    for duration in (100, 0):
        frames[0].save(tmp_path / "a.gif", duration=duration, **options)
        once = images.open(tmp_path / "a.gif")
        assert once.metadata.loop is None
        images.write(tmp_path / "b.gif", once)
        with Image.open(tmp_path / "b.gif") as opened:
            assert opened.n_frames == 3
            assert "loop" not in opened.info
        images.write(tmp_path / "b.png", once)
        assert images.open(tmp_path / "b.png").metadata.loop == 1
    frames[0].save(tmp_path / "a.gif", duration=100, loop=0, **options)
    images.write(tmp_path / "b.gif", images.open(tmp_path / "a.gif"))
    with Image.open(tmp_path / "b.gif") as opened:
        assert opened.info["loop"] == 0


@pytest.mark.parametrize("ending", [".gif", ".png"])
def test_equal_frames_that_become_one_are_told_of(tmp_path, ending):
    frame = RNG.integers(2, size=(9, 8)).astype(float)
    with pytest.warns(images.ImageWarning, match="2 of 3 frames, which equal the one before"):
        images.write(tmp_path / f"a{ending}", images.Picture((frame,) * 3))


def test_the_second_image_of_a_telephone_is_told_of(tmp_path):
    photo = Image.fromarray(RGB8)
    photo.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[photo])
    with pytest.warns(images.ImageWarning, match="JPEG: the second image, which is a preview"):
        images.write(tmp_path / "b.jpg", images.open(tmp_path / "a.jpg"))


@pytest.mark.parametrize("ending", [".pgm", ".ppm"])
@pytest.mark.parametrize("white", [255, 1023, 65535])
@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 3)])
def test_portable_maps(tmp_path, ending, white, shape):
    levels = RNG.integers(white + 1, size=shape)
    header = f"P{5 if len(shape) == 2 else 6} # a comment\n8 9\n{white}\n".encode()
    content = header + levels.astype("u1" if white == 255 else ">u2").tobytes()
    (tmp_path / f"a{ending}").write_bytes(content)
    picture = images.open(tmp_path / f"a{ending}")
    assert picture.white == white
    assert np.allclose(picture.frames[0], levels / white, rtol=1e-6)
    images.write(tmp_path / f"b{ending}", picture)
    again = images.open(tmp_path / f"b{ending}")
    assert again.white == white
    assert np.array_equal(again.frames[0], picture.frames[0])
    (tmp_path / f"a{ending}").write_bytes(content[:-5])
    with pytest.raises(ValueError, match="not a readable image"):
        images.open(tmp_path / f"a{ending}")


@pytest.mark.parametrize("white", [0, 65536])
def test_portable_maps_of_a_white_that_they_cannot_have(tmp_path, white):
    (tmp_path / "a.pgm").write_bytes(b"P5 2 2 %d\n" % white + bytes(8))
    with pytest.raises(ValueError, match="not a readable image"):
        images.open(tmp_path / "a.pgm")


def test_avif(tmp_path):
    features = pytest.importorskip("PIL.features")
    if "avif" not in features.modules or not features.check("avif"):
        pytest.skip("Pillow without AVIF")
    ramp = np.linspace(0, 1, 32 * 48).reshape(32, 48)
    images.write(tmp_path / "a.avif", ramp)
    assert np.abs(images.read(tmp_path / "a.avif").reshape(32, 48, -1).mean(2) - ramp).max() < 0.05
    import imagecodecs

    if not getattr(getattr(imagecodecs, "AVIF", None), "available", False):
        pytest.skip("imagecodecs without AVIF")
    deep = (np.dstack([ramp] * 3) * 1023).astype(np.uint16)
    (tmp_path / "a.avif").write_bytes(imagecodecs.avif_encode(deep, bitspersample=10))
    with pytest.warns(images.ImageWarning, match="PNG: more than 8 bits"):
        images.write(tmp_path / "a.png", images.open(tmp_path / "a.avif"))


@pytest.mark.parametrize("shape", [(32, 48), (32, 48, 3), (32, 48, 4)])
def test_jpeg_2000(tmp_path, shape):
    import imagecodecs

    levels = RNG.integers(1, 256, size=shape).astype(np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.jp2")
    images.write(tmp_path / "b.jp2", images.open(tmp_path / "a.jp2"))  # without a word
    with Image.open(tmp_path / "b.jp2") as opened:
        assert np.array_equal(np.asarray(opened), levels)
    for bits in (12, 16):
        deep = (levels / 255 * (2**bits - 1)).round().astype(np.uint16)
        deep[0, 0] = 2**bits - 1  # which Pillow reads as black
        content = imagecodecs.jpeg2k_encode(
            deep, bitspersample=bits, reversible=True, codecformat="jp2"
        )
        (tmp_path / "a.jp2").write_bytes(content)
        picture = images.open(tmp_path / "a.jp2")
        assert picture.white == 2**bits - 1
        images.write(tmp_path / "b.jp2", picture)
        assert np.array_equal(imagecodecs.jpeg2k_decode((tmp_path / "b.jp2").read_bytes()), deep)
        assert images.open(tmp_path / "b.jp2").white == 2**bits - 1


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_large_images(tmp_path, monkeypatch, ending):
    """Pillow warns of many pixels, and refuses twice as many."""
    images.write(tmp_path / f"a{ending}", RNG.random((9, 10)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)
    assert images.read(tmp_path / f"a{ending}").shape == (9, 10)  # without a word
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    with pytest.raises(ValueError, match=r"more than 80 pixels; .* set PIL\.Image\.MAX_"):
        images.read(tmp_path / f"a{ending}")
    assert Image.MAX_IMAGE_PIXELS == 40


def test_damaged_tiff_files_leave_no_words_of_others(tmp_path):
    """In a process of its own: pytest has handlers for what others log."""
    content = io.BytesIO()
    tag = (33723, "B", 6, b"abcdef", True)
    tifffile.imwrite(content, RGB8, photometric="rgb", compression="zlib", extratags=[tag])
    whole = content.getvalue()
    names = []
    for kept in range(0, len(whole), len(whole) // 5):
        names.append(f"{kept}.tif")
        (tmp_path / names[-1]).write_bytes(whole[:kept])
    damaged = bytearray(whole)
    with tifffile.TiffFile(io.BytesIO(whole)) as file:
        place = file.pages[0].tags[33723].offset + 8
    damaged[place : place + 4] = b"\xff" * 4
    (tmp_path / "tag.tif").write_bytes(damaged)
    code = f"""
import warnings
from dsmfast import images
for name in {names}:
    try:
        images.open(name)
    except ValueError as error:
        assert f"{{name}}: not a readable image" in str(error), error
    else:
        raise AssertionError(name)
with warnings.catch_warnings(record=True) as told:
    images.open("tag.tif")
assert all(w.category is images.ImageWarning for w in told)
assert all(str(w.message).startswith("tag.tif: ") for w in told)
"""
    run = [sys.executable, "-c", code]
    found = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
