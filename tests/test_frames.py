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


class TestIndexes:
    """The index of a frame of pandas that became columns of Arrow is no feature."""

    @pytest.fixture(params=["unnamed", "named", "two levels", "batch"])
    def filtered(self, request):
        kept = TABLE[TABLE["count"] > 0]
        if request.param == "named":
            kept = kept.rename_axis("id")
        elif request.param == "two levels":
            kept = kept.set_index([kept.index, kept.index * 2])
        kind = arrow.RecordBatch if request.param == "batch" else arrow.Table
        table = kind.from_pandas(kept)
        assert table.num_columns > TABLE.shape[1]
        return table, VALUES[TABLE["count"] > 0]

    @pytest.mark.parametrize("call", ["train", "select_sigma", "parzen_score", "energy", "impute"])
    def test_arrays_are_without(self, filtered, call):
        table, values = filtered
        assert np.array_equal(CALLS[call](table), CALLS[call](values))

    def test_names_are_without(self, filtered):
        table, values = filtered
        assert dsmfast.train(table, **FEW).model.feature_names == NAMES
        assert np.array_equal(NAMED.energy(table), MODEL.energy(values))
        train, _ = dsmfast.data.split(table, 0.25)
        assert train.schema == table.schema

    def test_of_the_estimator(self, filtered):
        sklearn = pytest.importorskip("dsmfast.sklearn")
        table, values = filtered
        estimator = sklearn.DenoisingAutoencoder(3, max_iter=1, random_state=0)
        expected = estimator.fit(values).transform(values)
        assert np.array_equal(estimator.fit(table).transform(table), expected)
        assert estimator.n_features_in_ == 4
        assert estimator.model_.feature_names == NAMES

    def test_metadata_that_are_damaged(self):
        table = arrow.Table.from_pandas(TABLE).replace_schema_metadata({b"pandas": b"{"})
        with pytest.raises(ValueError, match="its pandas metadata are not readable"):
            dsmfast.train(table, **FEW)


class TestMarks:
    """`observed` and `noise`, which go with the features too."""

    ROWS = TABLE.astype(float).head(3)
    MASK = pandas.DataFrame(
        [[True, False, True, False], [False, False, True, True], [True, True, False, False]],
        columns=NAMES,
    )

    @pytest.mark.parametrize("flavour", ["numpy", "nullable", "arrow", "polars", "table"])
    def test_observed_of_any_kind(self, flavour):
        expected = dsmfast.sample(
            MODEL, draws=2, given=self.ROWS.to_numpy(), observed=self.MASK.to_numpy()
        )
        found = dsmfast.sample(
            MODEL, draws=2, given=self.ROWS, observed=FLAVOURS[flavour](self.MASK)
        )
        assert np.array_equal(found.x, expected.x)

    def test_observed_is_checked(self):
        def sample(model, observed, given=self.ROWS):
            return dsmfast.sample(model, draws=1, given=given, observed=observed)

        backwards = self.MASK[list(NAMES[::-1])]
        with pytest.raises(ValueError, match=r"^observed: expected the columns size.*model was tr"):
            sample(NAMED, backwards, self.ROWS.to_numpy())
        with pytest.raises(
            ValueError, match=r"^observed: expected the columns size.*which given h"
        ):
            sample(MODEL, backwards)
        with pytest.raises(TypeError, match=r"^observed: masked arrays are not supported"):
            sample(MODEL, np.ma.masked_array(self.MASK.to_numpy(), self.MASK.to_numpy()))
        with pytest.raises(
            TypeError, match=r"^observed: column 'size': expected booleans, got dty"
        ):
            sample(MODEL, self.MASK.astype(int))
        gap = self.MASK.convert_dtypes()
        gap.iloc[1, 2] = None
        with pytest.raises(ValueError, match=r"^observed: column 'old': expected a value in every"):
            sample(MODEL, gap)
        with pytest.raises(ValueError, match=r"^observed: expected a rectangular array of boolean"):
            sample(MODEL, [[True] * 4, [True]])
        with pytest.raises(ValueError, match=r"^observed: expected booleans like given, of shape"):
            sample(MODEL, np.ones((2, 4), bool))

    def test_a_row_has_names(self):
        row, mask = self.ROWS.iloc[0], self.MASK.iloc[0]
        expected = dsmfast.sample(MODEL, draws=2, given=row.to_numpy(), observed=mask.to_numpy())
        found = dsmfast.sample(NAMED, draws=2, given=row, observed=mask)
        assert np.array_equal(found.x, expected.x)
        for name, options in (
            ("given", {"given": row[::-1], "observed": mask}),
            ("observed", {"given": row, "observed": mask[::-1]}),
            ("init", {"init": row[::-1]}),
        ):
            with pytest.raises(ValueError, match=f"^{name}: expected the columns size, count, old"):
                dsmfast.sample(NAMED, draws=1, **options)

    def test_noise_is_in_the_order_of_the_features(self):
        noise = pandas.DataFrame(np.ones((60, 4)), columns=NAMES)
        expected = dsmfast.loss(MODEL, VALUES, noise=noise.to_numpy())
        for x, model in ((VALUES, NAMED), (TABLE, MODEL)):
            assert dsmfast.loss(model, x, noise=noise) == expected
            for function in (dsmfast.loss, dsmfast.loss_and_grad):
                with pytest.raises(ValueError, match=r"^noise: expected the columns in the order"):
                    function(model, x, noise=noise[list(NAMES[::-1])])


class TestNumbers:
    """Columns called by numbers, which pandas makes where nobody says names."""

    FRAME = pandas.DataFrame(VALUES)
    OTHERS = ((2, 1, 0, 3), (0, 1, 2, 4), (1, 2, 3, 4))

    @pytest.mark.parametrize("labels", OTHERS)
    @pytest.mark.parametrize("text", [False, True])
    def test_in_other_places_are_refused(self, labels, text):
        other = self.FRAME.set_axis([str(i) for i in labels] if text else labels, axis=1)
        model = dsmfast.train(self.FRAME, **FEW).model
        assert model.feature_names is None
        assert np.array_equal(model.energy(self.FRAME), model.energy(VALUES))
        told = "expected columns without names, or called 0, 1, 2 and so on in this order, like "
        with pytest.raises(
            ValueError, match=f"^x: {told}those which the model .*got {labels[0]}, "
        ):
            model.energy(other)
        with pytest.raises(ValueError, match=f"^x: {told}those which data has"):
            dsmfast.parzen_score(other, VALUES, 0.5)
        with pytest.raises(ValueError, match=f"^X: {told}"):
            dsmfast.train(other, init=model, **FEW)
        with pytest.raises(ValueError, match=f"^validation: {told}"):
            dsmfast.train(self.FRAME, validation=other, **FEW)

    @pytest.mark.parametrize("labels", [*OTHERS, (2019, 2020, 2021, 2022)])
    def test_are_names_where_a_model_learns_them(self, labels):
        frame = self.FRAME.set_axis(labels, axis=1)
        model = dsmfast.train(frame, **FEW).model
        assert model.feature_names == tuple(map(str, labels))
        assert np.array_equal(model.energy(frame), model.energy(VALUES))
        for other in (frame.iloc[:, ::-1], self.FRAME):
            with pytest.raises(ValueError, match=r"^x: .*which the model was trained on"):
                model.energy(other)

    def test_of_scores_and_noise(self):
        backwards = self.FRAME.iloc[:, ::-1]
        for name, options in (
            ("score", {"objective": "esm", "score": backwards}),
            ("noise", {"noise": backwards}),
        ):
            with pytest.raises(ValueError, match=f"^{name}: expected the columns in the order"):
                dsmfast.loss(MODEL, VALUES, **options)

    @pytest.mark.parametrize("kind", ["levels", "mixed", "twice"])
    def test_other_labels(self, kind):
        labels = {
            "levels": pandas.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1), ("b", 2)]),
            "mixed": ["a", 1, "b", 2.5],
            "twice": ["a", "a", "b", "c"],
        }[kind]
        frame = self.FRAME.set_axis(labels, axis=1)
        model = dsmfast.train(frame, **FEW).model
        expected = {
            "levels": ("('a', '1')", "('a', '2')", "('b', '1')", "('b', '2')"),
            "mixed": ("a", "1", "b", "2.5"),
            "twice": ("a", "a.1", "b", "c"),
        }
        assert model.feature_names == expected[kind]
        assert np.array_equal(model.energy(frame), model.energy(VALUES))
        for other in (frame.iloc[:, ::-1], frame.iloc[:, [0, 1, 3, 2]]):
            with pytest.raises(ValueError, match=r"^x: .*which the model was trained on"):
                model.energy(other)

    def test_levels_are_called_as_in_a_file(self, tmp_path):
        frame = self.FRAME.set_axis(pandas.MultiIndex.from_product([["a", "b"], [1, 2]]), axis=1)
        frame.to_parquet(tmp_path / "rows.parquet")
        names = dsmfast.data.load_table(tmp_path / "rows.parquet").names
        assert dsmfast.train(frame, **FEW).model.feature_names == names

    def test_of_the_estimator(self):
        sklearn = pytest.importorskip("dsmfast.sklearn")
        estimator = sklearn.DenoisingAutoencoder(3, max_iter=1, random_state=0)
        levels = self.FRAME.set_axis(pandas.MultiIndex.from_product([["a", "b"], [1, 2]]), axis=1)
        for frame in (self.FRAME, levels, arrow.Table.from_pandas(TABLE)):
            fitted = estimator.fit(frame)
            is_frame = isinstance(frame, pandas.DataFrame)
            other = frame.iloc[:, ::-1] if is_frame else frame.select(NAMES[::-1])
            assert fitted.transform(frame).shape == (60, 3)
            for call in (fitted.transform, fitted.score_samples, fitted.partial_fit):
                with pytest.raises(
                    ValueError, match=r"X: expected (the )?columns|feature names should"
                ):
                    call(other)


FORMS = {
    "array": lambda column: column.to_numpy(),
    "list": lambda column: column.tolist(),
    "series": lambda column: column,
    "nullable": lambda column: column.convert_dtypes(),
    "polars": lambda column: polars.Series(column.to_numpy()),
    "arrow": lambda column: arrow.array(column.to_numpy()),
}


class TestTruth:
    """Truth values are 0 and 1, and dates are no numbers, whatever they come in."""

    WEIGHTS = TABLE["old"]

    @pytest.fixture(params=FORMS)
    def weights(self, request):
        return FORMS[request.param](self.WEIGHTS)

    def test_are_weights(self, weights):
        ones = self.WEIGHTS.astype(float).to_numpy()
        for function in (
            lambda w: trained(VALUES, sample_weight=w),
            lambda w: dsmfast.parzen_score(VALUES, VALUES, 0.5, sample_weight=w),
            lambda w: dsmfast.select_sigma(VALUES, sample_weight=w),
            lambda w: dsmfast.loss(MODEL, VALUES, sample_weight=w),
        ):
            assert np.array_equal(function(weights), function(ones))
        sklearn = pytest.importorskip("dsmfast.sklearn")
        fitted = sklearn.DenoisingAutoencoder(3, max_iter=1, random_state=0)
        components = fitted.fit(VALUES, sample_weight=ones).components_
        assert np.array_equal(fitted.fit(VALUES, sample_weight=weights).components_, components)
        scores = [fitted.score(VALUES, sample_weight=w) for w in (weights, ones)]
        assert scores[0] == scores[1]

    def test_are_rows(self, tmp_path):
        truth = VALUES > 0
        for call in ("train", "select_sigma", "parzen_score", "energy", "loss", "split"):
            expected = CALLS[call](truth.astype("uint8"))
            assert np.array_equal(np.asarray(CALLS[call](truth), float), expected)
        np.save(tmp_path / "rows.npy", truth)
        mapped = dsmfast.data.map_file(tmp_path / "rows.npy")
        expected = trained(truth.astype(float), window=256)
        assert np.array_equal(trained(mapped, window=256), expected)
        assert np.array_equal(trained(mapped, scale=2.0), trained(2.0 * truth))

    def test_dates_are_no_numbers(self):
        sklearn = pytest.importorskip("dsmfast.sklearn")
        days = pandas.Series(pandas.date_range("2020-01-01", periods=60))
        fitted = sklearn.DenoisingAutoencoder(3, max_iter=1, random_state=0).fit(VALUES)
        for call in (
            lambda w: trained(VALUES, sample_weight=w),
            lambda w: fitted.fit(VALUES, sample_weight=w),
            lambda w: fitted.score(VALUES, sample_weight=w),
        ):
            for weights in (days, days.to_numpy()):
                with pytest.raises(TypeError, match=r"^sample_weight: expected real numbers, got"):
                    call(weights)
        rows = np.repeat(days.to_numpy()[:, None], 4, axis=1)
        for call in (trained, fitted.fit, fitted.transform):
            for X in (rows, pandas.DataFrame(rows)):
                with pytest.raises(
                    TypeError, match=r"^X: .*expected real numbers, got dtype datet"
                ):
                    call(X)


class TestColumns:
    """One column rather than a table of them."""

    def test_a_split_keeps_the_kind(self):
        column = TABLE["size"].set_axis(range(100, 160))
        expected = dsmfast.data.split(column.to_numpy(), 0.25, seed=1)
        for series in (column, column.astype("Float64"), column > 0):
            parts = dsmfast.data.split(series, 0.25, seed=1)
            for part, values in zip(parts, expected, strict=True):
                assert isinstance(part, pandas.Series)
                assert part.equals(series[part.index])
                assert np.array_equal(column[part.index], values)
        for made in (arrow.array, lambda c: arrow.chunked_array([c[:30], c[30:]]), polars.Series):
            whole = made(column.to_numpy())
            parts = dsmfast.data.split(whole, 0.25, seed=1)
            for part, values in zip(parts, expected, strict=True):
                assert type(part) in (type(whole), arrow.ChunkedArray)
                assert np.array_equal(np.asarray(part), values)

    def test_of_arrays_are_refused(self):
        wide = polars.Series("wide", VALUES, dtype=polars.Array(polars.Float64, 4))
        frame = polars.DataFrame({"size": VALUES[:, 0]}).with_columns(wide)
        for call in (trained, MODEL.energy):
            with pytest.raises(TypeError, match=r"^[xX]: column 'wide': expected real numbers"):
                call(frame)
        with pytest.raises(TypeError, match=r"^sample_weight: expected real numbers, got dty"):
            trained(VALUES, sample_weight=wide)

    def test_sigma_may_be_one(self):
        widths = pandas.Series([0.5, 0.4])
        expected = dsmfast.train(VALUES, sigma=[0.5, 0.4], **FEW).model
        assert dsmfast.train(VALUES, sigma=widths, **FEW).model == expected
        with pytest.raises(ValueError, match=r"^sigma: expected one entry for each of 2 epochs"):
            dsmfast.train(VALUES, sigma=widths.head(1), **FEW)
        with pytest.raises(TypeError, match=r"^coarse: .*number, got a Series of shape \(2,\)$"):
            dsmfast.train(VALUES, sigma_max=1.0, coarse=widths, **FEW)
