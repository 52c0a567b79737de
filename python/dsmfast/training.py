"""Training, as the user asks for it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from dsmfast._checks import Array, as_dtype, as_threads
from dsmfast._density.modes import affordable_starts
from dsmfast._frames import check_columns
from dsmfast._objective.options import NoiseOptions, ObjectiveOptions, Score
from dsmfast._objective.scales import ScaleOptions
from dsmfast._rows.options import RowOptions
from dsmfast._run.distributed import World, agreement, as_world
from dsmfast._run.options import CheckpointOptions, StepOptions, StoppingOptions, TrainingOptions
from dsmfast._run.prepare import as_material, as_run
from dsmfast._run.schedules import SigmaSchedule
from dsmfast._run.start import feature_names_of
from dsmfast._run.verdict import is_through, worse_than_zero
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

    Every step draws fresh noise for its rows, where the objective has noise, and steps on 2 sigma^4
    times the objective (on "dae" itself), so a learning rate serves every objective and sigma. The
    same arguments give the same bits on any number of threads.

    Parameters
    ----------
    X : array_like, shape (n, n_features)
        Data, also as a table of pandas, polars or pyarrow. Converted once to ``dtype`` where they
        come in another; strided and read-only arrays are used as they are. What has ``shape``,
        ``dtype`` and slices of rows but is no array in memory (``numpy.memmap``, h5py, zarr), or is
        of a narrower type (bytes, ``float16``), is read and converted by windows, if it is more
        than one. The names of a table's columns become the model's ``feature_names``; other tables,
        and those of ``init``, must have the same.
    n_hidden : int
        Hidden units.
    sigma : float, "auto", sequence of float, or callable
        Standard deviation of the noise, in units of the data; the trained model's, whatever that of
        ``init`` was. "auto" takes it from :func:`select_sigma`. A sequence has one entry for each
        epoch, and a function is given the epoch's number, from 1: from coarse noise to fine, say,
        with the model's sigma following.
    objective : {"dsm", "dae", "esm", "ism", "esm_smoothed", "ism_smoothed"}
        What is minimised, and reported; see :func:`loss`. "dsm" and "dae" take the same steps.
    epochs : int
        Passes over the data; the order of the rows is drawn anew from the seed in each.
    batch_size : int
        Rows of a step; the last step of an epoch takes what remains.
    optimizer : {"adam", "sgd"} or Adam or SGD
        Which rule.
    learning_rate : float, optional
        By default the optimizer's own.
    schedule : {"linear", "cosine", "constant"} or callable
        How the learning rate falls from step to step: a factor as a function of the fraction of the
        run that is done. "linear" and "cosine" go from 1 to 0.
    draws : int
        Noise draws for each row and step; of the objectives with noise.
    antithetic : bool
        Whether draws come in pairs of opposite sign, an even number of them. Two such draws have
        far less noise in the gradient than two others where sigma is small
        (docs/explanation/defaults.md).
    sigma_max : float, "auto" or None
        The largest scale of the noise. A part of the rows of a step then gets more noise than
        sigma, and the energy becomes high wherever no rows are; :func:`loss` has the formula. The
        model's sigma stays. "auto" is four times the spread of the data, the root of the trace of
        their covariance. With None all rows have sigma: the energy is learned beside the data, and
        is whatever it happens to be elsewhere (docs/how-to/densities.md). Of "dsm", "dae" and
        "esm_smoothed" with Gaussian noise; at least sigma.
    coarse : float
        Share of the rows with more noise than sigma, in [0, 1]; of ``sigma_max``, like the next
        three.
    coarse_target : {"posterior", "row"}
        What these rows are regressed on. "posterior" is the mean of clean rows given the point,
        were its noise sigma: the model is matched to the score of the Parzen density at sigma, at
        points that are farther away. It has the explicit path alone. "row" is the clean row (Li,
        Chen & Sommer 2019), on any path. It is right where the scale of the noise can be told from
        the point, as in many features, and wrong in the plane, where modes grow between clusters.
    scale_exponent : float, optional
        A row with noise s weighs (sigma / s)**scale_exponent. By default it is 1 + min(1, sigma^2),
        and falls from there to 1/2 where some rows are far from all others: where the row farthest
        from the mean is 3 to 6 spreads away (docs/explanation/defaults.md).
    reference : int, "batch" or "all", optional
        Rows that the posterior means of a step are taken over. A number is so many rows in the
        order of the epoch, from the first of the batch on, and "batch" as many as a batch has. By
        default they are those of the batch, and at least 256; of "esm_smoothed" all. Where X is
        read by windows, or shared by ranks, "all" are those of the window, or of the rank.
    path : {"auto", "explicit", "gram"}
        Where steps are worked out; see :func:`loss` and :func:`choose_path`. The result says which
        it was.
    score, data, curvature_penalty, corruption, corruption_level, corruption_range
        What the objective needs or takes, as for :func:`loss`. ``data`` is by default X, and for
        the validation loss the validation rows; with validation, ``score`` is a function of x. With
        ``sigma_max``, "dsm" and "dae" take ``data`` too, as the sample of the posterior means.
    sample_weight : array_like, shape (n,), optional
        How much each row counts, at least 0, next to the others: weights are divided by their mean,
        which is that of all ranks. A row of weight 0 keeps its place in the batches, and has no
        effect. With a fraction for ``validation``, rows that are held out keep their weights;
        validation rows that are given, and ``data``, count alike.
    init : ScoreModel or TrainingResult, optional
        Parameters to start from; a result goes on where it ended, with what the optimizer remembers
        and at its place in the noise stream, so that ``epochs`` on a constant learning rate may
        come in pieces. By default W is drawn from the seed, and b and c are such that at the mean
        of the data every pre-activation is ``hidden_bias`` and the reconstruction exact.
    hidden_bias : float
        Where hidden units start, if ``init`` is not given. Units that start well below zero are off
        for most of the data, where the sigmoid is curved; from zero they start linear, and training
        ends with a higher loss (docs/explanation/defaults.md has figures).
    dtype : {"float32", "float64"}
        Precision of training.
    validation : array_like, shape (m, n_features), or float, optional
        Held-out rows, evaluated after each epoch on noise that stays the same, and is of sigma
        alone. A number is the fraction of X to hold out, at random; training is then on a copy of
        the rest.
    patience : int, optional
        End training after so many epochs without a better validation loss, and hand back the model
        of the best one, however training ended (but for divergence). Needs validation; sigma has to
        be one number.
    tolerance : float
        By how much a validation loss has to be lower to be better.
    callbacks : iterable of callable or Callback
        A function is called with a :class:`TrainingState` after every epoch, a :class:`Callback` at
        the begin and the end too; ``state.stop()`` ends training.
    progress : bool, optional
        Whether to tell how far training is: True draws a bar on a terminal (needs tqdm), and writes
        a line a second to stderr where that is none. By default a bar on a terminal that has tqdm.
    checkpoint : path-like, optional
        File to keep the run in (safetensors): parameters, what the optimizer remembers, history,
        and what the run was asked for. The one before it is kept as ``<name>.previous``.
    checkpoint_seconds : float
        Between two writes; more where writing takes more than a hundredth of the time. It is
        written at the end too, however the run ends.
    resume : bool
        Whether to go on from the checkpoint, if there is one; a run that was killed then ends in
        the same bits as one that was not. Data and options have to be the same; ``threads``,
        ``progress`` and ``callbacks``, whose own state is not kept, may differ. A file that is
        damaged is told of, and the one before it taken.
    comm : mpi4py.MPI.Comm, optional
        Ranks that train together: X, and validation rows, are then this rank's share of them, in
        the order of ranks. What comes of it is what one process with all rows comes to, up to
        rounding, on every rank, but for posterior means, which a rank takes over rows of its own,
        and for windows, which are of rows of every rank. Rank 0 calls back, shows progress and
        writes the checkpoint. A rank that fails ends the job (docs/how-to/several-machines.md).
    window : int, optional
        Rows that are in memory, and shuffled, together, where X is not all in memory. An epoch goes
        through the windows in an order drawn from the seed; the next one is read while one is
        trained on. By default 2**25 values, 128 MB of float32. With ``comm`` it is this rank's.
    scale : float
        What X and validation rows are multiplied by: 1/255 for bytes, say.
    seed : int
        Of weights, order and noise.
    threads : int, optional
        By default what OpenMP says.

    Returns
    -------
    TrainingResult
        Ctrl-C ends training early and returns the state so far, ``stop_reason`` "interrupted".

    Raises
    ------
    DivergenceError
        When the loss or the parameters leave the finite numbers; its ``result`` holds the last
        finite state.
    ValueError, TypeError
        For input that does not fit or is not finite.

    Warns
    -----
    DensityWarning
        When training is through, and the score is worse on the rows than one of zero, as where
        sigma is far below the spread of the data; or, with ``sigma_max``, :func:`spurious_modes`
        finds a mode of the energy away from the rows. One epoch at a constant learning rate is a
        piece of a run, of whose score nothing is said.

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
        material = as_material(
            X, validation, sigma, sample_weight, options, shared=world is not None
        )
        material = replace(material, feature_names=names)
    run = as_run(material, options, init, callbacks, progress, world)
    if options.checkpoint.resume:
        run.resume()
    result = run.finish()
    with suppress(KeyboardInterrupt):  # there is a result
        _tell_of_no_score(result, material.head, options, world)
        _tell_of_spurious_modes(result, material.head, options, world)
    return result


def _tell_of_no_score(
    result: TrainingResult, rows: Array, options: TrainingOptions, world: World | None
) -> None:
    """Warn where a score is worse than none, though training is through."""
    steps = options.steps
    if (world is not None and world.rank > 0) or not is_through(result):
        return
    if steps.epochs == 1 and steps.schedule == "constant":
        return  # one pass at a constant rate is a piece of a run
    found = worse_than_zero(
        result.model, rows, options.objective, steps.seed, steps.threads or None
    )
    if found:
        warnings.warn(found, DensityWarning, stacklevel=3)


def _tell_of_spurious_modes(
    result: TrainingResult, rows: Array, options: TrainingOptions, world: World | None
) -> None:
    """Warn where an energy that was to be a density is none, though training is through."""
    if not options.scales.asked:
        return
    if world is not None:  # the rows of one rank alone would make modes of the others' data
        rows = world.some_rows(rows, 4096)
        if world.rank > 0:
            return
    if not is_through(result):
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
        warnings.warn(
            f"{found}. Try a larger sigma_max, a smaller scale_exponent, or data in a unit in "
            "which sigma is nearer to 1",
            DensityWarning,
            stacklevel=3,
        )
