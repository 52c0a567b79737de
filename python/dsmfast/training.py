"""Training of a score model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from dsmfast._arguments.checks import Array, as_dtype, as_threads
from dsmfast._arguments.frames import check_columns, check_order, names_of
from dsmfast._density.modes import affordable_starts
from dsmfast._objective.options import NoiseOptions, ObjectiveOptions, Score
from dsmfast._objective.scales import ScaleOptions
from dsmfast._rows.options import RowOptions
from dsmfast._run.distributed import agreement, as_world
from dsmfast._run.options import CheckpointOptions, StepOptions, StoppingOptions, TrainingOptions
from dsmfast._run.prepare import as_material, as_run
from dsmfast._run.schedules import SigmaSchedule
from dsmfast._run.start import feature_names_of
from dsmfast._run.verdict import is_through, verdict
from dsmfast._system.warn import warn
from dsmfast.callbacks import Listener
from dsmfast.model import ScoreModel
from dsmfast.modes import DensityWarning, spurious_modes
from dsmfast.optimizers import Optimizer, as_optimizer
from dsmfast.results import TrainingResult

__all__ = ["train"]


def train(
    X: npt.ArrayLike,
    n_hidden: int = 128,
    sigma: SigmaSchedule = 0.3,
    *,
    objective: str = "dsm",
    epochs: int = 20,
    batch_size: int = 256,
    optimizer: str | Optimizer = "adam",
    learning_rate: float | None = None,
    schedule: str | Callable[[float], float] = "linear",
    draws: int = 1,
    antithetic: bool = False,
    sigma_max: float | str | None = None,
    coarse: float = 0.5,
    coarse_target: str = "posterior",
    scale_exponent: float | None = None,
    reference: int | str | None = None,
    path: str = "auto",
    score: Score | None = None,
    data: npt.ArrayLike | None = None,
    curvature_penalty: float = 0.0,
    corruption: str = "gaussian",
    corruption_level: float | None = None,
    corruption_range: tuple[float, float] | None = None,
    sample_weight: npt.ArrayLike | None = None,
    init: ScoreModel | TrainingResult | None = None,
    hidden_bias: float = -3.0,
    dtype: npt.DTypeLike = "float32",
    validation: npt.ArrayLike | float | None = None,
    patience: int | None = None,
    tolerance: float = 0.0,
    callbacks: Iterable[Listener] = (),
    progress: bool | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 30.0,
    resume: bool = False,
    comm: Any = None,
    window: int | None = None,
    scale: float = 1.0,
    seed: int = 0,
    threads: int | None = None,
) -> TrainingResult:
    """Train a score model on rows of data.

    Training minimises the objective by mini-batch steps. Objectives with noise draw new noise for
    every step. Steps are taken on 2 sigma^4 times the objective ("dae" is stepped on as it is), so
    one learning rate suits every objective and sigma. The same arguments give bit-identical results
    on any number of threads.

    Parameters
    ----------
    X : array_like, shape (n, n_features)
        Data, as an array or as a table of pandas, polars or pyarrow. Data of another dtype are
        converted to ``dtype`` once. Strided and read-only arrays are used without a copy. Data that
        are not an array in memory but have ``shape``, ``dtype`` and row slices (``numpy.memmap``,
        h5py, zarr), and arrays of narrow dtypes (bytes, ``float16``), are read and converted window
        by window if they are larger than one window. The column names of a table become the
        ``feature_names`` of the model; the other tables, and ``init``, must have the same names.
    n_hidden : int
        Number of hidden units.
    sigma : float, "auto", sequence of float, or callable
        Standard deviation of the noise, in units of the data. The trained model has this sigma,
        whatever the sigma of ``init``. "auto" uses :func:`select_sigma`. A sequence has one entry
        per epoch, and a function receives the number of the epoch, counted from 1. Both allow, for
        example, to go from coarse to fine noise; the sigma of the model follows.
    objective : {"dsm", "dae", "esm", "ism", "esm_smoothed", "ism_smoothed"}
        Objective that is minimised and reported; see :func:`loss`. "dsm" and "dae" take the same
        steps.
    epochs : int
        Number of passes over the data. Each pass visits the rows in a new order, drawn from the
        seed.
    batch_size : int
        Number of rows per step. The last step of an epoch takes the remaining rows.
    optimizer : {"adam", "sgd"} or Adam or SGD
        Optimizer, by name or as an object with its own constants.
    learning_rate : float, optional
        Learning rate of the first step. The default is that of the optimizer.
    schedule : {"linear", "cosine", "constant"} or callable
        Factor of the learning rate at each step. A function receives the fraction of the run that
        is done, in [0, 1). "linear" and "cosine" decrease from 1 to 0.
    draws : int
        Number of noise draws per row and step, for objectives with noise.
    antithetic : bool
        Whether draws come in pairs of opposite sign; their number is then even. If sigma is small,
        such a pair gives a far less noisy gradient than two independent draws
        (docs/explanation/defaults.md).
    sigma_max : float, "auto" or None
        Largest noise scale, at least sigma. If it is given, a part of the rows of each step gets
        more noise than sigma, and the energy becomes high wherever there are no rows; :func:`loss`
        has the formula. The sigma of the model does not change. "auto" is four times the spread of
        the data, which is the root of the trace of their covariance. With None all rows have noise
        sigma; the energy is then learned near the data and is arbitrary elsewhere
        (docs/how-to/densities.md). Only "dsm", "dae" and "esm_smoothed" with Gaussian noise take
        it.
    coarse : float
        Fraction of the rows with more noise than sigma, in [0, 1]. This and the next three
        parameters apply if ``sigma_max`` is given.
    coarse_target : {"posterior", "row"}
        Regression target of the rows with more noise. "posterior" is the mean of the clean rows
        given the noisy point, computed as if its noise were sigma: the model then matches the score
        of the Parzen density at sigma, at points farther from the data. It requires the explicit
        path. "row" is the clean row (Li, Chen & Sommer 2019), on any path. It is correct if the
        noise scale can be inferred from the point, as with many features. With two features it is
        not, and modes appear between clusters.
    scale_exponent : float, optional
        A row with noise s has weight (sigma / s)**scale_exponent. The default is 1 + min(1,
        sigma^2) for data without remote rows. It decreases to 1/2 as the distance of the farthest
        row from the mean goes from 3 to 6 spreads (docs/explanation/defaults.md).
    reference : int, "batch" or "all", optional
        Rows that the posterior means of a step are computed from. A number is that many rows in the
        order of the epoch, starting with the first of the batch; "batch" is the number of rows of a
        batch. The default is the rows of the batch and at least 256 rows, and for "esm_smoothed"
        all rows. If X is read window by window, or distributed over ranks, "all" means all rows of
        the window or of the rank.
    path : {"auto", "explicit", "gram"}
        How steps are computed; see :func:`loss` and :func:`choose_path`. The result records the
        path taken.
    score, data, curvature_penalty, corruption, corruption_level, corruption_range
        Options of the objective, as for :func:`loss`. ``data`` defaults to X, and for the
        validation loss to the validation rows. With validation, ``score`` must be a function of x.
        With ``sigma_max``, "dsm" and "dae" also take ``data``, as the sample of the posterior
        means.
    sample_weight : array_like, shape (n,), optional
        Non-negative weights of the rows. They are divided by their mean (over all ranks). A row of
        weight 0 has no effect but keeps its place in the batches. If ``validation`` is a fraction,
        the held-out rows keep their weights. Validation rows that are given, and ``data``, have
        equal weights.
    init : ScoreModel or TrainingResult, optional
        Start of training. A model gives the parameters. A result also gives the state of the
        optimizer and the position in the noise stream; at a constant learning rate, a run can thus
        be split into parts. By default W is drawn from the seed, and b and c are such that, at the
        mean of the data, every pre-activation is ``hidden_bias`` and the reconstruction is exact.
    hidden_bias : float
        Initial pre-activation of the hidden units at the mean of the data, if ``init`` is not
        given. With a value well below zero, units are off for most of the data and start in the
        curved part of the sigmoid. With zero they start in its linear part, and training ends with
        a higher loss (docs/explanation/defaults.md has figures).
    dtype : {"float32", "float64"}
        Precision of training.
    validation : array_like, shape (m, n_features), or float, optional
        Held-out rows, evaluated after each epoch. Their noise has scale sigma and is the same after
        every epoch. A number is the fraction of X to hold out at random; training then uses a copy
        of the rest.
    patience : int, optional
        End training after this many epochs without a lower validation loss, and return the model of
        the best epoch, however training ended (except by divergence). This requires validation and
        a single sigma.
    tolerance : float
        Minimum decrease of the validation loss that counts as an improvement.
    callbacks : iterable of callable or Callback
        Functions are called with a :class:`TrainingState` after every epoch. A :class:`Callback` is
        also called at the beginning and at the end. ``state.stop()`` ends training.
    progress : bool, optional
        Whether to show progress. True shows a bar on a terminal (needs tqdm) and writes a line per
        second to stderr elsewhere. By default, a bar is shown on a terminal if tqdm is installed.
    checkpoint : path-like, optional
        Safetensors file that keeps the run: parameters, optimizer state, history, and a description
        of data and options. The previous checkpoint is kept as ``<name>.previous``.
    checkpoint_seconds : float
        Seconds between two checkpoints. The interval is longer if writing would take more than a
        hundredth of the time. A checkpoint is also written at the end of the run, however it ends.
    resume : bool
        Whether to continue from the checkpoint, if it exists. A resumed run gives bit-identical
        results to an uninterrupted one. Data and options must be the same; only ``threads``,
        ``progress`` and ``callbacks`` may differ. The state of callbacks is not kept. If the
        checkpoint is damaged, dsmfast warns and uses the previous one.
    comm : mpi4py.MPI.Comm, optional
        Communicator of the processes (ranks) that train together. X and the validation rows are
        then the share of this rank; the data are those of all ranks, in the order of the ranks.
        Every rank returns what one process with all rows would return, up to rounding. There are
        two exceptions: a rank computes posterior means from its own rows, and each window has rows
        of every rank. Rank 0 runs callbacks, shows progress and writes the checkpoint. If a rank
        fails, the job ends (docs/how-to/several-machines.md).
    window : int, optional
        Number of rows that are in memory, and shuffled, together, if X is not all in memory. An
        epoch visits the windows in an order drawn from the seed, and reads the next window while it
        trains on the current one. The default is 2**25 values, 128 MB of float32. With ``comm`` the
        number is that of this rank.
    scale : float
        Factor by which X and the validation rows are multiplied, such as 1/255 for bytes.
    seed : int
        Seed of the weights, the order of the rows and the noise.
    threads : int, optional
        Number of threads. The default is that of OpenMP.

    Returns
    -------
    TrainingResult
        Model and history. Ctrl-C ends training early and returns the state so far, with
        ``stop_reason`` "interrupted".

    Raises
    ------
    DivergenceError
        If the loss or the parameters become infinite or NaN. Its ``result`` holds the last finite
        state.
    ValueError, TypeError
        If an argument is invalid or not finite.

    Warns
    -----
    DensityWarning
        At the end of training, if the score fits the rows worse than a score of zero, as happens if
        sigma is far below the spread of the data, or if no hidden unit varies over the rows, as
        happens if their mean is many times their spread. With ``sigma_max``, also if
        :func:`spurious_modes` finds a mode of the energy away from the rows. A single epoch at a
        constant learning rate counts as a part of a run, and its score is not checked.

    See Also
    --------
    dsmfast.loss : The objectives and their formulas.
    dsmfast.sklearn.DenoisingAutoencoder : Training as a scikit-learn estimator.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(500), columns=3)
    >>> result = dsmfast.train(X, n_hidden=16, sigma=0.5, epochs=5)
    >>> result.model
    ScoreModel(n_features=3, n_hidden=16, sigma=0.5, dtype='float32')
    >>> bool(result.history["loss"][-1] < result.history["loss"][0])
    True
    """
    world = as_world(comm)
    with agreement(world):
        options = TrainingOptions(
            objective=ObjectiveOptions(
                objective=objective,
                score=score,
                data=data,
                curvature_penalty=curvature_penalty,
                corruption=corruption,
                corruption_level=corruption_level,
                corruption_range=corruption_range,
            ),
            noise=NoiseOptions(draws=draws, antithetic=antithetic, path=path),
            scales=ScaleOptions(
                sigma_max=sigma_max,
                coarse=coarse,
                coarse_target=coarse_target,
                scale_exponent=scale_exponent,
                reference=reference,
            ),
            rows=RowOptions(window=window, scale=scale),
            steps=StepOptions(
                n_hidden=n_hidden,
                epochs=epochs,
                batch_size=batch_size,
                optimizer=as_optimizer(optimizer),
                learning_rate=learning_rate,
                schedule=schedule,
                hidden_bias=hidden_bias,
                dtype=as_dtype(dtype),
                seed=seed,
                threads=as_threads(threads),
            ),
            stopping=StoppingOptions(patience=patience, tolerance=tolerance),
            checkpoint=CheckpointOptions(
                checkpoint=checkpoint, checkpoint_seconds=checkpoint_seconds, resume=resume
            ),
        )
        names = feature_names_of(X, init)
        for name, rows in (("X", X), ("validation", validation), ("data", data)):
            check_columns(rows, name, names)
        check_order("score", names_of(score, numbered=True), names)
        material = as_material(
            X, validation, sigma, sample_weight, options, shared=world is not None
        )
        material = replace(material, feature_names=names)
    run = as_run(material, options, init, callbacks, progress, world)
    if options.checkpoint.resume:
        run.resume()
    head, one_scale = material.head, not options.scales.asked
    result = run.finish()  # from here on until the guard nothing of ours is called
    # Of all ranks, before what Ctrl-C may end on one of them: the others would wait for it.
    everywhere = head if world is None or one_scale else world.some_rows(head, 4096)
    if world is None or world.rank == 0:
        try:  # not `suppress`: Ctrl-C could end its own call before it guards
            _tell_of_no_score(result, head, options)
            _tell_of_spurious_modes(result, everywhere, options)
        except KeyboardInterrupt:
            return result
    return result


def _tell_of_no_score(result: TrainingResult, rows: Array, options: TrainingOptions) -> None:
    """Warn where nothing has been learned, though training is through."""
    steps = options.steps
    if not is_through(result):
        return
    if steps.epochs == 1 and steps.schedule == "constant":
        return  # one pass at a constant rate is a piece of a run
    found = verdict(result.model, rows, options.objective, steps.seed, steps.threads or None)
    if found:
        warn(found, DensityWarning)


def _tell_of_spurious_modes(result: TrainingResult, rows: Array, options: TrainingOptions) -> None:
    """Warn where an energy that was to be a density is none, though training is through."""
    if not (options.scales.asked and is_through(result)):
        return
    model, steps = result.model, options.steps
    found = spurious_modes(
        model,
        rows,
        starts=affordable_starts(model),
        seed=steps.seed,
        threads=steps.threads or None,
    )
    if found:
        warn(
            f"{found}. Try a larger sigma_max, a smaller scale_exponent, or rescale the data so "
            "that sigma is nearer to 1",
            DensityWarning,
        )
