"""Photographs: patches of them, denoising, and files."""

import tracemalloc

import numpy as np
import pytest

import dsmfast
from dsmfast import images
from dsmfast.images.squares import BLOCK

RNG = np.random.default_rng(5)
UNIT = images.UNIT


def a_model(side, dtype="float64", hidden=7, sigma=1.3):
    rng = np.random.default_rng([side, hidden])
    d = side * side
    W = rng.standard_normal((hidden, d)) / side
    return dsmfast.ScoreModel(
        W.astype(dtype),
        rng.standard_normal(hidden).astype(dtype),
        rng.standard_normal(d).astype(dtype),
        sigma,
    )


def without_weights(side, c=0.0):
    d = side * side
    return dsmfast.ScoreModel(np.zeros((1, d)), np.zeros(1), np.broadcast_to(c, d) * 1.0, 1.0)


def one_by_one(model, channel, noise=None, stride=1):
    """Patch after patch, as the words of ``denoise`` say."""
    side = round(model.n_features**0.5)
    ratio = 1 if noise is None else noise / (model.sigma * UNIT)
    total, count = np.zeros(channel.shape), np.zeros(channel.shape)
    last = [length - side for length in channel.shape]
    for top in sorted({*range(0, last[0] + 1, stride), last[0]}):
        for left in sorted({*range(0, last[1] + 1, stride), last[1]}):
            at = (slice(top, top + side), slice(left, left + side))
            row = channel[at].reshape(1, -1)
            clean = model.denoise((row - row.mean()) / (UNIT * ratio)) * (UNIT * ratio) + row.mean()
            total[at] += clean.reshape(side, side)
            count[at] += 1
    return total / count


# Patches.


def test_patches_are_squares_of_the_images_without_their_means():
    photo = RNG.random((13, 17))
    rows = images.patches([photo], side=4, count=300, seed=2)
    assert rows.shape == (300, 16)
    assert rows.dtype == np.float32
    squares = np.lib.stride_tricks.sliding_window_view(photo, (4, 4)).reshape(-1, 16)
    every = (squares - squares.mean(axis=1, keepdims=True)) / UNIT
    nearest = np.abs(rows[:, None] - every[None]).max(axis=2)
    assert nearest.min(axis=1).max() < 1e-5
    assert len(np.unique(nearest.argmin(axis=1))) > 100  # of 140


def test_every_place_is_as_likely_as_any_other():
    large, small = np.zeros((11, 21)), np.zeros((6, 7))  # 200 places, and 30, for squares of 2
    large[:, ::2] = 1
    small[::2] = 1
    rows = images.patches([large, small], side=2, count=20_000)
    of_small = (rows[:, 0] == rows[:, 1]).mean()
    assert abs(of_small - 30 / 230) < 0.01
    up = (rows[:, 0] > 0)[rows[:, 0] == rows[:, 1]].mean()  # 3 of 5 rows of places
    assert abs(up - 0.6) < 0.04


def test_patches_of_colour_are_of_brightness_and_differences():
    red, green, blue = RNG.random((3, 9, 8))
    axes = [
        (red + green + blue) / np.sqrt(3),
        (red - blue) / np.sqrt(2),
        (red - 2 * green + blue) / np.sqrt(6),
    ]
    rows = images.patches([np.stack([red, green, blue], axis=2)], side=3, count=2000)
    squares = [np.lib.stride_tricks.sliding_window_view(a, (3, 3)).reshape(-1, 9) for a in axes]
    every = np.concatenate(squares)
    every = (every - every.mean(axis=1, keepdims=True)) / UNIT
    distance = np.abs(rows[:, None] - every[None]).max(axis=2)
    assert distance.min(axis=1).max() < 1e-5
    shares = np.bincount(distance.argmin(axis=1) // len(squares[0]), minlength=3) / 2000
    assert np.allclose(shares, [0.5, 0.25, 0.25], atol=0.05)


def test_patches_of_grey_in_three_channels_are_those_of_grey():
    photo = RNG.random((9, 8))
    of_grey = images.patches([photo], side=3, count=50)
    assert np.array_equal(images.patches([np.stack([photo] * 3, 2)], side=3, count=50), of_grey)


def test_patches_depend_on_the_seed_alone():
    photo = RNG.random((20, 20))
    same = [images.patches([photo], count=50, seed=s) for s in (1, 1, 2)]
    assert np.array_equal(same[0], same[1])
    assert not np.array_equal(same[0], same[2])


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ([], {}, ValueError, "images: expected at least one image"),
        (np.zeros((9, 9)), {}, TypeError, r"images: expected a sequence .* use \[image\]"),
        ([np.zeros((9, 7))], {}, ValueError, "at least 8 x 8 pixels, .* got 9 x 7"),
        ([np.zeros(9)], {}, ValueError, r"images\[0\]: expected shape .* got \(9,\)"),
        ([np.zeros((9, 9), np.uint8)], {}, TypeError, "expected floats.* white, such as 255"),
        ([np.full((9, 9), np.nan)], {}, ValueError, r"finite values, got nan at \(0, 0\)"),
        ([np.zeros((9, 9))], {"side": 1}, ValueError, "side: expected an integer of at least 2"),
        ([np.zeros((9, 9))], {"count": 0}, ValueError, "count: expected an integer of at least 1"),
    ],
)
def test_patches_refuse(arguments, options, error, message):
    with pytest.raises(error, match=message):
        images.patches(arguments, **options)


# Denoising.


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("shape", [(3, 3), (3, 10), (11, 3), (8, 9), (13, 12)])
def test_denoise_is_the_mean_over_patches(shape, stride):
    model, image = a_model(3), RNG.random(shape)
    for noise in (None, 0.05):
        clean = images.denoise(model, image, noise=noise, stride=stride)
        assert clean.shape == shape
        assert np.allclose(clean, one_by_one(model, image, noise, stride), rtol=0, atol=1e-12)


def test_many_blocks_of_patches(monkeypatch):
    model, image = a_model(3), RNG.random((19, 14))
    whole = images.denoise(model, image)
    monkeypatch.setattr(
        "dsmfast.images.denoising.BLOCK", 5 * 12 * 9
    )  # five lines of patches at once
    assert np.allclose(images.denoise(model, image), whole, rtol=0, atol=1e-14)
    monkeypatch.setattr("dsmfast.images.denoising.BLOCK", 1)
    assert np.allclose(images.denoise(model, image), whole, rtol=0, atol=1e-14)


def test_without_weights_by_hand():
    # Squares of 2: the left has mean 2, the right 5, and the middle is in both.
    image = np.array([[0.0, 2.0, 4.0], [1.0, 5.0, 9.0]])
    means = [[2, 3.5, 5], [2, 3.5, 5]]
    assert np.allclose(images.denoise(without_weights(2), image), means, rtol=0, atol=1e-13)
    c = np.array([1.0, 2.0, 3.0, 4.0])
    shifts = np.array([[1, 1.5, 2], [3, 3.5, 4]])
    assert np.allclose(
        images.denoise(without_weights(2, c), image), means + UNIT * shifts, rtol=0, atol=1e-13
    )
    # For half the noise, what is added is half too.
    clean = images.denoise(without_weights(2, c), image, noise=0.5 * UNIT)
    assert np.allclose(clean, means + 0.5 * UNIT * shifts, rtol=0, atol=1e-13)


def test_an_image_of_one_patch():
    image = RNG.random((4, 4))
    image.flags.writeable = False
    model = a_model(4)
    assert np.allclose(images.denoise(model, image), one_by_one(model, image), rtol=0, atol=1e-13)
    assert np.allclose(images.denoise(without_weights(4), image), image.mean(), rtol=0, atol=1e-13)


def test_the_image_stays_as_it_is():
    for shape in ((4, 4), (9, 11), (9, 11, 3)):
        image = RNG.random(shape)
        before = image.copy()
        images.denoise(a_model(4), image)
        assert np.array_equal(image, before)


def test_brightness_and_scale():
    """Added light comes out as it went in; image and noise scale together."""
    model, image = a_model(3), RNG.random((9, 7))
    clean = images.denoise(model, image, noise=0.1)
    assert np.allclose(
        images.denoise(model, image + 0.3, noise=0.1), clean + 0.3, rtol=0, atol=1e-13
    )
    assert np.allclose(images.denoise(model, 4 * image, noise=0.4), 4 * clean, rtol=0, atol=1e-13)


def test_the_default_noise_is_what_the_model_was_trained_on():
    image = RNG.random((9, 7)).astype(np.float32)
    model = a_model(3, "float32", sigma=0.7)
    given = images.denoise(model, image, noise=0.7 * UNIT)
    assert np.array_equal(images.denoise(model, image), given)


def test_three_channels_are_brightness_and_differences():
    model, image = a_model(3), RNG.random((8, 9, 3))
    red, green, blue = np.moveaxis(image, 2, 0)
    y = one_by_one(model, (red + green + blue) / np.sqrt(3))
    u = one_by_one(model, (red - blue) / np.sqrt(2))
    v = one_by_one(model, (red - 2 * green + blue) / np.sqrt(6))
    expected = [
        y / np.sqrt(3) + u / np.sqrt(2) + v / np.sqrt(6),
        y / np.sqrt(3) - 2 * v / np.sqrt(6),
        y / np.sqrt(3) - u / np.sqrt(2) + v / np.sqrt(6),
    ]
    assert np.allclose(images.denoise(model, image), np.stack(expected, axis=2), rtol=0, atol=1e-13)


def test_channels_that_are_grey_are_denoised_as_grey():
    model, image = a_model(3), RNG.random((8, 9))
    clean = images.denoise(model, np.stack([image] * 3, axis=2))
    assert np.array_equal(clean, np.stack([images.denoise(model, image)] * 3, axis=2))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_channels_are_denoised_one_by_one(channels):
    model, image = a_model(3), RNG.random((8, 9, channels))
    expected = [images.denoise(model, image[:, :, i]) for i in range(channels)]
    assert np.allclose(images.denoise(model, image), np.stack(expected, axis=2), rtol=0, atol=1e-13)


def test_precision_is_the_models(dtype):
    for precision in ("float16", "float32", "float64"):
        for shape in ((9, 7), (9, 7, 3)):
            clean = images.denoise(a_model(3, dtype), RNG.random(shape).astype(precision))
            assert clean.dtype == dtype


def test_threads_do_not_matter():
    model, image = a_model(4, "float32"), RNG.random((60, 50)).astype(np.float32)
    one, four = (images.denoise(model, image, threads=t) for t in (1, 4))
    assert np.array_equal(one, four)


def test_memory_does_not_grow_with_the_patches():
    """All patches at once would be 64 times the image."""
    model, image = a_model(8, "float32", hidden=1), np.zeros((1000, 700), np.float32)
    tracemalloc.start()
    try:
        images.denoise(model, image)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * image.nbytes + 6 * 4 * BLOCK


def test_noise_is_taken_off():
    clean = (np.add.outer(np.arange(60), np.arange(80)) % 20 / 20).astype(np.float32)
    model = dsmfast.train(images.patches([clean], side=6), 64, 0.1 / UNIT, epochs=5).model
    noise = 0.1 * dsmfast.normals(1, 0, 0, range(60), 80)
    left = images.denoise(model, clean + noise) - clean
    assert np.std(left) < 0.4 * np.std(noise)


@pytest.mark.parametrize(
    ("image", "options", "error", "message"),
    [
        (np.zeros((2, 9)), {}, ValueError, "image: expected at least 3 x 3 pixels, .* got 2 x 9"),
        (np.zeros((9, 2, 3)), {}, ValueError, "image: expected at least 3 x 3 pixels"),
        (np.zeros((9, 9, 0)), {}, ValueError, r"image: expected shape .* got \(9, 9, 0\)"),
        (np.zeros((9, 9), np.uint8), {}, TypeError, "image: expected floats"),
        (np.full((9, 9), 1e300), {}, ValueError, "image: expected finite values, got inf"),
        (np.zeros((9, 9)), {"noise": 0}, ValueError, "noise: expected a finite number > 0"),
        (np.zeros((9, 9)), {"stride": 0}, ValueError, "stride: .* at least 1"),
        (np.zeros((9, 9)), {"stride": 4}, ValueError, "stride: .* at most 3"),
    ],
)
def test_denoise_refuses_images(image, options, error, message):
    with pytest.raises(error, match=message):
        images.denoise(a_model(3, "float32"), image, **options)


def test_denoise_refuses_models():
    image = np.zeros((9, 9))
    with pytest.raises(TypeError, match="model: expected a ScoreModel"):
        images.denoise(image, a_model(3))
    for d in (1, 8):
        model = dsmfast.ScoreModel.initialize(d, 2, 0.5)
        with pytest.raises(ValueError, match=f"square patches, got one of {d} features"):
            images.denoise(model, image)
