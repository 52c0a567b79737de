"""Bad input: each error names the argument, what was expected and what came."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dsmfast
from problems import W, X, b, c, problem, with_value

BAD_MODELS = [
    (
        {"W": np.ones(3, np.float32)},
        ValueError,
        r"W: expected shape \(n_hidden, n_features\), got \(3,\)",
    ),
    ({"W": np.ones((0, 3), np.float32)}, ValueError, r"W: expected shape"),
    ({"W": W.astype(complex)}, TypeError, "W: expected real numbers, got dtype complex128"),
    ({"W": W.astype(object)}, TypeError, "W: expected real numbers, got dtype object"),
    ({"W": W.astype(np.float16)}, TypeError, "W: expected dtype float32 or float64, got float16"),
    (
        {"W": np.where(W > 0, np.float32(np.nan), W)},
        ValueError,
        "W: expected finite float32 values, got nan",
    ),
    ({"b": np.zeros(5, np.float32)}, ValueError, r"b: expected shape \(4,\), got \(5,\)"),
    ({"b": np.zeros(4)}, TypeError, "b: expected dtype float32, got float64"),
    (
        {"c": [0, np.inf, 0]},
        ValueError,
        "c: expected finite float32 values, got inf in row 0, column 1",
    ),
    ({"c": np.zeros((1, 3), np.float32)}, ValueError, r"c: expected shape \(3,\), got \(1, 3\)"),
    ({"sigma": 0}, ValueError, "sigma: expected a finite number > 0, got 0"),
    ({"sigma": -1.0}, ValueError, "sigma: expected a finite number > 0, got -1"),
    ({"sigma": np.nan}, ValueError, "sigma: expected a finite number > 0, got nan"),
    ({"sigma": np.inf}, ValueError, "sigma: expected a finite number > 0, got inf"),
    (
        {"sigma": 1e-10},
        ValueError,
        r"sigma: expected a number between 3.3e-10 and 3.0e\+09 for floa",
    ),
    ({"sigma": 10**400}, ValueError, "sigma: expected a finite number > 0, got inf"),
    ({"sigma": [[1], [1, 2]]}, TypeError, "sigma: expected a real number, got"),
    ({"sigma": "0.5"}, TypeError, "sigma: expected a real number, got '0.5'"),
    ({"sigma": True}, TypeError, "sigma: expected a real number, got True"),
    ({"sigma": 1j}, TypeError, "sigma: expected a real number"),
    ({"sigma": [0.5]}, TypeError, "sigma: expected a real number"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD_MODELS)
def test_bad_models(change, error, message):
    good = {"W": W, "b": b, "c": c, "sigma": 0.5}
    with pytest.raises(error, match=message):
        dsmfast.ScoreModel(**{**good, **change})


BAD_ROWS = [
    (
        X[0],
        ValueError,
        r"x: expected a 2-D array of shape \(n, 3\), got shape \(3,\); use x\[None, :\] for",
    ),
    (X[None], ValueError, r"got shape \(1, 20, 3\)"),
    (X[:, :2], ValueError, r"x: expected shape \(n, 3\), got \(20, 2\)"),
    (X[:0], ValueError, r"x: expected at least one row and one feature, got \(0, 3\)"),
    (X.astype(complex), TypeError, "x: expected real numbers, got dtype complex128"),
    (X.astype(object), TypeError, "x: expected real numbers, got dtype object"),
    (X.astype("M8[D]"), TypeError, "x: expected real numbers, got dtype datetime64"),
    (X.astype(str), TypeError, "x: expected real numbers, got dtype <U"),
    (None, TypeError, "x: expected real numbers, got dtype object"),
    ([[1.0, 2.0], [3.0]], ValueError, "x: expected a rectangular array of numbers"),
    (np.ma.masked_less(X, 0.5), TypeError, "x: masked arrays are not supported"),
    (
        with_value(np.nan),
        ValueError,
        "x: expected finite float32 values, got nan in row 12, column 1",
    ),
    (
        with_value(-np.inf, (0, 0)),
        ValueError,
        "x: expected finite float32 values, got -inf in row 0, column 0",
    ),
]


@pytest.mark.parametrize(("x", "error", "message"), BAD_ROWS)
@pytest.mark.parametrize("call", ["energy", "score", "loss", "loss_and_grad"])
def test_bad_rows(call, x, error, message):
    model = dsmfast.ScoreModel(W, b, c, 0.5)
    function = getattr(model, call, None) or (lambda x: getattr(dsmfast, call)(model, x))
    with pytest.raises(error, match=message):
        function(x)


def test_sparse_rows():
    sparse = pytest.importorskip("scipy.sparse")
    model = dsmfast.ScoreModel(W, b, c, 0.5)
    with pytest.raises(TypeError, match=r"sparse matrices are not supported; use x\.toarray\(\)"):
        model.energy(sparse.csr_matrix(X))


@given(
    rows=st.integers(1, 200),
    columns=st.integers(1, 40),
    data=st.data(),
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
)
def test_a_value_that_is_not_finite_is_found_anywhere(rows, columns, data, value):
    model, x = problem(rows, columns, 3, "float32")
    i, j = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    x[i, j] = value
    place = f"row {i}, column {j} "
    with pytest.raises(ValueError, match=place):
        model.hidden(x)
    with pytest.raises(ValueError, match=place):
        dsmfast.loss(model, np.asfortranarray(x))
    with pytest.raises(ValueError, match=place):
        dsmfast.train(x, 3)


def test_the_first_bad_row_is_named_on_any_number_of_threads():
    model, x = problem(100_000, 3, 2, "float32")
    x[[70_001, 20_003, 99_999], [1, 2, 0]] = np.nan
    for threads in (1, 2, 8):
        with pytest.raises(ValueError, match=r"row 20003, column 2 "):
            model.score(x, threads=threads)


def test_what_has_no_dtype_is_not_narrowed_either():
    """A data frame is an array with another name."""

    class Frame:
        def __array__(self, dtype=None, copy=None):
            return X.astype(np.float64)

    model = dsmfast.ScoreModel(W, b, c, 0.5)
    with pytest.raises(TypeError, match="x: expected dtype float32, got float64"):
        model.energy(Frame())
    with pytest.raises(ValueError, match="x: expected finite float32 values, got inf in row 0"):
        model.energy([[1e300, 0, 0]])


def test_model_must_be_a_model():
    with pytest.raises(
        TypeError, match=r"model: expected a ScoreModel, got an array of shape \(4, 3\)"
    ):
        dsmfast.loss(W, X)


BAD_TRAINING = [
    ({"n_hidden": 0}, ValueError, "n_hidden: expected an integer of at least 1, got 0"),
    ({"n_hidden": 2.5}, TypeError, "n_hidden: expected an integer, got 2.5"),
    ({"sigma": -0.1}, ValueError, "sigma: expected a finite number > 0, got -0.1"),
    ({"objective": "dsn"}, ValueError, "objective: expected one of"),
    ({"sigma": "best"}, ValueError, "sigma: expected a number or 'auto', got 'best'"),
    ({"sigma": [0.5, 0.4], "epochs": 3}, ValueError, "sigma: expected one entry for each of 3"),
    ({"sigma": [0.5, 0.0], "epochs": 2}, ValueError, r"sigma\[1\]: expected a finite number > 0"),
    ({"sigma": [0.5, -1.0], "epochs": 2}, ValueError, r"sigma\[1\]: expected a finite number > 0"),
    ({"sigma": [], "epochs": 0}, ValueError, "sigma: expected one entry for each of 0 epochs"),
    ({"sigma": lambda epoch: 3 - epoch}, ValueError, r"sigma\(3\): expected a finite number > 0"),
    ({"sigma": lambda epoch: "x"}, TypeError, r"sigma\(1\): expected a real number, got 'x'"),
    ({"sigma": np.ones((2, 2))}, ValueError, "sigma: expected one entry for each of 20 epochs"),
    ({"sigma": [0.3, [0.2]]}, ValueError, "sigma: expected a rectangular array of numbers"),
    ({"sigma": [True] * 20}, TypeError, "sigma: expected real numbers, got dtype bool"),
    ({"sigma": bytearray(b"1")}, TypeError, "sigma: expected a real number, got bytearray"),
    ({"X": np.ones((9, 3)), "sigma": "auto"}, ValueError, "X: expected rows that differ"),
    ({"objective": "esm"}, ValueError, "score: objective 'esm' needs the score of the data"),
    (
        {"objective": "esm", "score": X, "validation": X},
        TypeError,
        "score: expected a function of x, which gives the score at the validation rows, got an arr",
    ),
    (
        {"objective": "esm_smoothed", "data": X[:, :1]},
        ValueError,
        r"data: expected shape \(n, 3\), got \(20, 1\)",
    ),
    (
        {"objective": "ism", "curvature_penalty": -1},
        ValueError,
        "curvature_penalty: expected a fin",
    ),
    ({"objective": "ism", "draws": 3}, ValueError, "draws: objective 'ism' does not take it"),
    (
        {"corruption": "masking", "corruption_level": 0.5},
        ValueError,
        "corruption: objective 'dsm' does not take 'masking'",
    ),
    ({"epochs": -1}, ValueError, "epochs: expected an integer of at least 0, got -1"),
    ({"batch_size": 0}, ValueError, "batch_size: expected an integer of at least 1, got 0"),
    ({"optimizer": "lbfgs"}, ValueError, "optimizer: expected one of 'adam', 'sgd', got 'lbfgs'"),
    ({"optimizer": 3}, TypeError, "optimizer: expected 'adam', 'sgd', dsmfast.Adam"),
    ({"learning_rate": 0}, ValueError, "learning_rate: expected a finite number > 0, got 0"),
    ({"learning_rate": "fast"}, TypeError, "learning_rate: expected a real number, got 'fast'"),
    ({"schedule": "step"}, ValueError, "schedule: expected one of 'constant', 'linear', 'cosine'"),
    ({"schedule": lambda p: [p]}, TypeError, r"schedule\(0\): expected a real number, got"),
    ({"schedule": 0.5}, TypeError, "schedule: expected a name or a callable"),
    ({"schedule": lambda p: -1.0}, ValueError, r"schedule\(0\): expected a finite number"),
    ({"draws": 0}, ValueError, "draws: expected an integer of at least 1"),
    ({"hidden_bias": np.nan}, ValueError, "hidden_bias: expected a finite number"),
    ({"dtype": "float16"}, ValueError, "dtype: expected 'float32' or 'float64', got 'float16'"),
    ({"dtype": "nonsense"}, ValueError, "dtype: expected 'float32' or 'float64', got 'nonsense'"),
    ({"validation": X[:, :2]}, ValueError, r"validation: expected shape \(n, 3\), got \(20, 2\)"),
    (
        {"validation": with_value(np.nan)},
        ValueError,
        "validation: expected finite float32 values, got nan",
    ),
    ({"init": "warm"}, TypeError, "init: expected a ScoreModel or a TrainingResult, got 'warm'"),
    ({"init": dsmfast.ScoreModel(W, b, c, 0.5)}, ValueError, "init: expected n_hidden=128, n_feat"),
    ({"callbacks": print}, TypeError, "callbacks: expected a list of functions or dsmfast.C"),
    ({"callbacks": [3]}, TypeError, r"callbacks\[0\]: expected a function or a dsmfast.C"),
    ({"seed": None}, TypeError, "seed: expected an integer, got None"),
    ({"X": [["a", "b"]]}, TypeError, "X: expected real numbers, got dtype <U1"),
    (
        {"X": np.full((3, 2), 1e300)},
        ValueError,
        "X: expected finite float32 values, got inf in row 0",
    ),
]


@pytest.mark.parametrize(("option", "error", "message"), BAD_TRAINING)
def test_bad_training_options(option, error, message):
    with pytest.raises(error, match=message):
        dsmfast.train(**{"X": X, **option})


@pytest.mark.parametrize(
    ("rule", "option", "message"),
    [
        (dsmfast.SGD, {"learning_rate": -1}, "learning_rate: expected a finite number > 0, got -1"),
        (dsmfast.SGD, {"momentum": 1.0}, r"momentum: expected a number in \[0, 0.9+\], got 1.0"),
        (dsmfast.SGD, {"weight_decay": -1}, "weight_decay: expected a finite number >= 0, got -1"),
        (dsmfast.Adam, {"epsilon": 1e-46}, "epsilon: expected a finite number > 1e-30, got 1e-46"),
        (dsmfast.Adam, {"beta2": 1.5}, r"beta2: expected a number in \[0, 0.999999\], got 1.5"),
        (dsmfast.Adam, {"epsilon": 0}, "epsilon: expected a finite number > 1e-30, got 0"),
    ],
)
def test_bad_optimizers(rule, option, message):
    with pytest.raises(ValueError, match=message):
        rule(**option)


def test_the_kernels_refuse_what_would_read_beyond_memory():
    """The compiled boundary checks for itself what memory safety rests on."""
    core = dsmfast._core
    hidden = core.Quantity.hidden
    with pytest.raises(TypeError, match="b: expected dtype float32, got float64"):
        core.evaluate(hidden, W, b.astype(np.float64), c, 0.5, X, 1)
    with pytest.raises(ValueError, match=r"c: expected shape \(3,\), got \(2,\)"):
        core.evaluate(hidden, W, b, c[:2], 0.5, X, 1)
    with pytest.raises(ValueError, match="W: expected a C-contiguous array"):
        core.evaluate(hidden, np.asfortranarray(W), b, c, 0.5, X, 1)
    with pytest.raises(ValueError, match=r"x: expected shape \(n, 3\), got \(20, 2\)"):
        core.evaluate(hidden, W, b, c, 0.5, X[:, :2], 1)

    def train(order=(0, 1), sums=1, frozen=False, first=0, rows=2, share=None, **task):
        arrays = tuple(p.copy() for p in (W, b, c))
        if frozen:
            arrays[0].flags.writeable = False
        core.train(
            [arrays],
            dsmfast.SGD(momentum=0.0).compiled(0),
            core.Regression(points=X, noise=core.Noise(sigma=0.5), **task),
            np.array(order, np.int64),
            first,
            rows,
            2,
            np.zeros(1),
            np.zeros(sums),
            np.zeros(1, np.int64),
            core.WorkingMemory(),
            1,
            share,
        )

    train()
    noise = core.Noise(sigma=0.5, chance=5)
    regression = core.Regression(points=X, noise=noise, path=core.Path.gram)
    with pytest.raises(ValueError, match=r"path: expected Path.explicit"):
        core.regression(W, b, c, regression, 1.0, True, 1)
    given = core.Noise(sigma=0.5, given=np.zeros((2, *X.shape), X.dtype), draws=2, antithetic=True)
    with pytest.raises(ValueError, match="antithetic: expected noise that is drawn"):
        core.regression(W, b, c, core.Regression(points=X, noise=given), 1.0, True, 1)
    with pytest.raises(ValueError, match=r"W: expected shape \(n, 0\), got \(4,\)"):
        core.root(W[:, 0].copy(), 1)
    with pytest.raises(ValueError, match="order: row 20 is not in points"):
        train(order=(0, 20))
    with pytest.raises(ValueError, match="order: row -1 is not in points"):
        train(order=(-1, 0))
    with pytest.raises(ValueError, match="first: expected a place in the order"):
        train(first=2)
    for first, count in ((1, 2), (0, 3), (0, 0), (0, 2**62)):
        with pytest.raises(ValueError, match="rows: expected at least one, and as many as"):
            train(first=first, rows=count)
    with pytest.raises(ValueError, match=r"weights: expected shape \(20,\), got \(19,\)"):
        train(weights=np.ones(19, np.float32))
    with pytest.raises(ValueError, match=r"sample, reference: expected for Target.posterior"):
        train(reference=2)
    with pytest.raises(ValueError, match=r"coarse_target: expected Target.clean or"):
        train(coarse_target=core.Target.given)
    with pytest.raises(ValueError, match=r"sums: expected shape \(1,\), got \(2,\)"):
        train(sums=2)
    with pytest.raises(ValueError, match="state: expected a writeable array"):
        train(frozen=True)
    for begins in ((0, 3), (-1, 2), (1, 0)):
        with pytest.raises(ValueError, match="begins: expected places in the order"):
            train(share=core.Share(begins=np.array(begins), rows=2, sum=print))
    with pytest.raises(ValueError, match=r"begins: expected shape \(2,\), got \(1,\)"):
        train(share=core.Share(begins=np.array([0]), rows=2, sum=print))
    with pytest.raises(ValueError, match="rows: expected at least one"):
        train(share=core.Share(begins=np.array([0, 2]), rows=0, sum=print))
    with pytest.raises(ValueError, match="state: expected parameters and the optimizer"):
        core.train(
            [tuple(p.copy() for p in (W, b, c))],
            dsmfast.Adam().compiled(0),
            core.Regression(points=X, noise=core.Noise(sigma=0.5)),
            np.array([0], np.int64),
            0,
            1,
            2,
            np.zeros(1),
            np.zeros(1),
            np.zeros(1, np.int64),
            core.WorkingMemory(),
            1,
        )
