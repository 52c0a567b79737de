"""The comparisons with scikit-learn run at a small size, and their numbers make sense."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("threadpoolctl")

import adbench
import anomalies
import classification
from sklearn.model_selection import StratifiedShuffleSplit


@pytest.fixture(scope="module")
def small():
    """Every third digit, and one split."""
    X, y = classification.digits()
    X, y = X[::3], y[::3]
    splits = StratifiedShuffleSplit(1, test_size=0.25, random_state=0).split(X, y)
    return X, y, list(splits)


@pytest.mark.parametrize("name", anomalies.SEEDS)
def test_problems_hold_out_normal_rows_and_train_on_no_anomaly(name):
    seen = list(anomalies.problems(name, 2))
    classes = {"digits": 10, "breast cancer": 1, "wine": 3}[name]
    assert len(seen) == 2 * classes
    for problem in seen:
        normal = problem.test[~problem.is_anomaly]
        assert 0.25 < len(normal) / (len(normal) + len(problem.train)) < 0.35
        assert problem.is_anomaly.any()
        assert problem.train.shape[1] == problem.test.shape[1]
        if name == "digits":
            assert problem.train.min() == 0
            assert problem.train.max() == 1
        else:
            np.testing.assert_allclose(problem.train.mean(axis=0), 0, atol=1e-9)
            np.testing.assert_allclose(problem.train.std(axis=0), 1)


def test_problems_differ_by_seed_and_repeat():
    first, second = anomalies.problems("wine", 2, classes=1)
    again = next(anomalies.problems("wine", 1))
    np.testing.assert_array_equal(first.test, again.test)
    assert not np.array_equal(first.train, second.train)


def test_anomalies_are_ranked(capsys):
    found = anomalies.compare("wine", seeds=1, classes=1)
    assert set(found) == set(anomalies.contenders(1))
    for name, rankings in found.items():
        (each,) = rankings
        # The easiest of wine's classes: an estimator whose sign is wrong would have less than half.
        assert 0.8 < each.auc <= 1, name
        assert each.fit > 0
        assert each.rank > 0
    anomalies.print_comparison("wine", found)
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 4 + len(found)
    assert {line.count("|") for line in lines[2:]} == {7}


def test_spread_is_over_seeds_of_means_over_classes():
    values = {0: (0.9, 1.0), 1: (0.7, 0.8)}
    rankings = [anomalies.Ranking(s, auc, 0, 0) for s, aucs in values.items() for auc in aucs]
    mean, spread = anomalies.mean_and_spread(rankings)
    assert mean == pytest.approx(0.85)
    assert spread == pytest.approx(np.std([0.95, 0.75], ddof=1))


def test_settings_are_chosen_by_an_excess_over_the_best():
    grid = [(4, 1), (64, 30)]
    excess = anomalies.choose(["wine"], 1, 1, grid)
    assert list(excess) == grid
    (few,), (many,) = excess.values()
    assert 0 <= many < few


def test_features_are_compared(small, monkeypatch, capsys):
    X, y, splits = small
    size = 24
    names = ["pixels", f"dsmfast, {size}", f"BernoulliRBM, {size}, 10 passes"]
    every = classification.contenders(X, size, 1)
    monkeypatch.setattr(
        classification, "contenders", lambda X, size, threads: {name: every[name] for name in names}
    )
    found = classification.compare(X, y, splits * 2, size)
    assert list(found) == names
    for name, outcomes in found.items():
        assert len(outcomes) == 2
        assert outcomes[0].accuracy == outcomes[1].accuracy  # the same split and seed
        assert 0.5 < outcomes[0].accuracy <= 1, name  # by chance it is 0.1
        assert min(outcomes[0].transform, outcomes[0].classifier) > 0
    classification.print_comparison(found, len(X))
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 2 + len(names)
    assert {line.count("|") for line in lines} == {7}


def test_all_features_have_the_size_they_name():
    X, _ = classification.digits()
    widths = {
        name: make().fit_transform(X[:200]).shape[1]
        for name, make in classification.contenders(X, 16, 1).items()
        if "100" not in name
    }
    assert widths.pop("pixels") == 64
    assert widths.pop("PCA, 32") == 32
    assert set(widths.values()) == {16}


def test_search_finds_settings_of_the_grid(small):
    X, y, (split,) = small
    grid = {"features__n_components": [1, 32], "features__sigma": [0.3]}
    found = classification.search(X, y, split, grid, jobs=1, max_iter=20)
    assert found.parameters == {"n_components": "32", "sigma": "0.3"}
    assert 0.5 < found.held_out <= 1
    assert 0.5 < found.validated <= 1
    assert found.seconds > 0


@pytest.fixture
def folder(tmp_path):
    """Two sets as ADBench has them: normal rows and, all others, anomalies."""
    rng = np.random.default_rng(0)
    for name, n in (("1_vowels", 1000), ("2_small", 60)):
        X = np.vstack([rng.standard_normal((n, 3)), 4 + rng.standard_normal((10, 3))])
        np.savez(tmp_path / f"{name}.npz", X=X.astype(np.float32), y=np.repeat([0, 1], [n, 10]))
    return tmp_path


def test_halves_of_normal_rows_by_a_seed_or_in_file_order(folder):
    for name, X, y in adbench.read(folder):
        normal = int((y == 0).sum())
        first = adbench.split(X, y, None)
        spread, mean = X[: normal // 2].std(axis=0), X[: normal // 2].mean(axis=0)
        np.testing.assert_allclose(first.train * spread + mean, X[: normal // 2])
        np.testing.assert_allclose(first.test * spread + mean, X[normal // 2 :])
        assert np.array_equal(first.is_anomaly, y[normal // 2 :] == 1)
        one, again = adbench.split(X, y, 1), adbench.split(X, y, 1)
        assert np.array_equal(one.test, again.test), name
        assert not np.array_equal(one.train, adbench.split(X, y, 2).train)
        assert one.is_anomaly.sum() == 10
        assert len(one.train) == normal // 2


def test_outlier_detectors_are_compared(folder, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["adbench.py", str(folder), "--seeds", "2"])
    adbench.main()
    shown = capsys.readouterr().out
    shuffled, in_order = shown.split("in the order of the file")
    assert "| small |" in shuffled
    assert "| vowels |" in shuffled
    assert "| small |" not in in_order  # of fewer than 1000 rows
    assert "another protocol" in in_order  # these are not the published rows
    for label in adbench.contenders():
        assert label in shuffled


def test_outliers_among_the_rows_of_fit_are_ranked(folder, capsys, monkeypatch):
    words = ["adbench.py", str(folder), "--protocol", "contaminated", "--sets", "vowels"]
    monkeypatch.setattr("sys.argv", words)
    adbench.main()
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "| vowels |" in line]
    assert len(row.split("|")) == 3 + len(adbench.contenders())


def test_settings_of_the_detector_are_compared(folder, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["adbench.py", str(folder), "--seeds", "1", "--choose"])
    adbench.main()
    shown = capsys.readouterr().out
    assert "| standard + robust + whitened, 0.3 + 0.5 |" in shown
    assert "chosen on half of the sets" in shown


def test_published_means_are_those_of_the_columns():
    means = dict(
        zip(adbench.COLUMNS, np.mean(list(adbench.PUBLISHED.values()), axis=0), strict=True)
    )
    assert means["kNN"] == pytest.approx(86.42)
    assert means["DTE-NP"] == pytest.approx(86.24)
