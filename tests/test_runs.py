"""What comes between the steps of a run: callbacks, early stopping, progress, going on."""

import pickle
import re
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import dsmfast
from problems import PARITY, relative_error


def rows(n=100, d=5, dtype="float32", seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


def same(first, second):
    return all(np.array_equal(getattr(first, n), getattr(second, n)) for n in ("W", "b", "c"))


class Recorder(dsmfast.Callback):
    """Writes down every event."""

    def __init__(self, stop_at=None):
        self.events = []
        self.stop_at = stop_at

    def note(self, event, state):
        self.events.append((event, state.epoch, state.steps, state.loss, state.validation_loss))
        if self.stop_at == (event, state.epoch):
            state.stop()

    def on_train_begin(self, state):
        self.note("begin", state)

    def on_epoch_end(self, state):
        assert state.seconds > 0
        self.note("epoch", state)

    def on_train_end(self, state):
        self.note("end", state)


class TestCallbacks:
    def test_events_in_order(self):
        recorder = Recorder()
        result = dsmfast.train(rows(), 8, 0.5, epochs=3, batch_size=50, callbacks=[recorder])
        losses = [None, *result.history["loss"], result.history["loss"][-1]]
        assert recorder.events == [
            ("begin", 0, 0, losses[0], None),
            ("epoch", 1, 2, losses[1], None),
            ("epoch", 2, 4, losses[2], None),
            ("epoch", 3, 6, losses[3], None),
            ("end", 3, 6, losses[4], None),
        ]

    def test_a_function_hears_the_ends_of_epochs(self):
        seen = []

        def listen(state):
            seen.append((state.epoch, state.epochs, state.loss, state.validation_loss))
            assert isinstance(state.model, dsmfast.ScoreModel)
            if state.epoch == 3:
                state.stop()

        X = rows()
        result = dsmfast.train(X, 8, 0.5, epochs=10, validation=X, callbacks=[listen])
        assert result.stop_reason == "callback"
        history = result.history
        assert seen == [
            (i + 1, 10, history["loss"][i], history["validation_loss"][i]) for i in range(3)
        ]

    def test_stop_before_the_first_step(self):
        recorder = Recorder(stop_at=("begin", 0))
        result = dsmfast.train(rows(), 8, 0.5, epochs=3, callbacks=[recorder])
        assert (result.stop_reason, result.steps) == ("callback", 0)
        assert [event for event, *_ in recorder.events] == ["begin", "end"]

    def test_learning_rate_and_sigma_of_the_last_step(self):
        seen = []
        dsmfast.train(
            rows(),
            8,
            [0.5, 0.25],
            epochs=2,
            batch_size=50,
            learning_rate=1.0,
            callbacks=[lambda state: seen.append((state.learning_rate, state.sigma))],
        )
        assert seen == [(0.75, 0.5), (0.25, 0.25)]

    def test_listening_changes_nothing(self):
        options = {"n_hidden": 8, "sigma": 0.5, "epochs": 3}
        heard = dsmfast.train(rows(), callbacks=[Recorder(), lambda s: s.model], **options)
        assert same(heard.model, dsmfast.train(rows(), **options).model)

    @pytest.mark.parametrize("event", ["on_train_begin", "on_epoch_end", "on_train_end"])
    def test_an_error_comes_out_with_the_result_so_far(self, event):
        class Failing(dsmfast.Callback):
            pass

        def fail(self, state):
            if state.epoch in (0, 2, 4):
                raise RuntimeError("mine")

        setattr(Failing, event, fail)
        with pytest.raises(RuntimeError, match="mine") as caught:
            dsmfast.train(rows(), 8, 0.5, epochs=4, callbacks=[Failing()])
        result = caught.value.result
        done = {"on_train_begin": 0, "on_epoch_end": 2, "on_train_end": 4}[event]
        assert len(result.history["loss"]) == done
        assert result.stop_reason == "error"
        options = {"callbacks": [lambda s: s.stop() if s.epoch == done else None]}
        if done:
            assert same(result.model, dsmfast.train(rows(), 8, 0.5, epochs=4, **options).model)

    def test_ctrl_c_in_a_callback_ends_with_the_state_so_far(self):
        def interrupt(state):
            if state.epoch == 2:
                raise KeyboardInterrupt

        result = dsmfast.train(rows(), 8, 0.5, epochs=9, callbacks=[interrupt])
        assert result.stop_reason == "interrupted"
        assert len(result.history["loss"]) == 2

    def test_a_state_reads_well(self):
        seen = []
        X = rows()
        dsmfast.train(X, 8, 0.5, epochs=1, validation=X, callbacks=[lambda s: seen.append(repr(s))])
        assert seen[0].startswith("<epoch 1/1: 1 steps, loss ")
        assert ", held out " in seen[0]


class TestPatience:
    def overfitting(self, **options):
        """Few rows and many units: the held-out loss turns up."""
        return dsmfast.train(
            rows(30, 8),
            200,
            0.3,
            epochs=400,
            schedule="constant",
            validation=rows(50, 8, seed=1),
            **options,
        )

    def test_it_stops_and_restores_the_best_state(self):
        result = self.overfitting(patience=5)
        losses = result.history["validation_loss"]
        assert result.stop_reason == "patience"
        assert len(losses) < 400
        assert result.best_epoch == 1 + np.argmin(losses)
        assert len(losses) == result.best_epoch + 5
        best = self.overfitting(
            callbacks=[lambda s: s.stop() if s.epoch == result.best_epoch else None]
        )
        assert same(result.model, best.model)
        assert result.steps == best.steps

    def test_the_best_is_restored_however_it_ends(self):
        stop = self.overfitting(
            patience=100, callbacks=[lambda s: s.stop() if s.epoch == 60 else None]
        )
        assert stop.stop_reason == "callback"
        assert stop.best_epoch == 1 + np.argmin(stop.history["validation_loss"])
        assert stop.best_epoch < 60
        assert same(stop.model, self.overfitting(patience=5).model)

    def test_tolerance(self):
        loose = self.overfitting(patience=3)
        best = np.inf
        for number, value in enumerate(loose.history["validation_loss"][:-3], start=1):
            if value < best - 20.0:
                best, at = value, number
        assert at + 3 < loose.best_epoch  # it makes a difference
        strict = self.overfitting(patience=3, tolerance=20.0)
        assert strict.best_epoch == at
        assert len(strict.history["loss"]) == at + 3

    def test_an_error_hands_back_the_last_state_not_the_best(self):
        def fail(state):
            if state.epoch == 12:
                raise RuntimeError("no more")

        with pytest.raises(RuntimeError, match="no more") as caught:
            self.overfitting(patience=100, callbacks=[fail])
        last = self.overfitting(callbacks=[lambda s: s.stop() if s.epoch == 12 else None])
        assert same(caught.value.result.model, last.model)
        assert caught.value.result.best_epoch is None

    def test_a_loss_that_stays_is_no_better(self):
        still = self.overfitting(patience=3, learning_rate=1e-30)
        assert np.ptp(still.history["validation_loss"]) == 0
        assert (still.best_epoch, len(still.history["loss"])) == (1, 4)

    def test_without_it_the_last_state_counts(self):
        result = dsmfast.train(rows(), 8, 0.5, epochs=3, validation=rows())
        assert result.best_epoch is None

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"patience": 3}, "patience: needs validation"),
            ({"patience": 0, "validation": 0.5}, "patience: expected an integer of at least 1"),
            (
                {"patience": 3, "validation": 0.5, "sigma": [0.5, 0.4], "epochs": 2},
                "patience: expected one sigma; losses at different sigma",
            ),
            ({"tolerance": 0.1}, "tolerance: expected patience with it"),
            ({"patience": 3, "validation": 0.5, "tolerance": -1}, "tolerance: expected a finite"),
        ],
    )
    def test_bad_options(self, options, message):
        with pytest.raises(ValueError, match=message):
            dsmfast.train(rows(), 8, **{"sigma": 0.5, **options})


def test_a_fraction_to_validate_on_is_a_split():
    from dsmfast import data

    X = rows()
    kept, held_out = data.split(X, 0.2, seed=3)
    options = {"n_hidden": 8, "sigma": 0.5, "epochs": 2, "seed": 3}
    fraction = dsmfast.train(X, validation=0.2, **options)
    given = dsmfast.train(kept, validation=held_out, **options)
    assert same(fraction.model, given.model)
    assert np.array_equal(fraction.history["validation_loss"], given.history["validation_loss"])


@pytest.mark.parametrize("fraction", [0, 1, 1.5, -0.1, np.nan])
def test_bad_fractions(fraction):
    with pytest.raises(ValueError, match="validation: expected"):
        dsmfast.train(rows(), 8, 0.5, validation=fraction)


class TestGoingOn:
    """``init=result``: pieces are the whole, to the bit."""

    def test_an_epoch_that_was_cut_short_is_begun_anew(self):
        options = {"n_hidden": 8, "sigma": 0.5, "epochs": 2}
        first = dsmfast.train(rows(), **options)
        expected = dsmfast.train(rows(), **options, init=first)
        # As if steps of an epoch that has not ended were in it.
        first = replace(first, state=first.state._replace(sums=np.ones(1)))
        assert same(dsmfast.train(rows(), **options, init=first).model, expected.model)

    @pytest.mark.parametrize("optimizer", ["adam", "sgd", dsmfast.SGD(momentum=0.0)])
    @pytest.mark.parametrize("objective", ["dsm", "ism"])
    def test_pieces_are_the_whole(self, optimizer, objective, dtype):
        options = {
            "optimizer": optimizer,
            "objective": objective,
            "schedule": "constant",
            "batch_size": 32,
            "dtype": dtype,
            "seed": 5,
        }
        X = rows(dtype=dtype)
        whole = dsmfast.train(X, 8, 0.5, epochs=5, **options)
        part = dsmfast.train(X, 8, 0.5, epochs=2, **options)
        part = pickle.loads(pickle.dumps(part))
        rest = dsmfast.train(X, 8, 0.5, epochs=3, init=part, **options)
        assert same(rest.model, whole.model)
        assert rest.steps == whole.steps
        losses = np.append(part.history["loss"], rest.history["loss"])
        assert np.array_equal(losses, whole.history["loss"])

    def test_the_schedule_is_that_of_the_new_run(self):
        first = dsmfast.train(rows(), 8, 0.5, epochs=3)
        rates = []
        dsmfast.train(
            rows(),
            8,
            0.5,
            epochs=2,
            init=first,
            learning_rate=1e-3,
            callbacks=[lambda s: rates.append((s.epoch, s.learning_rate))],
        )
        assert rates == [(1, 1e-3), (2, 5e-4)]

    def test_a_model_starts_the_optimizer_anew(self):
        first = dsmfast.train(rows(), 8, 0.5, epochs=3, schedule="constant")
        going_on = dsmfast.train(rows(), 8, 0.5, epochs=1, init=first)
        anew = dsmfast.train(rows(), 8, 0.5, epochs=1, init=first.model)
        assert not same(going_on.model, anew.model)
        assert anew.steps == 1

    def test_the_result_stays_as_it_is(self):
        first = dsmfast.train(rows(), 8, 0.5, epochs=1)
        before = first.model.W.copy()
        dsmfast.train(rows(), 8, 0.5, epochs=1, init=first)
        assert np.array_equal(first.state.parameters[0], before)

    def test_another_optimizer_is_refused(self):
        first = dsmfast.train(rows(), 8, 0.5, epochs=1)
        with pytest.raises(ValueError, match="init: expected a result of the same optimizer"):
            dsmfast.train(rows(), 8, 0.5, epochs=1, init=first, optimizer="sgd")


def test_a_model_says_how_it_was_trained():
    result = dsmfast.train(rows(), 8, 0.5, epochs=2, seed=7, objective="ism", curvature_penalty=0.1)
    record = result.model.training
    expected = {"objective": "ism", "curvature_penalty": 0.1, "epochs": 2, "seed": 7, "rows": 100}
    assert {name: record[name] for name in expected} == expected
    assert record["version"] == dsmfast.__version__
    assert record["optimizer"]["name"] == "Adam"
    record["seed"] = 0
    assert result.model.training["seed"] == 7  # a copy
    assert pickle.loads(pickle.dumps(result.model)).training == result.model.training
    assert dsmfast.ScoreModel.initialize(2, 3, 0.5).training == {}
    W, b, c = result.model.W, result.model.b, result.model.c
    for bad, message in ((3, "expected a dict"), ({"a": np.ones(2)}, "values that JSON can")):
        with pytest.raises((TypeError, ValueError), match=f"training: .*{message}"):
            dsmfast.ScoreModel(W, b, c, 0.5, training=bad)


def test_a_model_outlives_the_package(dtype):
    """The formula of ``to_dict``."""
    x = rows(7, 5, dtype)
    model = dsmfast.train(rows(dtype=dtype), 8, 0.5, epochs=2, dtype=dtype).model
    values = model.to_dict()
    W, b, c, sigma = (values[name] for name in ("W", "b", "c", "sigma"))
    a = x @ W.T + b
    energy = (0.5 * (x * x).sum(1) - x @ c - np.logaddexp(0, a).sum(1)) / sigma**2
    score = ((1 / (1 + np.exp(-a))) @ W + c - x) / sigma**2
    assert relative_error(model.energy(x), energy) <= PARITY[dtype]
    assert relative_error(model.score(x), score) <= PARITY[dtype]
    values["W"][:] = 0  # arrays of one's own
    assert model.W.any()
    assert same(dsmfast.ScoreModel(**model.to_dict()), model)


class TestProgress:
    def test_a_bar_on_a_terminal(self, capsys, monkeypatch):
        pytest.importorskip("tqdm")
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        slow = [lambda state: time.sleep(0.06)]  # the bar is drawn at most ten times a second
        dsmfast.train(rows(), 8, 0.5, epochs=4, progress=True, callbacks=slow)
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "epoch 2/4" in shown.err or "epoch 3/4" in shown.err
        assert "rows/s, loss " in shown.err

    def test_lines_elsewhere_if_asked(self, capsys, monkeypatch):
        now = [0.0]
        clock = SimpleNamespace(perf_counter=lambda: now[0])
        monkeypatch.setattr("dsmfast._system.progress.time", clock)

        def pass_time(state):
            now[0] += 0.3

        run = {"epochs": 6, "validation": rows(), "progress": True, "callbacks": [pass_time]}
        dsmfast.train(rows(), 8, 0.5, **run)
        shown = capsys.readouterr()
        assert shown.out == ""
        lines = shown.err.splitlines()
        # The first, one a second, and one for the end.
        assert [line.split()[2] for line in lines] == ["1", "5", "6"]
        for line in lines:
            assert line.startswith("dsmfast: epoch ")
            assert " of 6, loss " in line
            assert ", validation " in line
            assert re.search(r" rows/s(, \d+ s left)?$", line)
        assert lines[-1].endswith(" rows/s")  # nothing is left
        assert " s left" in lines[0]

    def test_silence_elsewhere(self, capsys):
        dsmfast.train(rows(), 8, 0.5, epochs=2)
        dsmfast.train(rows(), 8, 0.5, epochs=2, progress=False)
        assert capsys.readouterr() == ("", "")

    def test_a_long_epoch_is_told_in_pieces(self, capsys, monkeypatch):
        monkeypatch.setattr("dsmfast._run.stepper.PIECE", 1e-9)
        monkeypatch.setattr("dsmfast._system.progress.BETWEEN_LINES", 0.0)
        result = dsmfast.train(rows(), 8, 0.5, epochs=2, batch_size=10, progress=True)
        shown = capsys.readouterr().err.splitlines()
        assert "dsmfast: epoch 0.5 of 2" in " ".join(shown)
        whole = dsmfast.train(rows(), 8, 0.5, epochs=2, batch_size=10)
        assert same(result.model, whole.model)


def test_an_error_with_a_result_of_its_own_comes_out_as_it_is():
    class TheirError(Exception):
        @property
        def result(self):
            return "theirs"

    def fail(state):
        raise TheirError

    with pytest.raises(TheirError) as caught:
        dsmfast.train(rows(), 8, 0.5, epochs=2, callbacks=[fail])
    assert caught.value.result == "theirs"
