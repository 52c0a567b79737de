"""``dsmfast outliers``: the detector on files."""

import warnings

import numpy as np
import pytest

import dsmfast
from dsmfast import cli

pytest.importorskip("sklearn")

from dsmfast.cli import outliers
from dsmfast.sklearn import OutlierDetector
from dsmfast.sklearn.rankings import RANKINGS


@pytest.fixture
def files(tmp_path):
    """Rows to train on, and rows to judge of which the last is far away."""
    rng = np.random.default_rng(0)
    train, test = rng.standard_normal((200, 3)), rng.standard_normal((20, 3))
    test[-1] = 0, -9, 0
    np.savetxt(tmp_path / "train.csv", train, delimiter=",", fmt="%.17g")
    np.save(tmp_path / "test.npy", test)
    return train, test, [str(tmp_path / "train.csv"), str(tmp_path / "test.npy")]


def run(words, capfdbinary):
    assert cli.main(["outliers", *words]) == 0
    shown = capfdbinary.readouterr()
    assert shown.err == b""
    header, *lines = shown.out.decode().splitlines()
    return dict(
        zip(header.split(","), np.array([line.split(",") for line in lines], float).T, strict=True)
    )


def test_is_the_detector(files, capfdbinary):
    train, test, names = files
    found = run([*names, "--explain", "--seed", "3"], capfdbinary)
    detector = OutlierDetector(random_state=3).fit(train)
    assert list(found) == ["score", "outlier", "p_value", *(f"displacement_{i}" for i in range(3))]
    assert np.array_equal(found["score"], detector.decision_function(test))
    assert np.array_equal(found["p_value"], detector.p_values(test))
    assert np.array_equal(found["outlier"], detector.predict(test) == -1)
    assert np.array_equal(found["displacement_1"], detector.explain(test)[:, 1])
    assert found["score"].argmin() == 19
    assert found["displacement_1"][19] < -3


def test_explains_by_the_names_of_features(files, tmp_path, capfdbinary):
    train, test, _ = files
    for path, rows in ((tmp_path / "named.csv", train), (tmp_path / "others.csv", test)):
        np.savetxt(path, rows, delimiter=",", header='mass,"height, cm",age', comments="")
    assert cli.main(["outliers", *map(str, (path.with_name("named.csv"), path, "--explain"))]) == 0
    header = capfdbinary.readouterr().out.decode().splitlines()[0]
    assert header.endswith('displacement_mass,"displacement_height, cm",displacement_age')


def test_options(files, capfdbinary):
    train, test, names = files
    options = ["--sigma", "0.2", "0.9", "--contamination", "0.2", "--threads", "1"]
    found = run([*names, *options], capfdbinary)
    detector = OutlierDetector(sigma=(0.2, 0.9), contamination=0.2, random_state=0).fit(train)
    assert np.array_equal(found["score"], detector.decision_function(test))


def test_of_a_model(files, capfdbinary):
    train, test, names = files
    found = run([*names, "--ranking", "energy", "--seed", "1"], capfdbinary)
    detector = OutlierDetector("energy", random_state=1, calibration_fraction=None).fit(train)
    assert np.array_equal(found["score"], detector.decision_function(test))


def test_what_fit_warns_of_is_a_line(files, capsys, monkeypatch):
    fit = OutlierDetector.fit

    def doubtful(self, X, y=None):
        warnings.warn("the energy has\na mode", dsmfast.DensityWarning, stacklevel=2)
        return fit(self, X, y)

    monkeypatch.setattr(OutlierDetector, "fit", doubtful)
    assert cli.main(["outliers", *files[2]]) == 0
    assert capsys.readouterr().err == "dsmfast: the energy has a mode\n"


def test_the_rows_themselves(files, capfdbinary):
    train, _, names = files
    found = run([names[0], "--contamination", "0.1"], capfdbinary)
    assert list(found) == ["score", "outlier"]
    assert found["outlier"].sum() == 0.1 * len(train)


@pytest.mark.parametrize("ending", [".npy", ".npz", ".csv", ".parquet"])
def test_to_a_file(files, ending, tmp_path):
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / f"out{ending}"
    assert cli.main(["outliers", *files[2], "--out", str(out)]) == 0
    from dsmfast import data

    assert data.read_file(out).shape == (20, 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{train}", "{wide}"], "wide.npy: expected 3 features"),
        (["{train}", "{test}", "--contamination", "0.7"], "contamination: expected at most 0.5"),
        (["{train}", "{test}", "--sigma", "0"], "sigma: expected a finite number > 0"),
        (
            ["{train}", "{test}", "--ranking", "energy", "--sigma", "1"],
            "--sigma: expected only with displacement",
        ),
        (["{train}", "{test}", "--out", "x.txt"], "--out: expected a file ending in"),
        (["{train}", "nowhere"], "nowhere: neither one of"),
    ],
)
def test_what_does_not_fit(files, words, message, tmp_path, capsys):
    np.save(tmp_path / "wide.npy", np.zeros((3, 4)))
    names = {"train": files[2][0], "test": files[2][1], "wide": str(tmp_path / "wide.npy")}
    assert cli.main(["outliers", *(word.format(**names) for word in words)]) == 2
    assert message in capsys.readouterr().err


def test_knows_the_rankings():
    assert outliers.RANKINGS == RANKINGS


def test_a_column_that_is_dropped_may_be_of_train_alone(files, tmp_path, capfdbinary):
    train, test, _ = files
    labelled = np.column_stack([train, np.arange(len(train))])
    expected = OutlierDetector(random_state=0).fit(train).decision_function(test)
    for header in ("a,b,c,label", ""):
        names = [str(tmp_path / name) for name in ("labelled.csv", "test.csv")]
        for path, rows, width in zip(names, (labelled, test), (4, 3), strict=True):
            above = ",".join(header.split(",")[:width])
            np.savetxt(path, rows, delimiter=",", fmt="%.17g", header=above, comments="")
        dropped = "label" if header else "3"
        assert cli.main(["outliers", *names, "--drop", dropped]) == 0
        lines = capfdbinary.readouterr().out.decode().splitlines()[1:]
        assert np.array_equal([float(line.split(",")[0]) for line in lines], expected)
        assert cli.main(["outliers", *names[::-1], "--drop", dropped]) == 2  # not of TRAIN
        assert f"test.csv: no column {dropped}; it has" in capfdbinary.readouterr().err.decode()


def test_rows_without_names_are_told_of(files, tmp_path, capfdbinary):
    train, _, names = files
    path = tmp_path / "named.csv"
    np.savetxt(path, train, delimiter=",", header="a,b,c", comments="")
    assert cli.main(["outliers", str(path), names[1]]) == 0
    told = f"{names[1]}: columns without names; assumed to be those of {path}: a, b, c\n"
    assert told in capfdbinary.readouterr().err.decode()
