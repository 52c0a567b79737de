"""The model in plain NumPy, which the tests compare the compiled code with.

It has the same names, conventions and noise stream as the package, but no compiled code and no
checks of arguments. It imports nothing from the package, so it cannot repeat a mistake of it. In
`train`, a score is a function, and a corruption is a :class:`Corruption`. Sizes are B rows, d
features and h hidden units.

>>> import numpy as np, dsmfast
>>> model = dsmfast.ScoreModel.initialize(3, 5, sigma=0.5, dtype="float64")
>>> x = np.ones((4, 3))
>>> oracle = dsmfast.reference.ScoreModel(model.W, model.b, model.c, model.sigma)
>>> bool(np.allclose(model.score(x), oracle.score(x), rtol=1e-12))
True
"""

from dsmfast.reference.chains import Chains, enumerated_log_normalizer
from dsmfast.reference.counts import binomial_counts
from dsmfast.reference.gram import root, row_space_regression
from dsmfast.reference.model import ScoreModel, sigmoid, softplus
from dsmfast.reference.noise import (
    drawn,
    drawn_scales,
    noise_scales,
    normals,
    overwritten,
    philox,
    shuffled_rows,
)
from dsmfast.reference.objectives import loss, loss_and_grad
from dsmfast.reference.parzen import (
    exponents_of,
    parzen_denoise,
    parzen_log_density,
    parzen_score,
)
from dsmfast.reference.regression import regression
from dsmfast.reference.table import Corruption
from dsmfast.reference.training import train

__all__ = [
    "Chains",
    "Corruption",
    "ScoreModel",
    "binomial_counts",
    "drawn",
    "drawn_scales",
    "enumerated_log_normalizer",
    "exponents_of",
    "loss",
    "loss_and_grad",
    "noise_scales",
    "normals",
    "overwritten",
    "parzen_denoise",
    "parzen_log_density",
    "parzen_score",
    "philox",
    "regression",
    "root",
    "row_space_regression",
    "shuffled_rows",
    "sigmoid",
    "softplus",
    "train",
]
