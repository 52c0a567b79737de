"""Curves: losses over epochs, energies over draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from dsmfast._arguments.checks import as_integer, as_real_array, describe
from dsmfast.plot.axes import axes_of
from dsmfast.results import TrainingResult
from dsmfast.sampling import Chains

__all__ = ["chains", "history"]


def history(
    result: TrainingResult | Mapping[str, npt.ArrayLike],
    *,
    best_epoch: int | None = None,
    training: Mapping[str, Any] | None = None,
    ax: Any = None,
) -> Any:
    """Plot the losses of training over epochs.

    The vertical axis is logarithmic if the losses span more than a decade. The training loss of a
    model that was trained with ``sigma_max`` is a weighted mean over all noise scales, whereas the
    held-out loss is that of noise of sigma alone. The legend then says so, because the two curves
    cannot be compared with each other.

    Parameters
    ----------
    result : TrainingResult or mapping
        Result of :func:`dsmfast.train`, or its ``history``: arrays of shape (epochs,) named
        ``"loss"`` and, if rows were held out, ``"validation_loss"``.
    best_epoch : int, optional
        Epoch to mark, counted from 1. The default is ``result.best_epoch``, which early stopping
        sets.
    training : mapping, optional
        Record of the training (``model.training``), for the labels. The default is that of
        ``result.model``.
    ax : matplotlib Axes, optional
        Axes to draw in. The default is a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError, TypeError
        If ``result`` is not a history, or has no epochs.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.data.spiral(1000)
    >>> result = dsmfast.train(X, 32, epochs=30, validation=0.2, patience=5)
    >>> ax = dsmfast.plot.history(result)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('epoch', 'loss (dsm)')
    """
    values: object = result
    if isinstance(result, TrainingResult):
        values = result.history
        best_epoch = result.best_epoch if best_epoch is None else best_epoch
        training = result.model.training if training is None else training
        training = {"objective": "unknown", **training}
    if not isinstance(values, Mapping) or "loss" not in values:
        raise TypeError(f"result: expected a TrainingResult or its history, got {describe(result)}")
    record = training or {}
    columns = [name for name in ("loss", "validation_loss") if name in values]
    curves = [as_real_array(values[name], f"result[{name!r}]") for name in columns]
    epochs = curves[0].size
    if epochs == 0 or any(curve.shape != (epochs,) for curve in curves):
        got = ", ".join(str(curve.shape) for curve in curves)
        raise ValueError(f"result: expected losses of shape (epochs,), one at least, got {got}")
    if best_epoch is not None:
        as_integer(best_epoch, "best_epoch", low=1, high=epochs)

    axes = axes_of(ax, 6.0, 4.0)
    names = ("training", "held out")
    if "sigma_max" in record and len(curves) > 1:
        names = ("training, noise of all scales", "held out, noise of sigma")
    for name, curve in zip(names, curves, strict=False):
        marker = "o" if np.isfinite(curve).sum() == 1 else ""  # no line of one point is seen
        axes.plot(np.arange(1, epochs + 1), curve, marker=marker, label=name)
    if best_epoch is not None:  # by the rows held out, where there are some
        look = {"color": axes.lines[-1].get_color(), "label": f"best: {best_epoch}"}
        axes.plot(best_epoch, curve[best_epoch - 1], "o", **look)
    finite = np.concatenate([curve[np.isfinite(curve)] for curve in curves])
    if finite.size and finite.min() > 0 and finite.max() > 10 * finite.min():
        axes.set_yscale("log")
    axes.xaxis.get_major_locator().set_params(integer=True)
    of = f" ({record['objective']})" if "objective" in record else ""
    axes.set(xlabel="epoch", ylabel=f"loss{of}")
    axes.legend(fontsize="small", handlelength=1)
    return axes


def chains(chains: Chains, *, count: int = 10, ax: Any = None) -> Any:
    """Plot the energy of each chain over its draws.

    If the chains have mixed, their lines cannot be distinguished. The title shows the number of
    chains and the method. If arviz-stats is installed, it also shows the effective sample size of
    the energy and R-hat; a value above 1.01 means that the chains still differ from one another.

    Parameters
    ----------
    chains : Chains
        Result of :func:`dsmfast.sample`.
    count : int
        Maximum number of chains to draw; the first ones are drawn. The title describes all chains.
    ax : matplotlib Axes, optional
        Axes to draw in. The default is a new figure.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    TypeError
        If ``chains`` is not a result of :func:`dsmfast.sample`.

    Examples
    --------
    >>> import dsmfast
    >>> X = dsmfast.normals(seed=1, step=0, draw=0, rows=range(1000), columns=2)
    >>> model = dsmfast.train(X, 32, sigma=0.5, epochs=50, sigma_max="auto").model
    >>> ax = dsmfast.plot.chains(dsmfast.sample(model, chains=3, draws=100))
    >>> len(ax.lines), ax.get_title().splitlines()[0]
    (3, '3 chains, gibbs')
    """
    if not isinstance(chains, Chains):
        raise TypeError(f"chains: expected what dsmfast.sample returns, got {describe(chains)}")
    most = as_integer(count, "count", low=1, high=10**6)
    axes = axes_of(ax, 6.0, 4.0)
    draws = np.arange(1, chains.energy.shape[1] + 1)
    for trace in chains.energy[:most]:
        axes.plot(draws, trace, marker="o" if len(draws) == 1 else "", linewidth=0.8)
    axes.xaxis.get_major_locator().set_params(integer=True)
    every = "" if chains.thin == 1 else f", every {chains.thin} steps"
    axes.set(xlabel=f"draw{every}", ylabel="energy")
    axes.set_title("\n".join(_said_of(chains)), fontsize="medium", wrap=True)
    return axes


def _said_of(chains: Chains) -> list[str]:
    """Return what chains are, and how well they mix, where that can be told."""
    number, draws = chains.energy.shape
    lines = [f"{number} chain{'' if number == 1 else 's'}, {chains.method}"]
    accepted = float(chains.acceptance.mean())
    if accepted < 1:
        lines[0] += f", {100 * accepted:.3g} % accepted"
    if draws < 4:
        return lines
    try:
        lines.append(f"effective size {float(chains.ess()):.0f}")
        if number > 1:
            lines[-1] += f", R-hat {float(chains.r_hat()):.3f}"
    except ImportError:
        pass
    return lines
