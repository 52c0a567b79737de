"""Tables of pandas, polars and Arrow, where arrays are taken; what is wrong names its column."""

import numpy as np
import pytest

import dsmfast

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
arrow = pytest.importorskip("pyarrow")

rng = np.random.default_rng(0)
TABLE = pandas.DataFrame(
    {
        "size": rng.standard_normal(60),
        "count": rng.integers(0, 4, 60),
        "old": rng.random(60) > 0.5,
        "weight": rng.standard_normal(60).astype(np.float32),
    }
)
VALUES = np.column_stack([TABLE[name].astype(float) for name in TABLE.columns])

FLAVOURS = {
    "numpy": lambda table: table,
    "nullable": lambda table: table.convert_dtypes(),
    "arrow": lambda table: table.convert_dtypes(dtype_backend="pyarrow"),
    "sparse": lambda table: table.astype(float).astype("Sparse[float]"),
    "float": lambda table: table.astype(float),
    "polars": polars.from_pandas,
    "table": arrow.Table.from_pandas,
    "batch": arrow.RecordBatch.from_pandas,
}

MODEL = dsmfast.ScoreModel.initialize(4, 3, 0.5, dtype="float64")
SINGLE = dsmfast.ScoreModel.initialize(4, 3, 0.5)
FEW = {"n_hidden": 3, "epochs": 2, "dtype": "float64"}


def trained(X, **options):
    return dsmfast.train(X, **FEW, **options).model.W


CALLS = {
    "train": trained,
    "validation": lambda X: dsmfast.train(VALUES, validation=X, **FEW).history["validation_loss"],
    "data": lambda X: trained(VALUES, objective="esm_smoothed", data=X),
    "score of the data": lambda X: trained(VALUES, objective="esm", score=X),
    "select_sigma": dsmfast.select_sigma,
    "parzen_score": lambda X: dsmfast.parzen_score(X, X, 0.5),
    "parzen_denoise": lambda X: dsmfast.parzen_denoise(VALUES, X, 0.5),
    "parzen_log_density": lambda X: dsmfast.parzen_log_density(X, VALUES, 0.5),
    "energy": MODEL.energy,
    "score": MODEL.score,
    "hidden": MODEL.hidden,
    "denoise": MODEL.denoise,
    "decode": lambda X: dsmfast.ScoreModel.initialize(2, 4, 0.5, dtype="float64").decode(X),
    "loss": lambda X: dsmfast.loss(MODEL, X),
    "noise": lambda X: dsmfast.loss(MODEL, VALUES, noise=X),
    "loss_and_grad": lambda X: dsmfast.loss_and_grad(MODEL, X)[1].W,
    "sample, init": lambda X: dsmfast.sample(MODEL, init=X, draws=2).x,
    "sample, given": lambda X: dsmfast.sample(MODEL, given=X, draws=2).x,
    "impute": lambda X: dsmfast.impute(MODEL, X, draws=2),
    "log_normalizer": lambda X: dsmfast.log_normalizer(MODEL, data=X, chains=8).value,
    "spurious_modes": lambda X: dsmfast.spurious_modes(MODEL, X).energy,
    "connection": lambda X: dsmfast.connection(MODEL, X).values["dsm"],
    "split": lambda X: np.asarray(dsmfast.data.split(X, 0.25)[1], dtype=float),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_table_is_its_array(flavour, call):
    assert np.array_equal(CALLS[call](FLAVOURS[flavour](TABLE)), CALLS[call](VALUES))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_gaps_are_features_to_fill_in(flavour):
    table = TABLE.astype(float)
    table.iloc[3, 1] = None
    gaps = table.to_numpy()
    assert np.isnan(gaps[3, 1])
    filled = dsmfast.impute(MODEL, FLAVOURS[flavour](table), draws=2)
    assert np.array_equal(filled, dsmfast.impute(MODEL, gaps, draws=2))
    chains = dsmfast.sample(MODEL, given=FLAVOURS[flavour](table), draws=2)
    assert np.array_equal(chains.x, dsmfast.sample(MODEL, given=gaps, draws=2).x)


@pytest.mark.parametrize("flavour", ["numpy", "nullable", "arrow", "polars", "table"])
@pytest.mark.parametrize("call", ["train", "select_sigma", "parzen_denoise", "energy", "data"])
def test_the_column_is_named(call, flavour):
    name = {"parzen_denoise": "data", "data": "data", "energy": "x"}.get(call, "X")
    text = TABLE.assign(kind=["a", None, "b"] * 20)
    with pytest.raises(TypeError, match=f"^{name}: column 'kind': expected real numbers, got d"):
        CALLS[call](FLAVOURS[flavour](text))
    gaps = TABLE.convert_dtypes().astype({"count": float} if flavour == "numpy" else {})
    gaps.loc[[7, 9], "count"] = None
    message = (
        f"^{name}: column 'count': expected a value in every row, got a missing one in row 7 "
        r"\(counted from 0\) and 1 more$"
    )
    with pytest.raises(ValueError, match=message):
        CALLS[call](FLAVOURS[flavour](gaps))
    large = TABLE.assign(size=np.where(TABLE.index == 5, np.inf, TABLE["size"]))
    message = rf"^{name}: column 'size': expected finite values, got inf in row 5 \(counted"
    with np.errstate(invalid="ignore"):  # pandas 2 tries whether infinities are integers
        large = FLAVOURS[flavour](large)
    with pytest.raises(ValueError, match=message):
        CALLS[call](large)


def test_one_block_of_numbers_is_not_copied():
    from dsmfast._arguments.frames import from_table

    values = np.asfortranarray(VALUES)
    table = pandas.DataFrame(values, copy=False)
    assert np.shares_memory(from_table(table, "X"), values)
    table.iloc[2, 3] = np.nan
    with pytest.raises(ValueError, match="X: column 3: expected finite values, got nan in row 2"):
        from_table(table, "X")


def test_other_kinds():
    weights = pandas.Series(np.arange(60), dtype="Int64")
    expected = trained(VALUES, sample_weight=np.arange(60.0))
    for each in (weights, polars.Series(range(60)), arrow.array(range(60))):
        assert np.array_equal(trained(TABLE, sample_weight=each), expected)
    with pytest.raises(ValueError, match=r"^sample_weight: expected a value in every row"):
        trained(TABLE, sample_weight=pandas.Series([1, None] * 30, dtype="Float64"))
    with pytest.raises(TypeError, match=r"^X: lazy tables are not supported; use X.collect\(\)"):
        trained(polars.from_pandas(TABLE).lazy())
    with pytest.raises(ValueError, match=r"^X: expected at least one column"):
        trained(pandas.DataFrame(index=range(5)))
    with pytest.raises(TypeError, match=r"dtype float32, got float64; .*numpy.asarray\(x, dtype"):
        SINGLE.energy(polars.from_pandas(TABLE))
    assert SINGLE.hidden(TABLE[["weight"] * 4]).dtype == np.float32  # four columns of one name


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_split_keeps_the_kind(flavour):
    table = FLAVOURS[flavour](TABLE)
    train, test = dsmfast.data.split(table, 0.25, seed=1)
    assert type(train) is type(test) is type(table)
    expected = dsmfast.data.split(VALUES, 0.25, seed=1)
    assert np.array_equal(np.asarray(train, dtype=float), expected[0])
    assert np.array_equal(np.asarray(test, dtype=float), expected[1])


def test_a_split_of_a_list():
    train, test = dsmfast.data.split(VALUES.tolist(), 0.25, seed=1)
    expected = dsmfast.data.split(VALUES, 0.25, seed=1)
    assert np.array_equal(train, expected[0])
    assert np.array_equal(test, expected[1])
    with pytest.raises(ValueError, match="X: expected a rectangular array"):
        dsmfast.data.split([[1.0], [1.0, 2.0]], 0.5)
    with pytest.raises(TypeError, match="fraction: expected a real number, got 'half'"):
        dsmfast.data.split(TABLE, "half")
    with pytest.raises(ValueError, match="fraction: expected a number between 0 and 1"):
        dsmfast.data.split(TABLE, 1.0)


class TestTheEstimator:
    """The same tables, and the columns are named."""

    @staticmethod
    def estimator(**options):
        sklearn = pytest.importorskip("dsmfast.sklearn")
        return sklearn.DenoisingAutoencoder(3, max_iter=2, random_state=0, **options)

    @pytest.mark.parametrize("flavour", FLAVOURS)
    def test_a_table_is_its_array(self, flavour):
        table, expected = FLAVOURS[flavour](TABLE), self.estimator().fit(VALUES)
        fitted = self.estimator().fit(table)
        assert np.array_equal(fitted.components_, expected.components_)
        for name in ("transform", "denoise", "score_samples", "score", "impute"):
            assert np.array_equal(getattr(fitted, name)(table), getattr(expected, name)(VALUES))
        if flavour not in ("table", "batch"):  # of which scikit-learn knows no names
            assert fitted.feature_names_in_.tolist() == list(TABLE.columns)
            with pytest.raises(ValueError, match="feature names should match"):
                fitted.transform(FLAVOURS[flavour](TABLE.iloc[:, ::-1]))

    @pytest.mark.parametrize("flavour", ["numpy", "nullable", "arrow", "polars"])
    def test_the_column_is_named(self, flavour):
        text = FLAVOURS[flavour](TABLE.assign(old=["a", "b", "c"] * 20))
        with pytest.raises(TypeError, match=r"^X: column 'old': expected real numbers, got dtype"):
            self.estimator().fit(text)
        gaps = TABLE.astype(float)
        gaps.iloc[4, 1] = None
        with pytest.raises(ValueError, match=r"^X: column 'count': expected .* in row 4"):
            self.estimator().fit(FLAVOURS[flavour](gaps))
        fitted = self.estimator().fit(FLAVOURS[flavour](TABLE.astype(float)))
        assert not np.isnan(fitted.impute(FLAVOURS[flavour](gaps))).any()

    def test_masks_are_not_dropped(self):
        masked = np.ma.masked_less(VALUES, 0)
        fitted = self.estimator().fit(VALUES)
        calls = [self.estimator().fit, self.estimator().partial_fit, fitted.transform]
        calls += [fitted.denoise, fitted.score_samples, fitted.score, fitted.impute]
        for call in (*calls, lambda X: fitted.inverse_transform(X[:, :3])):
            with pytest.raises(TypeError, match=r"^X: masked arrays are not supported; fill or"):
                call(masked)
        weights = np.ma.masked_less(np.arange(60.0), 10)
        with pytest.raises(TypeError, match=r"^sample_weight: masked arrays are not supported"):
            self.estimator().fit(VALUES, sample_weight=weights)
        with pytest.raises(TypeError, match=r"^sample_weight: masked arrays are not supported"):
            fitted.score(VALUES, sample_weight=weights)


NAMES = tuple(TABLE.columns)
BACKWARDS = TABLE.iloc[:, ::-1]
NAMED = MODEL.with_feature_names(NAMES)

# Where a model meets rows, by the name that errors give them.
OF_A_MODEL = {
    "energy": ("x", lambda X: NAMED.energy(X)),
    "score": ("x", lambda X: NAMED.score(X)),
    "hidden": ("x", lambda X: NAMED.hidden(X)),
    "denoise": ("x", lambda X: NAMED.denoise(X)),
    "loss": ("x", lambda X: dsmfast.loss(NAMED, X)),
    "loss, data": ("data", lambda X: dsmfast.loss(NAMED, VALUES, "esm_smoothed", data=X)),
    "loss_and_grad": ("x", lambda X: dsmfast.loss_and_grad(NAMED, X)[1].W),
    "sample, init": ("init", lambda X: dsmfast.sample(NAMED, init=X, draws=1).x),
    "sample, given": ("given", lambda X: dsmfast.sample(NAMED, given=X, draws=1).x),
    "impute": ("X", lambda X: dsmfast.impute(NAMED, X, draws=1)),
    "log_normalizer": ("data", lambda X: dsmfast.log_normalizer(NAMED, data=X, chains=8).value),
    "spurious_modes": ("X", lambda X: dsmfast.spurious_modes(NAMED, X).energy),
    "connection": ("X", lambda X: dsmfast.connection(NAMED, X).values["dsm"]),
    "train, init": ("X", lambda X: trained(X, init=NAMED)),
    "train, validation": (
        "validation",
        lambda X: dsmfast.train(TABLE, validation=X, **FEW).history["validation_loss"],
    ),
    "train, data": ("data", lambda X: trained(TABLE, objective="esm_smoothed", data=X)),
}


class TestNames:
    """Of features: recorded at training, and looked at when tables come later."""

    @pytest.mark.parametrize("flavour", FLAVOURS)
    def test_are_those_of_the_columns(self, flavour, tmp_path):
        pytest.importorskip("safetensors")
        result = dsmfast.train(FLAVOURS[flavour](TABLE), **FEW)
        assert result.model.feature_names == NAMES
        result.save(tmp_path / "model.safetensors")
        assert dsmfast.load(tmp_path / "model.safetensors").feature_names == NAMES
        found = dsmfast.log_normalizer(result.model, chains=8)
        assert result.model.normalized(found).feature_names == NAMES

    def test_are_of_text_and_each_another(self):
        def names(table):
            return dsmfast.train(table, **FEW).model.feature_names

        assert names(VALUES) is None
        assert names(pandas.DataFrame(VALUES)) is None  # 0, 1, 2, 3
        assert names(TABLE.rename(columns={"old": 3})) is None
        assert names(TABLE[["size", "size", "old"]]) is None
        assert names(TABLE["size"].to_frame()) == ("size",)

    @pytest.mark.parametrize("call", OF_A_MODEL)
    @pytest.mark.parametrize("flavour", ["numpy", "arrow", "polars", "table", "batch"])
    def test_other_columns_are_refused(self, flavour, call):
        name, function = OF_A_MODEL[call]
        make = FLAVOURS[flavour]
        expected = function(VALUES)  # which has no names
        assert np.array_equal(function(make(TABLE)), expected)
        refused = {
            "no column weight, which the model was trained on; it has size, count, old, mass": (
                TABLE.rename(columns={"weight": "mass"})
            ),
            "expected the columns size, count, old, weight, in this order, which the model was "
            "trained on; got weight, old, count, size": BACKWARDS,
            "expected the columns size, count, old, weight, in this order, which the model was "
            "trained on; got size, count, old, weight, label": TABLE.assign(label=1),
        }
        for message, table in refused.items():
            with pytest.raises(ValueError, match=f"^{name}: {message}$"):
                function(make(table))
        numbered = TABLE.set_axis(range(4), axis=1)
        if flavour == "numpy":  # the others have names in any case
            assert np.array_equal(function(numbered), expected)

    def test_are_as_the_command_line_says_it(self, tmp_path, monkeypatch, capsys):
        pytest.importorskip("safetensors")
        from dsmfast.cli import main

        monkeypatch.chdir(tmp_path)
        NAMED.save("model.safetensors")
        other = TABLE.astype(float).rename(columns={"weight": "mass"})
        other.to_csv("other.csv", index=False)
        assert main(["energy", "model.safetensors", "other.csv"]) == 2
        with pytest.raises(ValueError, match="no column") as caught:
            NAMED.energy(other)
        told = str(caught.value).removeprefix("x: ")
        assert capsys.readouterr().err == f"dsmfast: other.csv: {told}\n"

    def test_go_on_with_a_run(self, tmp_path):
        pytest.importorskip("safetensors")
        first = dsmfast.train(TABLE, **FEW)
        for start in (first, first.model):
            assert dsmfast.train(VALUES, init=start, **FEW).model.feature_names == NAMES
        assert dsmfast.train(TABLE, init=MODEL, **FEW).model.feature_names == NAMES
        kept = {"checkpoint": tmp_path / "run.safetensors", "checkpoint_seconds": 1e-6}

        def fail(state):
            raise RuntimeError("the machine is gone")

        with pytest.raises(RuntimeError, match="gone"):
            dsmfast.train(TABLE, callbacks=[fail], **FEW, **kept)
        whole = dsmfast.train(TABLE, resume=True, **FEW, **kept)
        assert whole.model == dsmfast.train(TABLE, **FEW).model
        assert whole.model.feature_names == NAMES
        with pytest.raises(ValueError, match=r"resume: .* is of another run: X was"):
            dsmfast.train(BACKWARDS, resume=True, **FEW, **kept)

    def test_of_pictures(self):
        pytest.importorskip("matplotlib")
        from dsmfast import plot

        plane = dsmfast.ScoreModel.initialize(2, 4, 0.5).with_feature_names(["a", "b"])
        table = pandas.DataFrame({"b": [0.0, 1], "a": [1, 2]}, dtype="float32")
        for draw in (plot.energy, plot.denoising):
            with pytest.raises(ValueError, match=r"^X: expected the columns a, b, in this order"):
                draw(plane, table)

    @pytest.mark.parametrize("prefix", ["", "score_"])
    def test_of_scores_are_in_their_order(self, prefix):
        """Other names say nothing; those of the features in another order are a mistake."""
        calls = {
            "loss": lambda score: dsmfast.loss(NAMED, TABLE, "esm", score=score),
            "loss, without names": lambda score: dsmfast.loss(MODEL, TABLE, "esm", score=score),
            "train": lambda score: trained(TABLE, objective="esm", score=score),
            "connection": lambda score: dsmfast.connection(NAMED, TABLE, score=score).values["esm"],
        }
        scores = (-TABLE.astype(float)).add_prefix(prefix)
        told = rf"^score: expected the columns in the order .*weight; got {prefix}weight, "
        for call in calls.values():
            expected = call(-VALUES)
            for table in (scores, scores.set_axis(list("abcd"), axis=1)):
                assert np.array_equal(call(table), expected)
            with pytest.raises(ValueError, match=told):
                call(scores[scores.columns[::-1]])

    def test_of_a_sample_are_those_of_the_points(self):
        for function in (dsmfast.parzen_score, dsmfast.parzen_denoise, dsmfast.parzen_log_density):
            assert np.array_equal(function(TABLE, TABLE, 0.5), function(VALUES, TABLE, 0.5))
            with pytest.raises(ValueError, match=r"^x: expected the columns .*, which data has; "):
                function(BACKWARDS, TABLE, 0.5)

    def test_of_a_warm_start_stay(self):
        pytest.importorskip("sklearn")
        from dsmfast.sklearn import DenoisingAutoencoder

        estimator = DenoisingAutoencoder(3, max_iter=1, warm_start=True).fit(TABLE.astype(float))
        with pytest.raises(
            ValueError, match=r"^X: expected the columns size, count, .* got weight"
        ):
            estimator.fit(BACKWARDS.astype(float))
        assert estimator.fit(TABLE.astype(float)).model_.feature_names == NAMES
        estimator.set_params(warm_start=False).fit(BACKWARDS.astype(float))
        assert estimator.model_.feature_names == NAMES[::-1]
