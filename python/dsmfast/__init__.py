"""Score matching with the tied-weight denoising autoencoder, in C++ for CPUs.

:func:`train` fits a :class:`ScoreModel` to rows of data. The model gives energies, scores
(gradients of the log-density), denoised rows and samples.

>>> import dsmfast
>>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(1000), columns=8)
>>> model = dsmfast.train(X, n_hidden=32, sigma=0.5, epochs=2).model
>>> model.score(X).shape
(1000, 8)
"""

import importlib
from typing import Any

from dsmfast import reference
from dsmfast._system.build import __version__, build_info
from dsmfast.callbacks import Callback, TrainingState
from dsmfast.connection import Connection, Identity, connection
from dsmfast.likelihood import Normalizer, log_normalizer
from dsmfast.model import ScoreModel, load
from dsmfast.modes import DensityWarning, SpuriousModes, spurious_modes
from dsmfast.noise import noise_scales, normals
from dsmfast.objectives import Gradient, choose_path, loss, loss_and_grad
from dsmfast.optimizers import SGD, Adam
from dsmfast.parzen import parzen_denoise, parzen_log_density, parzen_score, select_sigma
from dsmfast.results import DivergenceError, TrainingResult
from dsmfast.sampling import Chains, impute, sample
from dsmfast.training import train

__all__ = [
    "SGD",
    "Adam",
    "Callback",
    "Chains",
    "Connection",
    "DensityWarning",
    "DivergenceError",
    "Gradient",
    "Identity",
    "Normalizer",
    "ScoreModel",
    "SpuriousModes",
    "TrainingResult",
    "TrainingState",
    "__version__",
    "build_info",
    "choose_path",
    "connection",
    "impute",
    "load",
    "log_normalizer",
    "loss",
    "loss_and_grad",
    "noise_scales",
    "normals",
    "parzen_denoise",
    "parzen_log_density",
    "parzen_score",
    "reference",
    "sample",
    "select_sigma",
    "spurious_modes",
    "train",
]

# Imported when first asked for: they need extras, or time.
_MODULES = ("data", "images", "plot", "sklearn")

# A public class is at home here, wherever it is written: pickles name it so.
for _name in __all__:
    if isinstance(_value := globals()[_name], type):
        _value.__module__ = __name__


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"dsmfast.{name}")
    raise AttributeError(f"module 'dsmfast' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
