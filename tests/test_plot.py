"""Pictures: what is drawn, not how it looks."""

import numpy as np
import pytest

import dsmfast

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    matplotlib.pyplot.close("all")


def test_filters():
    from dsmfast import plot

    W = np.arange(5)[:, None] * np.linspace(-1, 1, 9)[None, :]
    ax = plot.filters(W, count=4)
    (image,) = ax.images
    shown = image.get_array()
    assert shown.shape == (7, 7)  # two by two images of 3 x 3 and a line between
    assert np.allclose(shown[:3, :3], np.linspace(-1, 1, 9).reshape(3, 3))  # the largest, scaled
    again = plot.filters(dsmfast.ScoreModel.initialize(6, 4, 1.0), image_shape=(2, 3), ax=ax)
    assert again is ax


def test_filters_that_are_no_square():
    from dsmfast import plot

    with pytest.raises(ValueError, match="image_shape: needed, because 6 features are no square"):
        plot.filters(np.ones((2, 6)))
    with pytest.raises(ValueError, match="image_shape: expected 6 pixels, got 2 x 2"):
        plot.filters(np.ones((2, 6)), image_shape=(2, 2))


def test_history():
    from dsmfast import plot

    ax = plot.history({"loss": np.array([3.0, 2, 1]), "validation_loss": np.array([4.0, 3, 2])})
    assert [line.get_label() for line in ax.lines] == ["training", "held out"]
    assert ax.lines[0].get_ydata().tolist() == [3, 2, 1]
    assert ax.lines[0].get_xdata().tolist() == [1, 2, 3]
