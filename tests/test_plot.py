"""Pictures: what is drawn, not how it looks."""

import argparse
import doctest
import importlib
import pkgutil
import re
import sys

import numpy as np
import pytest

import dsmfast

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")

from matplotlib import pyplot  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from dsmfast import plot  # noqa: E402
from dsmfast.cli import plot as command  # noqa: E402
from dsmfast.cli.operands import settle  # noqa: E402

RNG = np.random.default_rng(0)
PLANE = dsmfast.ScoreModel(RNG.normal(size=(6, 2)), RNG.normal(size=6), np.array([0.5, -1]), 0.7)
POINTS = RNG.normal(size=(50, 2))
PIXELS = dsmfast.ScoreModel(RNG.normal(size=(5, 12)), np.zeros(5), np.zeros(12), 0.3)
ROWS = RNG.random((7, 12))
NORMALIZED = PLANE.normalized()
CHAINS = dsmfast.sample(PLANE, chains=3, draws=20)
LOSSES = {"loss": np.array([30.0, 2, 1]), "validation_loss": np.array([40.0, 3, 4])}

DRAW = {
    "filters": lambda ax: plot.filters(PIXELS, image_shape=(3, 4), ax=ax),
    "denoising": lambda ax: plot.denoising(PIXELS, ROWS, image_shape=(3, 4), ax=ax),
    "energy": lambda ax: plot.energy(PLANE, POINTS, ax=ax),
    "history": lambda ax: plot.history(LOSSES, best_epoch=2, ax=ax),
    "samples": lambda ax: plot.samples(ROWS, image_shape=(3, 4), ax=ax),
    "density": lambda ax: plot.density(NORMALIZED, POINTS, ax=ax),
    "chains": lambda ax: plot.chains(CHAINS, ax=ax),
}


@pytest.fixture(autouse=True)
def close_figures():
    pyplot.close("all")  # those of the examples in docstrings
    yield
    pyplot.close("all")


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(plot.__path__)])
def test_examples_in_docstrings(name):
    module = importlib.import_module(f"dsmfast.plot.{name}")
    found = doctest.testmod(module)
    assert found.failed == 0
    assert (found.attempted > 0) == bool(set(module.__all__) & set(plot.__all__))


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.mark.parametrize("kind", DRAW)
@pytest.mark.parametrize(
    ("size", "style"), [((2, 2), "default"), ((5, 4), "dark_background"), ((10, 3), "default")]
)
def test_axes_given(kind, size, style):
    """They come back; no figure of pyplot is made, no setting changed, and text is inside."""
    with pyplot.style.context(style):
        before = dict(matplotlib.rcParams)
        figure = Figure(figsize=size, layout="constrained")
        given = figure.subplots()
        assert DRAW[kind](given) is given
        figure.draw_without_rendering()
        assert dict(matplotlib.rcParams) == before
        assert pyplot.get_fignums() == []
        box = figure.get_tightbbox()  # inches
        assert box.x0 >= -0.02
        assert box.y0 >= -0.02
        assert box.x1 <= size[0] + 0.02
        assert box.y1 <= size[1] + 0.02
        assert given.title.get_color() == matplotlib.rcParams["axes.titlecolor"].replace(
            "auto", matplotlib.rcParams["text.color"]
        )


@pytest.mark.parametrize("kind", DRAW)
def test_a_figure_of_its_own(kind):
    before = dict(matplotlib.rcParams)
    made = DRAW[kind](None)
    assert pyplot.gcf() is made.figure
    assert dict(matplotlib.rcParams) == before
    with pytest.raises(TypeError, match="ax: expected Axes of matplotlib, got 'here'"):
        DRAW[kind]("here")


def test_filters(ax):
    W = np.arange(5)[:, None] * np.linspace(-1, 1, 9)[None, :]
    plot.filters(W, count=4, ax=ax)
    (image,) = ax.images
    shown = image.get_array()
    assert shown.shape == (7, 7)  # two by two images of 3 x 3 and a line between
    assert np.allclose(shown[:3, :3], np.linspace(-1, 1, 9).reshape(3, 3))  # the largest, scaled
    assert shown.mask[3].all()
    assert shown.mask[:, 3].all()
    assert image.get_cmap().get_bad()[3] == 0  # transparent
    assert ax.get_title() == "4 of 5 filters"


def test_filters_of_nothing_and_in_columns(ax):
    plot.filters(np.zeros((3, 32 * 40)), image_shape=(32, 40), columns=2, ax=ax)
    shown = ax.images[0].get_array()
    assert shown.shape == (2 * 32 + 2, 2 * 40 + 2)  # lines grow with the images
    assert (shown[:32, :40] == 0).all()
    assert shown.mask[-32:, -40:].all()  # three images on four places
    assert ax.get_title() == "3 filters"


@pytest.mark.parametrize(
    ("W", "options", "message"),
    [
        (np.ones((2, 6)), {}, "image_shape: needed, because 6 features are not a square"),
        (np.ones((2, 6)), {"image_shape": (2, 2)}, "image_shape: expected 6 pixels, got 2 x 2"),
        (np.ones((2, 6)), {"image_shape": 6}, "image_shape: expected .height, width., got 6"),
        (np.ones((2, 6)), {"image_shape": (2.0, 3)}, "image_shape: expected an integer, got 2.0"),
        (np.ones(4), {}, "model: expected a 2-D array"),
        (np.full((2, 4), np.nan), {}, "model: expected finite float64 values, got nan in row 0"),
        (np.ones((2, 4)), {"count": 0}, "count: expected an integer of at least 1, got 0"),
        (np.ones((2, 4)), {"columns": 0}, "columns: expected an integer of at least 1, got 0"),
    ],
)
def test_filters_that_do_not_fit(W, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        plot.filters(W, **options)
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_denoising(ax, dtype):
    model = dsmfast.ScoreModel(*(a.astype(dtype) for a in (PIXELS.W, PIXELS.b, PIXELS.c)), 0.3)
    plot.denoising(model, ROWS, image_shape=(3, 4), count=4, noise=0.5, seed=3, ax=ax)
    (image,) = ax.images
    shown = image.get_array()
    assert shown.shape == (3 * 3 + 2, 4 * 4 + 3)
    clean = ROWS[:4].astype(dtype)
    noisy = clean + np.asarray(0.5, dtype) * dsmfast.normals(3, 0, 0, range(4), 12, dtype)
    for i, rows in enumerate((clean, noisy, model.denoise(noisy))):
        for j, row in enumerate(rows):
            tile = shown[4 * i : 4 * i + 3, 5 * j : 5 * j + 4]
            assert np.array_equal(tile, row.reshape(3, 4))
    assert image.get_clim() == tuple(np.percentile(clean, [1, 99]))
    assert ax.get_yticks().tolist() == [1, 5, 9]  # in the middle of the lines
    assert [label.get_text() for label in ax.get_yticklabels()] == ["clean", "noisy", "denoised"]
    assert ax.get_title() == "noise, σ = 0.5"


def test_a_few_extreme_pixels_do_not_make_samples_grey(ax):
    rows = np.linspace(0, 1, 50 * 16).reshape(50, 16)
    rows[0, 0], rows[1, 1] = -30, 40
    plot.samples(rows, ax=ax)
    assert np.allclose(ax.images[0].get_clim(), (0.01, 0.99), atol=0.01)


def test_pixels_of_nearly_one_value_have_their_extremes_for_limits(ax):
    rows = np.zeros((50, 16))
    rows[3, 4] = 2
    plot.samples(rows, ax=ax)
    assert ax.images[0].get_clim() == (0, 2)


def test_noise_is_the_models_by_default(ax):
    plot.denoising(PIXELS, ROWS[:1], image_shape=(3, 4), ax=ax)
    noisy = ax.images[0].get_array()[4:7]
    draw = dsmfast.normals(0, 0, 0, [0], 12, "float64")
    assert np.array_equal(noisy, (ROWS[:1] + 0.3 * draw).reshape(3, 4))


@pytest.mark.parametrize(
    ("X", "options", "message"),
    [
        (ROWS[:, :6], {}, r"X: expected shape \(n, 12\), got \(7, 6\)"),
        (ROWS[0], {}, "X: expected a 2-D array"),
        (np.where(ROWS > 0.9, np.inf, ROWS), {}, "X: expected finite float64 values, got inf"),
        (ROWS, {"image_shape": None}, "image_shape: needed, because 12 features"),
        (ROWS, {"noise": -1}, "noise: expected a finite number >= 0, got -1"),
        (ROWS, {"count": 0}, "count: expected an integer of at least 1, got 0"),
        (ROWS, {"seed": -1}, "seed: expected an integer of at least 0, got -1"),
    ],
)
def test_denoising_of_what_does_not_fit(X, options, message):
    with pytest.raises(ValueError, match=message):
        plot.denoising(PIXELS, X, **{"image_shape": (3, 4), **options})
    assert pyplot.get_fignums() == []


def quiver(ax):
    (arrows,) = [c for c in ax.collections if type(c).__name__ == "Quiver"]
    return arrows


def test_energy(ax):
    plot.energy(PLANE, POINTS, arrows=9, ax=ax)
    low, high = POINTS.min(axis=0), POINTS.max(axis=0)
    margin = np.maximum(0.1 * (high - low), 0.7)
    assert np.allclose(ax.get_xlim(), (low[0] - margin[0], high[0] + margin[0]))
    assert np.allclose(ax.get_ylim(), (low[1] - margin[1], high[1] + margin[1]))
    assert ax.get_aspect() == 1
    (points,) = ax.lines
    assert np.array_equal(points.get_xydata(), POINTS)
    arrows = quiver(ax)
    vectors, places = np.column_stack([arrows.U, arrows.V]), np.column_stack([arrows.X, arrows.Y])
    score = PLANE.score(places)
    cosine = (
        (vectors * score).sum(1) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(score, axis=1)
    )
    assert np.allclose(cosine, 1)
    assert len(np.unique(places[:, 0])) == 9 or len(np.unique(places[:, 1])) == 9
    cell = np.diff(np.unique(places[:, 0]))[0]
    assert 0.8 * cell < np.linalg.norm(vectors, axis=1).max() < cell * 1.1
    assert arrows.zorder < points.zorder


def test_energies_are_where_they_belong(ax):
    """Colour changes at a point where the model says that the energy does."""
    limits = (-1, 2, -1.5, 1)
    contours = []
    contourf = ax.contourf
    ax.contourf = lambda *args, **options: (
        contours.append((args, options)) or contourf(*args, **options)
    )
    plot.energy(PLANE, POINTS, limits=limits, levels=7, ax=ax)
    ((x, y, values), options) = contours[0]
    assert (x[0], x[-1], y[0], y[-1]) == limits
    assert np.allclose(values[30, 200], PLANE.energy([[x[200], y[30]]]), rtol=1e-12, atol=0)
    low, high = np.percentile(PLANE.energy(POINTS), [1, 99])
    levels = options["levels"]
    assert len(levels) == 7
    assert np.allclose([levels[0], levels[-1]], [low, max(high, low + 10)])


@pytest.mark.parametrize("colour", ["white", "black", "#334455", "none"])
def test_energy_fades_into_the_background(colour):
    page = "beige" if colour == "none" else "white"
    axes = Figure(facecolor=page).subplots()
    axes.set_facecolor(colour)
    plot.energy(PLANE, POINTS, ax=axes)
    last = axes.collections[0].get_cmap()(1.0)
    expected = matplotlib.colors.to_rgb(page if colour == "none" else colour)
    assert np.allclose(last[:3], expected, atol=0.01)


def test_energy_without_data_or_arrows(ax):
    plot.energy(PLANE, limits=(-1, 1, -1, 1), arrows=0, ax=ax)
    assert not ax.lines
    assert all(type(c).__name__ != "Quiver" for c in ax.collections)


def test_some_points_of_many(ax):
    plot.energy(PLANE, POINTS, count=10, ax=ax)
    shown = ax.lines[0].get_xydata()
    assert len(shown) == 10
    assert np.array_equal(shown[[0, -1]], POINTS[[0, -1]])


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((1, 2)),
        POINTS * [100, 1],
        POINTS + 1000,
        (POINTS * 100).astype(int),
        POINTS.astype(np.float16),
    ],
    ids=["one point", "a strip", "far from the model", "integers", "halves"],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_energy_of_odd_data(X, dtype):
    figure = Figure()
    model = dsmfast.ScoreModel(*(a.astype(dtype) for a in (PLANE.W, PLANE.b, PLANE.c)), 0.7)
    axes = plot.energy(model, X, ax=figure.subplots())
    figure.draw_without_rendering()
    span = np.ptp(X.astype(float), axis=0)
    assert (axes.get_aspect() == "auto") == (span[0] > 50 * span[1])
    arrows = quiver(axes)
    assert np.isfinite(arrows.U).all()
    cells = np.column_stack([arrows.U, arrows.V]) / [
        np.diff(np.unique(arrows.X)).max(initial=1e-9) or 1,
        np.diff(np.unique(arrows.Y)).max(initial=1e-9) or 1,
    ]
    if len(np.unique(arrows.Y)) > 1:
        assert np.linalg.norm(cells, axis=1).max() < 1


@pytest.mark.parametrize(
    ("model", "X", "options", "message"),
    [
        (PIXELS, ROWS, {}, "model: expected one of 2 features, got one of 12"),
        (PLANE.W, POINTS, {}, "model: expected a ScoreModel, got an array of shape"),
        (PLANE, ROWS, {}, r"X: expected shape \(n, 2\), got \(7, 12\)"),
        (PLANE, None, {}, "limits: needed without data"),
        (PLANE, None, {"limits": (0, 1)}, r"limits: expected shape \(4,\), got \(2,\)"),
        (PLANE, None, {"limits": (0, 0, 1, 2)}, "limits: expected left < right"),
        (PLANE, POINTS, {"levels": 1}, "levels: expected an integer of at least 2, got 1"),
        (PLANE, POINTS, {"arrows": -1}, "arrows: expected an integer of at least 0, got -1"),
        (PLANE, POINTS, {"count": -1}, "count: expected an integer of at least 0, got -1"),
    ],
)
def test_energy_of_what_does_not_fit(model, X, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        plot.energy(model, X, **options)
    assert pyplot.get_fignums() == []


def test_history(ax):
    plot.history(LOSSES, ax=ax)
    assert [line.get_label() for line in ax.lines] == ["training", "held out"]
    assert ax.lines[0].get_ydata().tolist() == [30, 2, 1]
    assert ax.lines[0].get_xdata().tolist() == [1, 2, 3]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")
    assert ax.get_yscale() == "log"


def test_history_tells_losses_of_different_kinds_apart(ax):
    """With many scales of noise, the training loss is over all of them, the other at sigma."""
    options = {"epochs": 3, "validation": ROWS[:3]}
    result = dsmfast.train(ROWS, 4, 0.3, sigma_max="auto", **options)
    labels = ["training, noise of all scales", "held out, noise of sigma"]
    plot.history(result, ax=ax)
    assert [line.get_label() for line in ax.lines] == labels
    other = Figure().subplots()
    plot.history(result.history, training=result.model.training, ax=other)
    assert [line.get_label() for line in other.lines] == labels
    other = Figure().subplots()
    plot.history(dsmfast.train(ROWS, 4, 0.3, **options), ax=other)
    assert [line.get_label() for line in other.lines] == ["training", "held out"]


@pytest.mark.parametrize(
    ("losses", "scale"),
    [
        ([3.0, 2, 1], "linear"),
        ([11.0, 2, 1], "log"),
        ([11.0, 2, -1], "linear"),
        ([11.0, 0], "linear"),
        ([11.0, 1, np.nan], "log"),
        ([np.nan], "linear"),
    ],
)
def test_scale_of_losses(losses, scale, ax):
    plot.history({"loss": losses}, ax=ax)
    assert ax.get_yscale() == scale
    assert len(ax.lines) == 1


def test_one_epoch_is_a_point(ax):
    plot.history({"loss": [3]}, ax=ax)
    assert ax.lines[0].get_marker() == "o"


def test_best_epoch_of_a_result(ax):
    result = dsmfast.train(ROWS, 4, 0.3, epochs=30, validation=ROWS[:3], patience=2)
    best = result.best_epoch
    plot.history(result, ax=ax)
    marked = ax.lines[-1].get_xydata()
    assert marked.tolist() == [[best, result.history["validation_loss"][best - 1]]]
    assert ax.lines[-1].get_color() == ax.lines[1].get_color()
    assert ax.get_ylabel() == "loss (dsm)"
    assert [text.get_text() for text in ax.get_legend().get_texts()][-1] == f"best: {best}"


@pytest.mark.parametrize(
    ("result", "options", "message"),
    [
        ([1, 2], {}, "result: expected a TrainingResult or its history, got"),
        ({"seconds": [1]}, {}, "result: expected a TrainingResult or its history, got"),
        ({"loss": []}, {}, "result: expected losses of shape .epochs,., one at least, got .0,."),
        ({"loss": [[1.0]]}, {}, r"result: expected losses .* got \(1, 1\)"),
        ({"loss": 1.0}, {}, r"result: expected losses .* got \(\)"),
        ({"loss": [1], "validation_loss": [1, 2]}, {}, r"result: .* got \(1,\), \(2,\)"),
        ({"loss": ["a"]}, {}, "result.'loss'.: expected real numbers"),
        (LOSSES, {"best_epoch": 4}, "best_epoch: expected an integer of at most 3, got 4"),
    ],
)
def test_what_is_no_history(result, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        plot.history(result, **options)
    assert pyplot.get_fignums() == []


# The command.


def parsed(*arguments):
    parser = argparse.ArgumentParser(prog="dsmfast")
    command.add(parser.add_subparsers(dest="command"))
    return parser.parse_args(["plot", *map(str, arguments)])


def run(*arguments):
    args = parsed(*arguments)
    settle(args)
    return args.run(args)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What train leaves: a directory with a model of two features, one with a model of images."""
    pytest.importorskip("safetensors")
    where = tmp_path_factory.mktemp("runs")
    for name, X in (("plane", POINTS), ("pixels", ROWS)):
        (where / name).mkdir()
        result = dsmfast.train(X, 5, 0.3, epochs=9, validation=X, patience=9, sigma_max="auto")
        model = result.model.normalized() if name == "plane" else result.model
        model.save(where / name / "model.safetensors")
        losses = [result.history[column] for column in ("loss", "validation_loss")]
        table = np.column_stack([np.arange(1, len(losses[0]) + 1), *losses])
        header = "epoch,loss,validation_loss"
        file = where / name / "history.csv"
        np.savetxt(file, table, delimiter=",", header=header, comments="", fmt="%.9g")
        np.save(where / f"{name}.npy", X)
    np.savez(where / "two.npz", X=ROWS, y=np.ones(3))
    return where


def test_examples_in_the_help_are_commands():
    lines = [line for line in command.EXAMPLES.splitlines() if line.startswith("  dsmfast ")]
    assert {parsed(*line.split()[2:]).kind for line in lines} == set(command.KINDS)


BEGINNINGS = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


@pytest.mark.parametrize(
    ("kind", "ending"),
    [("filters", "pdf"), ("filters", "svg"), *((kind, "png") for kind in command.KINDS)],
)
def test_files(kind, ending, runs, tmp_path):
    out = tmp_path / f"picture.{ending}"
    name = "plane" if kind in ("energy", "density") else "pixels"
    takes = command.KINDS[kind]
    rows = [runs / f"{name}.npy"] if "DATA" in takes else []
    arguments = [kind, runs / name, *rows, "--out", out, "--dpi", 50]
    if "--image-shape" in takes:
        arguments += ["--image-shape", 3, 4]
    for option in sorted(takes & {"--count", "--draws", "--seed"}):
        arguments += [option, 3]
    before = dict(matplotlib.rcParams)
    assert run(*arguments) == 0
    first = out.read_bytes()
    assert first.startswith(BEGINNINGS[ending])
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []
    assert run(*arguments) == 0
    assert out.read_bytes() == first  # to the bit
    assert run(*arguments, "--dark") == 0
    assert out.read_bytes() != first
    assert [file.name for file in tmp_path.iterdir()] == [out.name]


def test_dark_and_dpi(runs, tmp_path):
    sizes = {}
    for dpi in (50, 100):
        run("filters", runs / "pixels", "--image-shape", 4, 3, "--dpi", dpi, "--dark",
            "--out", tmp_path / "f.PNG")  # fmt: skip
        pixels = pyplot.imread(tmp_path / "f.PNG", format="png")
        assert pixels[0, 0].tolist() == [0, 0, 0, 1]
        sizes[dpi] = pixels.shape[0]
    assert sizes[100] == pytest.approx(2 * sizes[50], rel=0.05)


def test_sources_of_the_command(runs, tmp_path, monkeypatch):
    drawn = []
    for kind in plot.__all__:
        function = getattr(plot, kind)
        monkeypatch.setattr(
            plot, kind, lambda *args, _f=function, **kw: drawn.append((args, kw)) or _f(*args, **kw)
        )
    out = ["--out", tmp_path / "f.png", "--dpi", 20]
    file = runs / "pixels" / "model.safetensors"
    run("denoising", file, runs / "two.npz", "--key", "X", "--image-shape", 2, 6, *out)
    (model, rows), options = drawn[-1]
    assert np.array_equal(model.W, dsmfast.load(file).W)
    assert np.array_equal(rows, ROWS.astype(np.float32))
    assert options["image_shape"] == (2, 6)
    for source in (runs / "plane", runs / "plane" / "history.csv"):
        run("history", source, *out)
        (losses,), options = drawn[-1]
        assert options["best_epoch"] == np.argmin(losses["validation_loss"]) + 1
        assert options["ax"].get_ylabel() == "loss (dsm)"
        assert options["ax"].lines[1].get_label() == "held out, noise of sigma"
    (tmp_path / "alone.csv").write_text("epoch,loss\n1,2.5\n2,1.5\n")
    run("history", tmp_path / "alone.csv", *out)
    (losses,), options = drawn[-1]
    assert losses["loss"].tolist() == [2.5, 1.5]
    assert options["best_epoch"] is None


def test_what_the_command_draws_of_models(runs, tmp_path, monkeypatch):
    drawn = []
    for kind in ("samples", "density", "chains"):
        function = getattr(plot, kind)
        monkeypatch.setattr(
            plot, kind, lambda *args, _f=function, **kw: drawn.append((args, kw)) or _f(*args, **kw)
        )
    out = ["--out", tmp_path / "f.png", "--dpi", 20]
    model = dsmfast.load(runs / "plane" / "model.safetensors")
    run("samples", runs / "plane", "--image-shape", 1, 2, "--count", 5, "--seed", 2, *out)
    assert drawn[-1][1]["seed"] == 2
    shown = drawn[-1][1]["ax"].images[0].get_array().compressed()
    assert set(shown) == set(model.denoise(model.sample(5, seed=2)).ravel())
    run("density", runs / "plane", runs / "plane.npy", "--count", 7, *out)
    (_, rows), options = drawn[-1]
    assert np.array_equal(rows, POINTS.astype(np.float32))
    assert len(options["ax"].lines[0].get_xdata()) == 7
    run("chains", runs / "plane", "--count", 12, "--draws", 9, "--seed", 2, *out)
    ((chains,), options) = drawn[-1]
    assert np.array_equal(chains.x, dsmfast.sample(model, 12, 9, seed=2).x)
    assert len(options["ax"].lines) == 12


def test_a_model_of_one_scale_is_told_of(tmp_path, capsys):
    pytest.importorskip("safetensors")
    dsmfast.train(POINTS, 5, 0.3, epochs=1).model.save(file := tmp_path / "one.safetensors")
    run("chains", file, "--draws", 3, "--out", tmp_path / "f.png")
    told = capsys.readouterr().err
    assert told.startswith(f"dsmfast: {file} was trained at one noise scale; ")
    assert told.count("\n") == 1


def test_first_mistakes(runs, tmp_path, monkeypatch):
    out = tmp_path / "f.png"
    plane, pixels, rows = runs / "plane", runs / "pixels", runs / "pixels.npy"
    PLANE.save(bare := tmp_path / "bare.safetensors")
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "none.csv").write_text("epoch,loss\n")
    (tmp_path / "ragged.csv").write_text("epoch,loss,\n1,2\n")
    cases = [
        (["energy", plane], "DATA: needed for energy"),
        (
            ["filters", pixels, rows],
            "DATA: expected only with energy, denoising and density, got filters",
        ),
        (["density", plane], "DATA: needed for density"),
        (
            ["chains", plane, rows],
            "DATA: expected only with energy, denoising and density, got chains",
        ),
        (["history", pixels, "--key", "X"], "--key: expected only with .npz files with DATA"),
        (
            ["history", pixels, "--image-shape", 3, 4],
            "--image-shape: expected only with filters, denoising",
        ),
        (
            ["filters", pixels, "--seed", 3],
            "--seed: expected only with samples and chains, got filters",
        ),
        (["samples", pixels, "--draws", 3], "--draws: expected only with chains, got samples"),
        (["chains", pixels, "--draws", 0], "--draws: expected an integer of at least 1, got 0"),
        (["samples", pixels], "--image-shape: needed, because 12 features are not a square image"),
        (["density", pixels, rows], "expected a model of 2 features, got one of 12"),
        (["density", bare, runs / "plane.npy"], "density: .*bare.safetensors has no normaliser"),
        (
            ["history", pixels, "--count", 3],
            "--count: expected only with filters, energy, denoising",
        ),
        (["filters", pixels, "--count", 0], "--count: expected an integer of at least 1, got 0"),
        (["filters", pixels, "--dpi", 0], "--dpi: expected an integer of at least 10, got 0"),
        (["filters", pixels], "--image-shape: needed, because 12 features are not a square image"),
        (["filters", pixels, "--image-shape", 3, 5], "--image-shape: expected 12 pixels, got 3"),
        (["energy", pixels, rows], "expected a model of 2 features, got one of 12"),
        (["energy", plane, rows], "pixels.npy: expected 2 features, as the model was trained on"),
        (["filters", tmp_path / "empty"], "is a directory without model.safetensors"),
        (["history", tmp_path / "empty"], "MODEL: no history.csv in"),
        (["history", plane / "model.safetensors"], "MODEL: expected a directory that train wrote"),
        (["history", tmp_path / "other.csv"], "expected columns epoch and loss"),
        (["history", tmp_path / "none.csv"], "no rows of numbers"),
        (["history", tmp_path / "ragged.csv"], "expected 3 columns, got 2"),
        (["history", pixels, "--out", tmp_path / "f.gif"], "expected a file ending in .png, .pdf"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=re.escape(message).replace(r"\.\*", ".*")):
            run(*arguments, *([] if "--out" in arguments else ["--out", out]))
        assert not out.exists()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"plotting needs matplotlib: pip install 'dsmfast"):
        run("history", pixels, "--out", out)
