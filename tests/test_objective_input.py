"""Bad options of an objective: each error names the option, what was expected and what came."""

import numpy as np
import pytest

import dsmfast
from problems import W, X, b, c, with_value

BAD_OPTIONS = [
    ({"objective": "mse"}, ValueError, "objective: expected one of 'dae', 'dsm', 'esm', .*'mse'"),
    ({"objective": None}, ValueError, "objective: expected one of 'dae', 'dsm', 'esm', .*got None"),
    ({"seed": -1}, ValueError, "seed: expected an integer of at least 0, got -1"),
    ({"seed": 2**64}, ValueError, "seed: expected an integer of at most"),
    ({"step": 0.5}, TypeError, "step: expected an integer, got 0.5"),
    ({"draws": 0}, ValueError, "draws: expected an integer of at least 1, got 0"),
    ({"draws": True}, TypeError, "draws: expected an integer, got True"),
    ({"threads": 0}, ValueError, "threads: expected an integer of at least 1, got 0"),
    (
        {"noise": X[:, :2]},
        ValueError,
        r"noise: expected shape \(20, 3\) or \(draws, 20, 3\), got \(20, 2\)",
    ),
    ({"noise": X[None], "draws": 3}, ValueError, "draws: expected 1 as in noise, got 3"),
    (
        {"noise": with_value(np.nan)},
        ValueError,
        "noise: expected finite float32 values, got nan in row",
    ),
    ({"noise": X.astype(np.float64)}, TypeError, "noise: expected dtype float32, got float64"),
    ({"curvature": 1.0}, TypeError, "unexpected keyword argument 'curvature'"),
    (
        {"objective": "esm"},
        ValueError,
        r"score: objective 'esm' needs the score of the data, an array of shape \(20, 3\) or a",
    ),
    (
        {"objective": "esm", "score": X[:, :2]},
        ValueError,
        r"score: expected shape \(20, 3\), got \(20, 2\)",
    ),
    (
        {"objective": "esm", "score": X.astype(np.float64)},
        TypeError,
        "score: expected dtype float32, got float64",
    ),
    (
        {"objective": "esm", "score": with_value(np.inf)},
        ValueError,
        "score: expected finite float32 values, got inf in row 12",
    ),
    (
        {"objective": "esm", "score": lambda x: x[0]},
        ValueError,
        r"score\(x\): expected shape \(20, 3\), got \(3,\)",
    ),
    (
        {"objective": "esm", "score": lambda x: None},
        TypeError,
        r"score\(x\): expected real numbers, got dtype object",
    ),
    ({"score": X}, ValueError, "score: objective 'dsm' does not take it; 'esm' does"),
    (
        {"data": X},
        ValueError,
        "data: objective 'dsm' takes it only with sigma_max",
    ),
    (
        {"objective": "esm_smoothed", "data": X[:, :2]},
        ValueError,
        r"data: expected shape \(n, 3\), got \(20, 2\)",
    ),
    (
        {"objective": "esm_smoothed", "data": with_value(np.nan)},
        ValueError,
        "data: expected finite float32 values, got nan in row 12, column 1",
    ),
    (
        {"objective": "ism", "curvature_penalty": -0.5},
        ValueError,
        "curvature_penalty: expected a finite number >= 0, got -0.5",
    ),
    (
        {"objective": "ism", "curvature_penalty": np.nan},
        ValueError,
        "curvature_penalty: expected a finite number >= 0, got nan",
    ),
    (
        {"objective": "ism", "curvature_penalty": 1e39},
        ValueError,
        r"curvature_penalty: expected a number that float32 can hold, up to 3.4e\+38, got 1e\+39",
    ),
    (
        {
            "objective": "dae",
            "corruption": "salt_and_pepper",
            "corruption_level": 0.5,
            "corruption_range": (0, 1e39),
        },
        ValueError,
        r"corruption_range\[1\]: expected a number that float32 can hold",
    ),
    (
        {"curvature_penalty": 1.0},
        ValueError,
        "curvature_penalty: objective 'dsm' does not take it; 'ism', 'ism_smoothed' do",
    ),
    (
        {"objective": "ism", "draws": 2},
        ValueError,
        "draws: objective 'ism' does not take it; 'dae', 'dsm', 'esm_smoothed', 'ism_smoothed' do",
    ),
    ({"objective": "esm", "score": X, "noise": X}, ValueError, "noise: objective 'esm' does not"),
    (
        {"corruption": "masking", "corruption_level": 0.1},
        ValueError,
        "corruption: objective 'dsm' does not take 'masking', because only the denoiser of",
    ),
    (
        {"objective": "dae", "corruption": "blur"},
        ValueError,
        "corruption: expected one of 'gaussian', 'masking', 'salt_and_pepper', got 'blur'",
    ),
    (
        {"objective": "dae", "corruption": "masking"},
        ValueError,
        "corruption_level: corruption 'masking' needs it: the fraction of features",
    ),
    (
        {"objective": "dae", "corruption": "masking", "corruption_level": 1.5},
        ValueError,
        r"corruption_level: expected a number in \(0, 1\], got 1.5",
    ),
    (
        {"objective": "dae", "corruption": "masking", "corruption_level": 0},
        ValueError,
        r"corruption_level: expected a number in \(0, 1\], got 0",
    ),
    (
        {"objective": "dae", "corruption_level": 0.5},
        ValueError,
        "corruption_level: corruption 'gaussian' does not take it; it only depends on sigma",
    ),
    (
        {
            "objective": "dae",
            "corruption": "masking",
            "corruption_level": 0.5,
            "corruption_range": (0, 1),
        },
        ValueError,
        "corruption_range: corruption 'masking' does not take it",
    ),
    (
        {
            "objective": "dae",
            "corruption": "salt_and_pepper",
            "corruption_level": 0.5,
            "corruption_range": (1, 0),
        },
        ValueError,
        "corruption_range: expected low < high, got 1 and 0",
    ),
    (
        {"objective": "dae", "corruption": "masking", "corruption_level": 0.5, "noise": X},
        ValueError,
        "noise: corruption 'masking' does not take it",
    ),
]


@pytest.mark.parametrize(("option", "error", "message"), BAD_OPTIONS)
def test_bad_options_of_an_objective(option, error, message):
    model = dsmfast.ScoreModel(W, b, c, 0.5)
    with pytest.raises(error, match=message):
        dsmfast.loss(model, X, **option)


def test_what_a_precision_cannot_hold_is_an_error_not_nan():
    far = np.float32(1e12) * X
    with pytest.raises(ValueError, match="x: the objective is not a number: squares of the data"):
        dsmfast.loss(dsmfast.ScoreModel(W, b, c, 1e-9), far, "esm_smoothed")
    with pytest.raises(ValueError, match=r"score: expected values whose product with sigma\*\*2"):
        dsmfast.loss(dsmfast.ScoreModel(W, b, c, 1e9), X, "esm", score=1e30 * np.ones_like(X))
