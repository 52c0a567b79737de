"""Pictures of what a model draws, and of its density: what is drawn, not how it looks."""

import sys

import numpy as np
import pytest

import dsmfast

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")

from matplotlib import pyplot  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from dsmfast import plot  # noqa: E402
from dsmfast.sampling import Chains  # noqa: E402

RNG = np.random.default_rng(0)
BARE = dsmfast.ScoreModel(RNG.normal(size=(6, 2)), RNG.normal(size=6), np.array([0.5, -1]), 0.7)
PLANE = BARE.normalized()
POINTS = RNG.normal(size=(50, 2))
PIXELS = dsmfast.ScoreModel(RNG.normal(size=(5, 12)), np.zeros(5), np.zeros(12), 0.3)
ROWS = RNG.random((7, 12))


@pytest.fixture(autouse=True)
def no_figures():
    """None is made by pyplot: each test has Axes of its own."""
    pyplot.close("all")
    yield
    assert pyplot.get_fignums() == []


@pytest.fixture
def ax():
    return Figure().subplots()


def tiles(ax, shape, columns):
    """The images of a sheet, line by line; those that are not there are masked."""
    (image,) = ax.images
    shown = image.get_array()
    height, width = shape[0] + 1, shape[1] + 1
    lines = -(-shown.shape[0] // height)
    return [
        shown[i * height : i * height + shape[0], j * width : j * width + shape[1]]
        for i in range(lines)
        for j in range(columns)
    ]


class TestSamples:
    def test_of_rows(self, ax):
        plot.samples(ROWS, image_shape=(3, 4), ax=ax)
        drawn = tiles(ax, (3, 4), 3)
        assert len(drawn) == 9
        for tile, row in zip(drawn, ROWS, strict=False):
            assert np.array_equal(tile, row.reshape(3, 4))
        assert drawn[7].mask.all()
        assert ax.images[0].get_clim() == tuple(np.percentile(ROWS, [1, 99]))
        assert ax.images[0].get_cmap().get_bad()[3] == 0  # transparent between them
        assert ax.get_title() == "7 samples"

    def test_of_a_model(self, ax):
        plot.samples(PIXELS, image_shape=(4, 3), count=4, columns=4, seed=3, ax=ax)
        expected = PIXELS.denoise(PIXELS.sample(4, seed=3))
        for tile, row in zip(tiles(ax, (4, 3), 4), expected, strict=True):
            assert np.array_equal(tile, row.reshape(4, 3))
        assert ax.get_title() == "4 samples"

    def test_some_of_many(self, ax):
        """Not the first ones: of chains, those are all of one."""
        plot.samples(ROWS, image_shape=(3, 4), count=3, columns=1, ax=ax)
        for tile, row in zip(tiles(ax, (3, 4), 1), ROWS[[0, 3, 6]], strict=True):
            assert np.array_equal(tile, row.reshape(3, 4))
        assert ax.get_title() == "3 of 7 samples"

    def test_seed_is_0_by_default(self):
        shown = []
        for options in ({}, {"seed": 0}, {"seed": 1}):
            axes = Figure().subplots()
            plot.samples(PIXELS, image_shape=(3, 4), count=2, ax=axes, **options)
            shown.append(axes.images[0].get_array().compressed().tolist())
        assert shown[0] == shown[1] != shown[2]

    @pytest.mark.parametrize(
        ("x", "options", "message"),
        [
            (ROWS, {}, "image_shape: needed, because 12 features are not a square"),
            (PIXELS, {}, "image_shape: needed, because 12 features are not a square"),
            (PIXELS, {"image_shape": (3, 5)}, "image_shape: expected 12 pixels, got 3 x 5"),
            (ROWS, {"image_shape": (3, 4), "seed": 1}, "seed: expected None if x is rows"),
            (PIXELS, {"image_shape": (3, 4), "seed": -1}, "seed: expected an integer of at least"),
            (ROWS, {"image_shape": (3, 4), "count": 0}, "count: expected an integer of at least 1"),
            (ROWS, {"image_shape": (3, 4), "columns": 0}, "columns: expected an integer of at le"),
            (PIXELS, {"image_shape": (3, 4), "columns": 0}, "columns: expected an integer of at"),
            (ROWS[0], {"image_shape": (3, 4)}, "x: expected a 2-D array"),
            (np.full((2, 4), np.nan), {}, "x: expected finite float64 values, got nan in row 0"),
            ("digits", {}, "x: expected real numbers"),
        ],
    )
    def test_what_does_not_fit(self, x, options, message):
        with pytest.raises((ValueError, TypeError), match=message):
            plot.samples(x, **options)


class TestDensity:
    def drawn(self, ax, *arguments, **options):
        """The Axes, what was handed to their contourf, and the bar's."""
        contours, contourf = [], ax.contourf
        ax.contourf = lambda *args, **kw: contours.append((args, kw)) or contourf(*args, **kw)
        assert plot.density(*arguments, ax=ax, **options) is ax
        (beside,) = ax.child_axes
        return contours[0], beside

    def test_densities_are_where_they_belong(self, ax):
        limits = (-1, 2, -1.5, 1)
        ((x, y, values), options), _ = self.drawn(ax, PLANE, POINTS, limits=limits, levels=7)
        assert (x[0], x[-1], y[0], y[-1]) == limits
        assert values[30, 200] == pytest.approx(PLANE.log_density([[x[200], y[30]]])[0], rel=1e-12)
        high = np.percentile(PLANE.log_density(POINTS), 99)
        low = np.percentile(PLANE.log_density(POINTS), 1)
        assert len(options["levels"]) == 7
        assert np.allclose(options["levels"][[0, -1]], [min(low, high - 10), high])
        assert ax.get_title() == "log-density, σ = 0.7"

    @pytest.mark.parametrize("colour", ["white", "black"])
    def test_the_colour_is_blue_where_it_is_high(self, colour):
        axes = Figure().subplots()
        axes.set_facecolor(colour)
        (_, options), _ = self.drawn(axes, PLANE, POINTS)
        low, high = (options["cmap"](end)[:3] for end in (0.0, 1.0))
        assert np.allclose(low, matplotlib.colors.to_rgb(colour), atol=0.01)
        assert high[2] > high[0] + 0.3

    def test_the_bar(self, ax):
        (_, options), beside = self.drawn(ax, PLANE, POINTS)
        assert beside.get_ylabel() == "nats"
        ticks = beside.get_yticks()
        assert 2 <= len(ticks) <= 7
        assert options["levels"][0] <= ticks.min() < ticks.max() <= options["levels"][-1]

    def test_points_and_arrows(self, ax):
        self.drawn(ax, PLANE, POINTS, count=10)
        assert np.array_equal(ax.lines[0].get_xydata()[[0, -1]], POINTS[[0, -1]])
        assert len(ax.lines[0].get_xydata()) == 10
        quivers = [type(c).__name__ == "Quiver" for c in ax.collections]
        assert not any(quivers)
        other = Figure().subplots()
        plot.density(PLANE, limits=(-1, 1, -1, 1), arrows=5, ax=other)
        (arrows,) = [c for c in other.collections if type(c).__name__ == "Quiver"]
        assert len(arrows.U) == 25
        assert not other.lines

    def test_a_doubtful_normaliser_is_told(self, ax):
        doubtful = dsmfast.Normalizer(
            PLANE.log_normalizer.value,
            3.0,
            "ais",
            effective=2.0,
            chains=256,
            temperatures=10,
            fingerprint=PLANE.log_normalizer.fingerprint,
        )
        values = (BARE.W, BARE.b, BARE.c, BARE.sigma)
        plot.density(dsmfast.ScoreModel(*values, log_normalizer=doubtful), POINTS, ax=ax)
        assert ax.get_title() == "log-density, σ = 0.7, normaliser not reliable"

    @pytest.mark.parametrize(
        ("model", "X", "options", "message"),
        [
            (BARE, POINTS, {}, r"model: expected one with a normaliser.*model\.normalized\(data=X"),
            (PIXELS.W, ROWS, {}, "model: expected a ScoreModel, got an array of shape"),
            (PLANE, ROWS, {}, r"X: expected shape \(n, 2\), got \(7, 12\)"),
            (PLANE, None, {}, "limits: needed without data"),
            (PLANE, POINTS, {"limits": (0, 0, 1, 2)}, "limits: expected left < right"),
            (PLANE, POINTS, {"levels": 1}, "levels: expected an integer of at least 2, got 1"),
            (PLANE, POINTS, {"arrows": -1}, "arrows: expected an integer of at least 0, got -1"),
            (PLANE, POINTS, {"count": -1}, "count: expected an integer of at least 0, got -1"),
        ],
    )
    def test_what_does_not_fit(self, model, X, options, message):
        with pytest.raises((ValueError, TypeError), match=message):
            plot.density(model, X, **options)

    def test_a_model_of_more_features(self):
        normalizer = dsmfast.log_normalizer(PIXELS, chains=4, temperatures=2)
        values = (PIXELS.W, PIXELS.b, PIXELS.c, PIXELS.sigma)
        model = dsmfast.ScoreModel(*values, log_normalizer=normalizer)
        with pytest.raises(ValueError, match="model: expected one of 2 features, got one of 12"):
            plot.density(model, ROWS)


def chains_of(number, draws, thin=1, accepted=1.0):
    x = RNG.normal(size=(number, draws, 2))
    share = np.full(number, accepted)
    return Chains(x, (x**2).sum(axis=2), share, "shifted", thin)


class TestChains:
    def test_traces(self, ax):
        chains = chains_of(3, 20)
        plot.chains(chains, ax=ax)
        assert len(ax.lines) == 3
        for line, energy in zip(ax.lines, chains.energy, strict=True):
            assert line.get_xdata().tolist() == list(range(1, 21))
            assert line.get_ydata().tolist() == energy.tolist()
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("draw", "energy")

    def test_some_of_many(self, ax):
        plot.chains(chains_of(12, 5, thin=3, accepted=0.934), ax=ax)
        assert len(ax.lines) == 10
        assert ax.get_xlabel() == "draw, every 3 steps"
        assert ax.get_title().splitlines()[0] == "12 chains, shifted, 93.4 % accepted"

    def test_how_well_they_mix(self, ax, monkeypatch):
        monkeypatch.setattr(Chains, "ess", lambda self: np.array(41.7))
        monkeypatch.setattr(Chains, "r_hat", lambda self: np.array(1.2345))
        plot.chains(chains_of(2, 20), ax=ax)
        assert ax.get_title() == "2 chains, shifted\neffective size 42, R-hat 1.234"
        plot.chains(chains_of(1, 20), ax=ax)
        assert ax.get_title() == "1 chain, shifted\neffective size 42"
        plot.chains(chains_of(2, 3), ax=ax)
        assert ax.get_title() == "2 chains, shifted"  # too few draws to tell

    def test_what_arviz_says(self, ax):
        pytest.importorskip("arviz_stats")
        chains = chains_of(4, 50)
        plot.chains(chains, ax=ax)
        size, r_hat = float(chains.ess()), float(chains.r_hat())
        assert ax.get_title().endswith(f"\neffective size {size:.0f}, R-hat {r_hat:.3f}")

    def test_without_arviz(self, ax, monkeypatch):
        for module in ("arviz_stats", "arviz_stats.base"):
            monkeypatch.setitem(sys.modules, module, None)
        plot.chains(chains_of(4, 50), ax=ax)
        assert ax.get_title() == "4 chains, shifted"

    def test_one_draw_is_a_point(self, ax):
        plot.chains(chains_of(4, 1), ax=ax)
        assert {line.get_marker() for line in ax.lines} == {"o"}

    def test_what_are_no_chains(self):
        with pytest.raises(
            TypeError, match=r"chains: expected what dsmfast\.sample returns, got an"
        ):
            plot.chains(np.zeros((4, 10, 2)))
        with pytest.raises(ValueError, match="count: expected an integer of at least 1, got 0"):
            plot.chains(chains_of(2, 5), count=0)
