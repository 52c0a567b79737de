"""Commands on tables: columns by the names of those that a model was trained on."""

import gzip
import io
import sys

import numpy as np
import pytest

import dsmfast
from dsmfast.cli import main

pytest.importorskip("safetensors")

ROWS = np.random.default_rng(0).normal([0, 10, -5], [1, 2, 3], (40, 3))
NAMES = ("a", "b, c", "kind of d")
MODEL = dsmfast.ScoreModel.initialize(3, 4, 0.5, dtype="float64").with_feature_names(NAMES)
HEADER = 'a,"b, c",kind of d'


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the rows, with them otherwise, and with a model."""
    monkeypatch.chdir(tmp_path)
    write("rows.csv", ROWS, HEADER)
    np.save("rows.npy", ROWS)
    write("reversed.csv", ROWS[:, ::-1], 'kind of d,"b, c",a')
    MODEL.save("model.safetensors")
    return tmp_path


def write(path, rows, header):
    np.savetxt(path, rows, delimiter=",", header=header, comments="", fmt="%.17g")


def energies(data, *options, model="model.safetensors"):
    command = ["energy", model, data, *options, "--out", "energies.npy"]
    assert main(command) == 0
    return np.load("energies.npy")


def refused(arguments, message, capsys):
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert message in shown.err, shown.err
    assert shown.err.count("\n") == 1


def test_scores_are_in_the_order_of_the_features(here, capsys):
    """A file of scores, as the command score writes it, or with other names of columns."""
    assert main(["score", "model.safetensors", "rows.csv", "--out", "scores.csv"]) == 0
    names = (here / "scores.csv").read_text().splitlines()[0]
    assert names == 'score_a,"score_b, c",score_kind of d'
    scores = np.load("rows.npy")
    write("others.csv", scores, "x,y,z")
    write("turned.csv", scores[:, ::-1], 'score_kind of d,"score_b, c",score_a')
    train = ["train", "rows.csv", "--objective", "esm", "--epochs", "1", "--out", "run", "--score"]
    connection = ["connection", "model.safetensors", "rows.csv", "--score"]
    for command in (train, connection):
        for place in ("scores.csv", "others.csv"):
            assert main([*command, place]) in (0, 1)
        capsys.readouterr()
        told = 'turned.csv: expected the columns in the order of the features, a, "b, c", kind of d'
        assert main([*command, "turned.csv"]) == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith(f"dsmfast: {told}; got score_k")


def test_info_names_each_feature_in_its_line(here, capsys):
    MODEL.with_feature_names(["a\nb", "c, d", "e"]).save("odd.safetensors")
    assert main(["info", "odd.safetensors"]) == 0
    assert 'names of features: a b, "c, d", e\n' in capsys.readouterr().out


class TestTraining:
    def train(self, *arguments):
        assert main(["train", *arguments, "--epochs", "1", "--hidden", "4", "--out", "run"]) == 0
        return dsmfast.load("run/model.safetensors")

    def test_names_are_recorded(self, here, capsys):
        model = self.train("rows.csv", "--normalize")
        assert model.feature_names == NAMES
        assert model.log_normalizer is not None
        shown = capsys.readouterr()
        told = 'dsmfast: rows.csv: used line 1 as the header: a, "b, c", kind of d\n'
        assert shown.err.startswith(told)
        assert main(["info", "run"]) == 0
        assert 'names of features: a, "b, c", kind of d\n' in capsys.readouterr().out
        assert self.train("rows.npy").feature_names is None

    def test_columns(self, here, capsys):
        model = self.train("rows.csv", "--drop", "a")
        assert model.feature_names == NAMES[1:]
        assert "2 features" in capsys.readouterr().out
        assert self.train("rows.csv", "--columns", '"b, c", a').feature_names == ("b, c", "a")
        assert self.train("rows.npy", "--columns", "0,2").n_features == 2

    def test_a_frame_without_names(self, here, capsys):
        """Its header is 0, 1, 2: no row, which would shift every result by one."""
        write("rows.csv", ROWS, "0,1,2")
        assert self.train("rows.csv").feature_names == ("0", "1", "2")
        shown = capsys.readouterr()
        assert "rows.csv: 32 rows to train on, 8 held out, 3 features" in shown.out
        assert "rows.csv: used line 1 as the header: 0, 1, 2\n" in shown.err
        self.train("rows.csv", "--header", "no")
        assert "33 rows to train on, 8 held out" in capsys.readouterr().out

    @pytest.mark.parametrize("how", ["split", "small"])
    def test_the_index_of_a_frame_is_no_feature(self, how, here, capsys):
        pd = pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
        frame = pd.DataFrame(ROWS[:, :2], columns=["a", "b"])
        rows = frame.sample(frac=0.5, random_state=0)
        if how == "small":
            rows = pd.DataFrame({"a": [1.0, 2, 3], "b": [3.0, 5, 4]}, index=[10, 20, 30])
        for write_to, file in ((rows.to_parquet, "rows.parquet"), (rows.to_csv, "index.csv")):
            write_to(file)
            assert self.train(file).feature_names == ("a", "b")
            assert "2 features" in capsys.readouterr().out

    def test_sets_beside_it_have_its_columns(self, here):
        options = ["--objective", "esm_smoothed", "--parzen-data"]
        self.train("rows.csv", *options, "rows.csv")
        same = dsmfast.load("run/model.safetensors")
        other = self.train("rows.csv", *options, "reversed.csv")
        assert np.array_equal(same.W, other.W)

    def test_mistakes(self, here, capsys):
        np.save("rows.npy", ROWS)
        window = ["rows.npy", "--window", "20", "--columns", "0"]
        cases = [
            (["rows.csv", "--drop", "e"], 'rows.csv: no column e; it has a, "b, c", kind of d'),
            (["rows.csv", "--separator", "x"], "separator: expected tab, blanks or one character"),
            (window, "--columns: expected only with tables that are read at once, without --w"),
            (["rows.npy", "--header", "no"], "rows.npy: separator and header are for .csv"),
            (["spiral", "--separator", ","], "spiral: separator and header are for .csv"),
        ]
        for arguments, message in cases:
            refused(["train", *arguments, "--out", "run"], message, capsys)
        write("nan.csv", np.where(ROWS[3, 1] == ROWS, np.nan, ROWS), HEADER)
        message = "got nan in row 3, column 1 (counted from 0), 'b, c'"
        refused(["train", "nan.csv", "--out", "run"], message, capsys)

    def test_standard_input_under_mpi(self, here, capsys):
        pytest.importorskip("mpi4py")
        refused(
            ["train", "-", "--mpi", "--out", "run"],
            "DATA: expected a file with --mpi; ranks",
            capsys,
        )


class TestUse:
    def test_columns_in_another_order(self, here, capsys):
        expected = MODEL.energy(ROWS)
        assert np.array_equal(energies("rows.csv"), expected)
        assert np.array_equal(energies("reversed.csv"), expected)
        told = "took the columns by their names, in the order of the model"
        assert told in capsys.readouterr().err

    def test_parquet_in_another_order(self, here):
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        columns = dict(zip(NAMES, ROWS.T, strict=True))
        backwards = {name: columns[name] for name in reversed(columns)}
        parquet.write_table(arrow.table(backwards), "backwards.parquet")
        assert np.array_equal(energies("backwards.parquet"), MODEL.energy(ROWS))

    def test_more_columns(self, here, capsys):
        write("more.csv", np.hstack([ROWS, ROWS[:, :1]]), HEADER + ",quality")
        assert np.array_equal(energies("more.csv"), MODEL.energy(ROWS))
        assert "left out quality, which the model was not trained on" in capsys.readouterr().err

    def test_other_columns(self, here, capsys):
        write("other.csv", ROWS, "a,b,c")
        message = 'no columns "b, c", kind of d, which the model was trained on; it has a, b, c'
        for command in ("energy", "score", "transform", "denoise", "impute"):
            refused([command, "model.safetensors", "other.csv"], message, capsys)
        model = ["model.safetensors"]
        refused(["normalize", *model, "other.csv"], message, capsys)
        refused(["sample", *model, "other.csv"], message, capsys)
        refused(["connection", *model, "other.csv"], message, capsys)

    def test_rows_without_names(self, here, capsys):
        assert np.array_equal(energies("rows.npy"), MODEL.energy(ROWS))
        told = (
            'dsmfast: rows.npy: columns without names; assumed to be those of the model: a, "b, c",'
        )
        assert capsys.readouterr().err.startswith(told)

    def test_models_without_names(self, here, capsys):
        """Those of arrays, and of versions before, take columns as they come."""
        MODEL.with_feature_names(None).save("old.safetensors")
        found = energies("reversed.csv", model="old.safetensors")
        assert np.array_equal(found, MODEL.energy(ROWS[:, ::-1]))
        assert capsys.readouterr().err.count("\n") == 1
        assert np.array_equal(energies("rows.npy", model="old.safetensors"), MODEL.energy(ROWS))
        assert capsys.readouterr().err == ""

    def test_results_have_the_names(self, here, capfdbinary):
        """So that one command's are the next one's."""
        for command in ("denoise", "impute"):
            out = ["--out", "out.csv"]
            assert main([command, "model.safetensors", "rows.csv", *out]) == 0
            assert (here / "out.csv").read_text().splitlines()[0] == HEADER
            assert len(energies("out.csv")) == len(ROWS)
        capfdbinary.readouterr()
        assert main(["score", "model.safetensors", "rows.csv"]) == 0
        header, _, rows = capfdbinary.readouterr().out.decode().partition("\n")
        assert header == 'score_a,"score_b, c",score_kind of d'
        assert np.array_equal(np.loadtxt(io.StringIO(rows), delimiter=","), MODEL.score(ROWS))
        assert main(["sample", "model.safetensors", "--count", "2"]) == 0
        assert capfdbinary.readouterr().out.decode().startswith(HEADER + "\n")

    def test_separators_and_packed_files(self, here, capsys):
        text = (here / "rows.csv").read_text().replace('"b, c"', "b. c").replace(",", "|")
        text = text.replace("b. c", "b, c")
        (here / "rows.csv.gz").write_bytes(gzip.compress(text.encode()))
        capsys.readouterr()
        assert np.array_equal(energies("rows.csv.gz", "--separator", "|"), MODEL.energy(ROWS))

    def test_gaps_with_names(self, here, capsys):
        text = 'kind of d,id,a,"b, c"\n,7,1,\n2,8,,3\n'
        (here / "gaps.csv").write_text(text)
        options = ["--draws", "3", "--burn-in", "2", "--out", "x.npy"]
        assert main(["impute", "model.safetensors", "gaps.csv", *options]) == 0
        filled = np.load("x.npy")
        assert filled.shape == (2, 3)
        assert filled[0, 0] == 1
        assert filled[1, 1:].tolist() == [3, 2]
        assert "gaps.csv: used line 1 as the header" in capsys.readouterr().err

    def test_standard_input(self, here, monkeypatch):
        content = io.BytesIO((here / "reversed.csv").read_bytes())
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content))
        assert np.array_equal(energies("-"), MODEL.energy(ROWS))

    def test_arguments_without_a_table(self, here, capsys):
        model = ["model.safetensors"]
        cases = [
            (["normalize", *model, "--drop", "a"], "--drop: expected only with tables with DATA"),
            (
                ["sample", *model, "--separator", ";"],
                "--separator: expected only with tables with DATA",
            ),
            (["sample", *model, "--key", "X"], "--key: expected only with .npz files with DATA"),
            (
                ["plot", "samples", "model.safetensors", "--header", "no", "--out", "x.png"],
                "--header: expected only with tables with DATA",
            ),
        ]
        for arguments, message in cases:
            refused(arguments, message, capsys)


class TestFeatureNames:
    def test_they_stay_with_a_model(self, tmp_path):
        import copy
        import pickle

        MODEL.save(tmp_path / "model.safetensors")
        with pytest.warns(dsmfast.DensityWarning, match="Not reliable"):
            normalized = MODEL.normalized(method="ais", chains=8, temperatures=4)
        for model in (
            dsmfast.load(tmp_path / "model.safetensors"),
            pickle.loads(pickle.dumps(MODEL)),
            copy.deepcopy(MODEL),
            normalized,
        ):
            assert model.feature_names == NAMES
        assert normalized.with_feature_names(None).log_normalizer == normalized.log_normalizer

    @pytest.mark.parametrize(
        ("names", "error", "message"),
        [
            (["a", "b"], ValueError, "feature_names: expected 3, one per feature, got 2"),
            (["a", "b", "a"], ValueError, "feature_names: expected distinct names, got 'a' twice"),
            (
                ["a", "b", 3],
                TypeError,
                r"feature_names: expected a sequence of str, got one with 3 \(i",
            ),
            ("abc", TypeError, "feature_names: expected a sequence of str, got 'abc'"),
            (7, TypeError, "feature_names: expected a sequence of str, got 7"),
        ],
    )
    def test_mistakes(self, names, error, message):
        with pytest.raises(error, match=message):
            MODEL.with_feature_names(names)
