"""What the objectives learn: the same, where theory says so; and what the penalty is good for."""

import numpy as np
import pytest

import dsmfast
from dsmfast import data


@pytest.fixture(scope="module")
def learned():
    """Models of the mixture, one by each objective."""
    X = data.mixture(4000)
    options = {"epochs": 60, "n_hidden": 64, "sigma": 0.3}
    return {
        objective: dsmfast.train(
            X,
            objective=objective,
            score=data.mixture_score if objective == "esm" else None,
            **options,
        ).model
        for objective in ("dsm", "esm_smoothed", "ism_smoothed", "esm", "ism")
    }


def distance(model, sigma=0.3):
    """Mean 1/2 |score - true score of the smoothed density|^2 at noisy held-out points."""
    X = data.mixture(20_000, seed=1)
    noisy = X + np.float32(sigma) * dsmfast.normals(99, 0, 0, range(len(X)), 2)
    return dsmfast.loss(model, noisy, "esm", score=data.mixture_score(noisy, sigma))


def test_smoothed_and_denoising_objectives_learn_the_smoothed_density(learned):
    start = distance(dsmfast.train(data.mixture(4000), 64, 0.3, epochs=0).model)
    found = {name: distance(learned[name]) for name in ("dsm", "esm_smoothed", "ism_smoothed")}
    for value in found.values():
        assert value < 0.05 * start
    assert max(found.values()) < 1.2 * min(found.values())


def test_objectives_without_noise_learn_the_density_itself(learned):
    X = data.mixture(20_000, seed=1)
    own = {
        name: dsmfast.loss(learned[name], X, "esm", score=data.mixture_score) for name in learned
    }
    assert max(own["esm"], own["ism"]) < 1.2 * min(own["esm"], own["ism"])
    assert max(own["esm"], own["ism"]) < own["dsm"]
    assert distance(learned["ism"]) > distance(learned["dsm"])


def test_the_penalty_closes_the_gap_of_implicit_score_matching():
    """Kingma & LeCun (2010), on 200 patches of 8-bit pixels: held-out loss falls with the gap."""
    pytest.importorskip("sklearn")
    pixels = data.patches(side=8, count=4000)
    step = (pixels.max() - pixels.min()) / 255
    pixels = np.round(pixels / step) * step
    X, held_out = pixels[:200], pixels[2000:]
    gaps, outside = [], []
    for penalty in (0.0, 0.1):
        model = dsmfast.train(
            X, 128, 0.5, objective="ism", curvature_penalty=penalty, epochs=300
        ).model
        outside.append(dsmfast.loss(model, held_out, "ism"))
        gaps.append(outside[-1] - dsmfast.loss(model, X, "ism"))
    assert gaps[1] < 0.98 * gaps[0]
    assert outside[1] < outside[0]
