"""The commands that draw, fill in and normalise: what they write is what the library returns."""

import contextlib
import os
import re

import numpy as np
import pytest

import dsmfast
from dsmfast import data
from dsmfast.cli import main

pytest.importorskip("safetensors")

RNG = np.random.default_rng(0)
PLANE = dsmfast.ScoreModel(
    *(part.astype("float32") for part in (RNG.normal(size=(6, 2)), RNG.normal(size=6), np.ones(2))),
    0.7,
)
PIXELS = dsmfast.ScoreModel(
    *(RNG.normal(size=shape).astype("float32") for shape in ((5, 12), 5, 12)), 0.5
)

GAPS = np.array([[0.1, np.nan], [np.nan, -1.25], [0.3, 0.7], [np.nan, np.nan]])
CSV = "a,b\n0.1,\nnan,-1.25\n0.3, 0.7\n,\n"

# One that says that it is not reliable, of PLANE.
DOUBTFUL = dsmfast.Normalizer(
    1.5,
    3.0,
    "ais",
    effective=2.0,
    chains=256,
    temperatures=10,
    fingerprint=PLANE.normalized().log_normalizer.fingerprint,
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with models and rows, and the process in it."""
    monkeypatch.chdir(tmp_path)
    PLANE.save("plane.safetensors")
    (tmp_path / "run").mkdir()
    PLANE.save("run/model.safetensors")
    PIXELS.save("pixels.safetensors")
    values = (PLANE.W, PLANE.b, PLANE.c, PLANE.sigma)
    dsmfast.ScoreModel(*values, log_normalizer=DOUBTFUL).save("doubtful.safetensors")
    (tmp_path / "gaps.csv").write_text(CSV)
    np.save("rows.npy", RNG.normal(size=(30, 2)))
    return tmp_path


def table(text):
    header, *lines = text.splitlines()
    return header, np.array([[float(cell) for cell in line.split(",")] for line in lines])


def run(*words):
    assert main([str(word) for word in words]) == 0


class TestSample:
    def test_to_stdout(self, here, capfdbinary):
        run("sample", "plane.safetensors", "--count", 5, "--seed", 3)
        shown = capfdbinary.readouterr()
        header, x = table(shown.out.decode())
        assert header == "x_0,x_1"
        assert np.array_equal(x.astype("float32"), PLANE.sample(5, seed=3))
        assert shown.err == b""

    @pytest.mark.parametrize("ending", [".npy", ".npz", ".csv", ".parquet"])
    def test_to_files(self, ending, here):
        if ending == ".parquet":
            pytest.importorskip("pyarrow")
        run("sample", "run", "--denoise", "--burn-in", 7, "--out", f"x{ending}")
        expected = PLANE.denoise(PLANE.sample(64, burn_in=7))
        assert np.array_equal(data.read_file(f"x{ending}").astype("float32"), expected)

    def test_the_same_bits(self, here):
        written = []
        for seed, threads in ((3, 1), (3, 2), (4, 1)):
            options = ["--seed", seed, "--threads", threads, "--out", "x.npy"]
            run("sample", "run", "--count", 9, *options)
            written.append((here / "x.npy").read_bytes())
        assert written[0] == written[1] != written[2]

    def test_a_sheet_of_images(self, here):
        images = pytest.importorskip("dsmfast.images")
        pytest.importorskip("PIL")
        options = ["--count", 5, "--image-shape", 3, 4, "--denoise", "--out", "sheet.PNG"]
        run("sample", "pixels.safetensors", *options)
        sheet = images.read("sheet.PNG")
        assert sheet.shape == (16 * (2 * 3 + 1), 16 * (3 * 4 + 2))  # each pixel 16 x 16
        x = PIXELS.denoise(PIXELS.sample(5))
        low, high = np.percentile(x, [1, 99])
        grey = np.clip((x - low) / (high - low), 0, 1)
        pixels = sheet[::16, ::16]
        assert np.array_equal(pixels, sheet[15::16, 15::16])
        assert np.allclose(pixels[:3, :4], grey[0].reshape(3, 4), atol=1 / 255)
        assert np.allclose(pixels[4:, 5:9], grey[4].reshape(3, 4), atol=1 / 255)
        assert (pixels[3] == 1).all()  # between them, and where there is none
        assert (pixels[4:, 10:] == 1).all()

    def test_mistakes(self, here, capsys):
        np.save("wide.npy", np.ones((3, 5)))
        np.save("infinite.npy", np.array([[np.nan, 1], [2, np.inf]]))
        np.save("large.npy", np.array([[np.nan, 1e300]]))
        (here / "words.csv").write_text("a,b\n1,NA\n")
        plane = ["sample", "plane.safetensors"]
        pixels = ["sample", "pixels.safetensors"]
        cases = [
            ([*plane, "--count", "0"], "--count: expected an integer of at least 1, got 0"),
            ([*plane, "--seed", "-1"], "seed: expected an integer of at least 0, got -1"),
            ([*plane, "--burn-in", "-1"], "burn_in: expected an integer of at least 0, got -1"),
            ([*plane, "--key", "X"], "--key: expected only with .npz files with DATA"),
            (
                [*plane, "--out", "x.txt"],
                "--out: expected a file ending in .npy, .npz, .csv, .parq",
            ),
            (
                [*plane, "--image-shape", "1", "2"],
                "--image-shape: expected only with images as --out, ",
            ),
            (
                [*pixels, "--out", "x.png"],
                "--image-shape: needed, because 12 features are not a square",
            ),
            (
                [*pixels, "--image-shape", "3", "3", "--out", "x.png"],
                "--image-shape: expected 12 pixels, got 3 x 3",
            ),
            ([*plane, "wide.npy"], "wide.npy: expected 2 features, as the model was"),
            (
                [*plane, "infinite.npy"],
                "infinite.npy: expected finite float32 values, g",
            ),
            (
                [*plane, "large.npy"],
                "large.npy: expected finite float32 values, got inf",
            ),
            (
                [*plane, "words.csv"],
                "column 2: expected a number, got 'NA' under 'b'; leave what is missing empty",
            ),
            ([*plane, "none.csv"], "none.csv: No such file"),
        ]
        for arguments, message in cases:
            assert main(arguments) == 2, arguments
            shown = capsys.readouterr()
            assert shown.out == ""
            assert message in shown.err, shown.err
            assert shown.err.startswith("dsmfast: ")
            assert shown.err.count("\n") == 1
        assert not list(here.glob("x.*"))

    def test_a_model_of_one_scale_is_told_of(self, here, capsys):
        rows = np.load("rows.npy")
        dsmfast.train(rows, 5, 0.3, epochs=1).model.save("one.safetensors")
        dsmfast.train(rows, 5, 0.3, epochs=1, sigma_max="auto").model.save("many.safetensors")
        run("sample", "one.safetensors", "--out", "x.npy")
        told = capsys.readouterr().err
        assert told.startswith("dsmfast: one.safetensors was trained at one noise scale; ")
        assert told.count("\n") == 1
        run("sample", "many.safetensors", "--out", "x.npy")
        assert capsys.readouterr().err == ""


class TestGiven:
    def expected(self, count, denoise=False, **options):
        given = np.repeat(GAPS, count, axis=0)
        x = dsmfast.sample(PLANE, len(given), 1, given=given.astype("float32"), **options).rows
        x = PLANE.denoise(x) if denoise else x
        return np.where(np.isnan(given), x, given)

    def test_one_completion_of_each_row(self, here):
        run("sample", "run", "gaps.csv", "--seed", 2, "--out", "x.npy")
        x = np.load("x.npy")
        assert np.array_equal(x, self.expected(1, seed=2))
        assert np.array_equal(x[~np.isnan(GAPS)], GAPS[~np.isnan(GAPS)])  # to the bit of the file

    def test_several_and_without_noise(self, here):
        options = ["gaps.csv", "--count", 3, "--denoise", "--out", "x.npy"]
        run("sample", "run", *options)
        x = np.load("x.npy")
        assert np.array_equal(x, self.expected(3, denoise=True))
        known = np.repeat(~np.isnan(GAPS), 3, axis=0)
        assert np.array_equal(x[known], np.repeat(GAPS, 3, axis=0)[known])
        assert len(np.unique(x[:3, 1])) == 3  # each drawn anew

    def test_a_single_row(self, here):
        np.savez("one.npz", X=GAPS[:1], y=np.ones(3))
        options = ["one.npz", "--key", "X", "--out", "x.npy"]
        run("sample", "run", *options)
        assert np.load("x.npy").shape == (1, 2)

    def test_a_line_of_images_for_each_row(self, here):
        images = pytest.importorskip("dsmfast.images")
        pytest.importorskip("PIL")
        given = np.full((2, 12), np.nan)
        given[1] = np.linspace(0, 3, 12)
        np.save("given.npy", given)
        options = ["given.npy", "--count", 5, "--image-shape", 3, 4, "--out", "s.png"]
        run("sample", "pixels.safetensors", *options)
        pixels = images.read("s.png")[::16, ::16]
        assert pixels.shape == (2 * 3 + 1, 5 * 4 + 4)
        assert np.array_equal(pixels[4:, :4], pixels[4:, 20:])  # nothing was missing
        assert not np.array_equal(pixels[:3, :4], pixels[:3, 20:])


class TestImpute:
    @pytest.mark.parametrize("ending", [".csv", ".npy", ".parquet"])
    def test_from_files_with_gaps(self, ending, here):
        if ending == ".npy":
            np.save("gaps.npy", GAPS)
        elif ending == ".parquet":
            arrow = pytest.importorskip("pyarrow")
            parquet = pytest.importorskip("pyarrow.parquet")
            columns = [[None if np.isnan(v) else v for v in column] for column in GAPS.T]
            parquet.write_table(arrow.table(dict(zip("ab", columns, strict=True))), "gaps.parquet")
        options = ["--draws", 9, "--burn-in", 5, "--seed", 2, "--out", "x.npy"]
        run("impute", "run", f"gaps{ending}", *options)
        filled = dsmfast.impute(PLANE, GAPS.astype("float32"), draws=9, burn_in=5, seed=2)
        assert np.array_equal(np.load("x.npy"), np.where(np.isnan(GAPS), filled, GAPS))

    def test_to_stdout(self, here, capfdbinary):
        run("impute", "run", "gaps.csv")
        header, x = table(capfdbinary.readouterr().out.decode())
        assert header == "x_0,x_1"
        filled = dsmfast.impute(PLANE, GAPS.astype("float32"))
        assert np.array_equal(x, np.where(np.isnan(GAPS), filled, GAPS))

    def test_where_nothing_is_missing(self, here, capsys):
        run("impute", "run", "rows.npy", "--out", "x.npy")
        told = capsys.readouterr().err
        assert told == "dsmfast: nothing is missing in rows.npy: no cell is empty or NaN\n"
        assert (here / "x.npy").read_bytes() == (here / "rows.npy").read_bytes()

    def test_mistakes(self, here, capsys):
        (here / "ragged.csv").write_text("1,\n2\n")
        np.save("line.npy", np.ones(2))
        cases = [
            (["ragged.csv"], "ragged.csv: line 2: expected 2 columns, got 1"),
            (["line.npy"], "line.npy: expected rows of features, got an array of shape (2,)"),
            (["gaps.csv", "--draws", "0"], "--draws: expected an integer of at least 1, got 0"),
            (["gaps.csv", "--key", "X"], "gaps.csv: a key is for .npz files"),
            (["gaps.csv", "--out", "x.png"], "--out: expected a file ending in .npy, .npz, .csv"),
        ]
        for arguments, message in cases:
            assert main(["impute", "run", *arguments]) == 2, arguments
            shown = capsys.readouterr()
            assert shown.out == ""
            assert message in shown.err, shown.err

    def test_other_commands_refuse_gaps(self, here, capsys):
        assert main(["energy", "run", "gaps.csv"]) == 2
        shown = capsys.readouterr().err
        assert "line 2, column 2: expected a number, got ''" in shown
        assert "; drop the row, or fill it in with impute" in shown


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("1,\n,2\n", [[1, np.nan], [np.nan, 2]]),
        (",\n1,2\n", [[np.nan, np.nan], [1, 2]]),  # no header: nothing is called nothing
        ("\n1,2\n", [[1, 2]]),
        (",b\n1,2\n", [[2]]),  # an index, as pandas writes it
        ('a,b\n"", 2\n', [[np.nan, 2]]),
        ("a,b\n1,2\n", [[1, 2]]),
        ("NaN,1\n", [[np.nan, 1]]),
    ],
)
def test_empty_cells(text, rows, tmp_path):
    (tmp_path / "rows.csv").write_text(text)
    assert np.array_equal(data.load(str(tmp_path / "rows.csv"), missing=True), rows, equal_nan=True)


class TestNormalize:
    def test_in_place(self, here, capsys):
        """The model is the same, but for what was found, and so is its file's mode."""
        (here / "run" / "model.safetensors").chmod(0o640)
        run("normalize", "run")
        model = dsmfast.load("run/model.safetensors")
        found = PLANE.normalized().log_normalizer
        assert model.log_normalizer == found
        assert np.array_equal(model.W, PLANE.W)
        shown = capsys.readouterr()
        kept = "run/model.safetensors: the model, with its normaliser"
        assert shown.out.splitlines() == [str(found), kept]
        assert shown.err == ""
        assert (here / "run" / "model.safetensors").stat().st_mode & 0o777 == 0o640
        assert os.listdir("run") == ["model.safetensors"]  # noqa: PTH208

    def test_to_a_file_by_chains(self, here, capsys):
        options = ["--method", "ais", "--chains", 20, "--temperatures", 30, "--seed", 5]
        before = (here / "plane.safetensors").read_bytes()
        data_of = ["rows.npy", "--out", "out.safetensors"]
        run("normalize", "plane.safetensors", *options, *data_of)
        expected = dsmfast.log_normalizer(
            PLANE, method="ais", chains=20, temperatures=30, seed=5, data=np.load("rows.npy")
        )
        found = dsmfast.load("out.safetensors").log_normalizer
        assert found.value == expected.value
        assert found.upper == pytest.approx(expected.upper, rel=1e-5)  # rows rounded to float32
        assert (here / "plane.safetensors").read_bytes() == before

    def test_not_reliable(self, here, capsys, monkeypatch):
        """A line on stderr, for there is a result; no warning of Python's."""
        monkeypatch.setattr("dsmfast.model.find_normalizer", lambda model, **options: DOUBTFUL)
        run("normalize", "plane.safetensors")
        shown = capsys.readouterr()
        assert "Not reliable: only 2.0 of 256 chains count" in " ".join(shown.out.split())
        assert shown.err.startswith("dsmfast: the normaliser of plane.safetensors is not reliable;")
        assert shown.err.count("\n") == 1
        assert dsmfast.load("plane.safetensors").log_normalizer == DOUBTFUL

    def test_mistakes(self, here, capsys):
        np.save("wide.npy", np.ones((3, 5)))
        plane, many = ["plane.safetensors"], ["--method", "ais"]
        before = (here / "plane.safetensors").read_bytes()
        cases = [
            ([*plane, "--key", "X"], "--key: expected only with .npz files with DATA"),
            ([*plane, "wide.npy"], "wide.npy: expected 2 features, as the model was tra"),
            ([*plane, "gaps.csv"], "line 2, column 2: expected a number, got ''"),
            ([*plane, "--out", "x.npy"], "--out: expected a file ending in .safetensors, got .npy"),
            ([*plane, "--out", "no/x.safetensors"], "--out: cannot write to no/x.safetensors: No"),
            ([*plane, *many, "--chains", "1"], "chains: expected an integer of at least 2, got 1"),
            ([*plane, *many, "--temperatures", "0"], "temperatures: expected an integer of at lea"),
            ([*plane, "--method", "enumeration"], "method: 'enumeration' needs an integer n = 1 /"),
            (["none"], "none: No such file or directory"),
        ]
        for arguments, message in cases:
            assert main(["normalize", *arguments]) == 2, arguments
            shown = capsys.readouterr()
            assert shown.out == ""
            assert message in shown.err, shown.err
            assert shown.err.count("\n") == 1
        assert (here / "plane.safetensors").read_bytes() == before
        with pytest.raises(SystemExit):
            main(["normalize", *plane, "--method", "guess"])
        assert "invalid choice: 'guess'" in capsys.readouterr().err


class TestLogDensity:
    def test_is_minus_energy_minus_log_z(self, here):
        run("normalize", "run")
        run("energy", "run", "rows.npy", "--log-density", "--out", "density.npy")
        run("energy", "run", "rows.npy", "--out", "energy.npy")
        density, energy = np.load("density.npy"), np.load("energy.npy")
        log_z = dsmfast.load("run/model.safetensors").log_normalizer.value
        assert density.dtype == energy.dtype == np.float64
        assert np.allclose(density, -energy - log_z, rtol=1e-14, atol=0)

    def test_without_a_normaliser(self, here, capsys):
        assert main(["energy", "run", "rows.npy", "--log-density"]) == 2
        told = capsys.readouterr().err
        assert told.startswith("dsmfast: --log-density: run has no normaliser, so its")
        assert "dsmfast normalize run DATA" in told
        assert told.count("\n") == 1

    def test_with_a_doubtful_one(self, here, capfdbinary):
        run("energy", "doubtful.safetensors", "rows.npy", "--log-density")
        shown = capfdbinary.readouterr()
        assert shown.out.startswith(b"log_density\n")
        assert b"the normaliser of doubtful.safetensors is not reliable" in shown.err


class TestTrain:
    def test_normalize(self, here, capsys):
        options = ["--hidden", 6, "--epochs", 20, "--normalize", "--seed", 4, "--out", "trained"]
        run("train", "rows.npy", *options)
        said = capsys.readouterr().out
        *_, density = said.splitlines()
        pattern = r"^(held-out dsm: .*)\n(log Z = (?:.*\n)+)held"
        closing, found = re.search(pattern, said, re.MULTILINE).groups()
        model = dsmfast.load("trained/model.safetensors")
        rows, held_out = data.split(np.load("rows.npy").astype("float32"), 0.2, 4)
        assert closing.startswith("held-out dsm: ")
        assert model.log_normalizer == dsmfast.log_normalizer(model, data=rows, seed=4)
        assert " ".join(found.split()) == str(model.log_normalizer)
        assert max(map(len, found.splitlines())) < 80
        mean = model.log_density(held_out).mean(dtype=float)
        assert density == f"held-out log-density: {mean:.5g} nats a row, on average"

    def test_a_run_that_was_interrupted_is_not_normalised(self, here, capsys, monkeypatch):
        def interrupted(*arguments, **options):
            def stop(state):
                raise KeyboardInterrupt

            with contextlib.suppress(KeyError):
                options.pop("progress")
            return train(*arguments, callbacks=[stop], **options)

        train = dsmfast.training.train
        monkeypatch.setattr("dsmfast.training.train", interrupted)
        options = ["--hidden", "6", "--epochs", "20", "--normalize", "--out", "trained"]
        assert main(["train", "rows.npy", *options]) == 130
        assert "log Z" not in capsys.readouterr().out
        assert dsmfast.load("trained/model.safetensors").log_normalizer is None


@pytest.mark.parametrize(
    ("command", "counted"),
    [
        (["sample", "plane.safetensors", "--count", "12345"], "row"),
        (["sample", "plane.safetensors", "gaps.csv"], "step"),
        (["impute", "plane.safetensors", "gaps.csv"], "row"),
        (["normalize", "plane.safetensors", "--method", "ais", "--temperatures", "20"], "step"),
    ],
)
def test_progress_where_it_is_asked_for(here, command, counted, capsys):
    """A hundred thousand points took 40 seconds of silence."""
    outputs = []
    for verbose in ([], ["--verbose"]):
        PLANE.save("plane.safetensors")
        assert main([*command, *verbose]) == 0
        told = capsys.readouterr()
        outputs.append(told.out)
        lines = [line for line in told.err.splitlines() if line.startswith(f"dsmfast: {counted} ")]
        assert bool(lines) == bool(verbose)
    assert outputs[0] == outputs[1]
    if "--count" in command:
        assert lines[0].startswith("dsmfast: row 4096 of 12345, ")
        assert lines[0].endswith(" s left")
        assert lines[-1].startswith("dsmfast: row 12345 of 12345, ")
