"""The commands that use a model, in a terminal and in pipes; every example of every help."""

import argparse
import functools
import io
import os
import re
import shlex
import signal
import sys
import warnings

import numpy as np
import pytest

import dsmfast
from dsmfast import cli, data
from dsmfast.cli import main
from dsmfast.cli.outputs import write_array

pytest.importorskip("sklearn")
pytest.importorskip("safetensors")


@pytest.fixture
def digits_model(tmp_path):
    model = dsmfast.train(data.digits(), 20, 0.3, epochs=1).model
    model.save(tmp_path / "digits.safetensors")
    return model, str(tmp_path / "digits.safetensors")


def read_csv(text):
    header, *lines = text.splitlines()
    cells = [[float(cell) for cell in line.split(",")] for line in lines]
    return header.split(","), np.array(cells)


WHAT = {
    "energy": ("energy", lambda m, x: m.energy(x)),
    "score": ("score", lambda m, x: m.score(x)),
    "transform": ("hidden", lambda m, x: m.hidden(x)),
    "denoise": ("x", lambda m, x: m.denoise(x)),
}


@pytest.mark.parametrize("command", WHAT)
class TestApply:
    def test_to_stdout(self, command, digits_model, capfdbinary):
        model, file = digits_model
        assert main([command, file, "digits"]) == 0
        shown = capfdbinary.readouterr()
        assert shown.err == b""
        name, of = WHAT[command]
        expected = of(model, data.digits())
        names, values = read_csv(shown.out.decode())
        width = 1 if expected.ndim == 1 else expected.shape[1]
        assert names == ([name] if width == 1 else [f"{name}_{i}" for i in range(width)])
        assert np.array_equal(values.astype(expected.dtype), expected.reshape(-1, width))

    @pytest.mark.parametrize("ending", [".npy", ".npz", ".csv", ".parquet"])
    def test_to_files_that_commands_read(self, command, ending, digits_model, tmp_path):
        if ending == ".parquet":
            pytest.importorskip("pyarrow")
        model, file = digits_model
        out = tmp_path / f"values{ending}"
        assert main([command, file, "digits", "--out", str(out)]) == 0
        expected = WHAT[command][1](model, data.digits())
        values = data.read_file(out)
        if ending in (".csv", ".parquet"):
            values = values.reshape(expected.shape)
        assert np.array_equal(values.astype(expected.dtype), expected)

    def test_mistakes(self, command, digits_model, tmp_path, capsys):
        _, file = digits_model
        np.save(tmp_path / "narrow.npy", np.ones((3, 2)))
        holes = np.full((600, 64), 0.5)
        holes[512, 7] = np.nan
        np.save(tmp_path / "nan.npy", holes)
        np.save(tmp_path / "cube.npy", np.ones((3, 8, 8)))
        (tmp_path / "words.csv").write_text("1,2\na,b\n")
        (tmp_path / "empty").mkdir()
        (tmp_path / "text.safetensors").write_text("hello")
        content = (tmp_path / "digits.safetensors").read_bytes()
        (tmp_path / "half.safetensors").write_bytes(content[:500])
        here = str(tmp_path)
        cases = [
            ([here + "/none", "digits"], f"{here}/none: No such file or directory"),
            (
                [here + "/empty", "digits"],
                "empty: expected model.safetensors in the directory",
            ),
            ([here + "/text.safetensors", "digits"], "not a readable safetensors file"),
            ([here + "/half.safetensors", "digits"], "not a readable safetensors file"),
            (
                [file, here + "/narrow.npy"],
                "expected 64 features, as the model was trained",
            ),
            ([file, here + "/nan.npy"], "got nan in row 512, column 7"),
            (
                [file, here + "/cube.npy"],
                "expected rows of features, got an array of shape",
            ),
            (
                [file, here + "/words.csv"],
                "words.csv: line 2, column 1: expected a number",
            ),
            (
                [file, "digits", "--out", "x.txt"],
                "--out: expected a file ending in .npy",
            ),
            ([file, "digits", "--out", here], "--out: expected a file ending in"),
            ([file, "digits", "--out", here + "/no/x.npy"], "--out: cannot write to"),
            (
                [file, "digits", "--threads", "0"],
                "threads: expected an integer of at le",
            ),
        ]
        for arguments, message in cases:
            assert main([command, *arguments]) == 2, arguments
            shown = capsys.readouterr()
            assert shown.out == ""
            assert message in shown.err
            assert shown.err.startswith("dsmfast: ")
            assert shown.err.count("\n") == 1


def test_a_model_trained_in_float64(tmp_path, capfdbinary):
    X = data.mixture(200).astype(np.float64)
    np.save(tmp_path / "X.npy", X)
    model = dsmfast.train(X, 5, 0.3, epochs=1, dtype="float64").model
    model.save(tmp_path / "model.safetensors")
    assert main(["energy", str(tmp_path), str(tmp_path / "X.npy")]) == 0
    _, values = read_csv(capfdbinary.readouterr().out.decode())
    assert np.array_equal(values[:, 0], model.energy(X))


def test_patience(tmp_path, capsys):
    options = ["--hidden", "30", "--sigma", "0.1", "--epochs", "3000", "--schedule", "constant"]
    assert main(["train", "digits", *options, "--patience", "5", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    best = int(re.search(r"the model is that of epoch (\d+), of the", shown).group(1))
    with (tmp_path / "history.csv").open() as table:
        lines = table.read().splitlines()
    losses = [float(line.split(",")[3]) for line in lines[1:]]
    assert lines[0] == "epoch,loss,seconds,validation_loss"
    assert 1 + np.argmin(losses) == best == len(losses) - 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_ended_goes_on(number, tmp_path, capsys):
    """SIGTERM, as from a queue whose time is up; what comes then is the same as without."""
    command = ["train", "spiral", "--epochs", "60", "--hidden", "20"]
    kept = [*command, "--resume", "--out", str(tmp_path / "kept")]
    ended = []

    def end(state):
        if state.epoch == 20:
            ended.append(number)
            os.kill(os.getpid(), number)

    train = dsmfast.training.train
    with pytest.MonkeyPatch.context() as patch:
        listening = functools.partial(train, callbacks=[end])
        patch.setattr("dsmfast.training.train", listening)
        assert main(kept) == 128 + number
    assert ended == [number]
    shown = capsys.readouterr()
    assert "interrupted after 320 steps; this is the state so far" in shown.out
    assert shown.err == ""
    for arguments in ([*command, "--out", str(tmp_path / "whole")], kept):
        assert main(arguments) == 0
    models = [dsmfast.load(tmp_path / name / "model.safetensors") for name in ("whole", "kept")]
    assert np.array_equal(models[0].W, models[1].W)


def test_resume_under_other_names(tmp_path, capsys):
    command = ["train", str(tmp_path / "X.csv"), "--epochs", "2", "--out", str(tmp_path / "out")]
    values = "\n".join(f"{i},{i % 7}" for i in range(-20, 20))
    (tmp_path / "X.csv").write_text(f"width,height\n{values}\n")
    assert main([*command, "--resume"]) == 0
    (tmp_path / "X.csv").write_text(f"height,width\n{values}\n")
    capsys.readouterr()
    assert main([*command, "--resume"]) == 2
    told = capsys.readouterr().err
    assert "is of another run: its columns were width, height and are height, width" in told
    assert dsmfast.load(tmp_path / "out").feature_names == ("width", "height")
    assert main(command) == 0


def test_resume_of_another_run(tmp_path, capsys):
    command = ["train", "spiral", "--epochs", "2", "--checkpoint", "10", "--out", str(tmp_path)]
    assert main(command) == 0
    capsys.readouterr()
    assert main([*command, "--resume", "--seed", "1"]) == 2
    shown = capsys.readouterr().err
    assert "is of another run: seed was 0 and is 1" in shown
    assert shown.count("\n") == 1


def test_a_file_by_windows(tmp_path, capsys):
    X = data.mixture(1000)
    np.save(tmp_path / "X.npy", X)
    command = ["train", str(tmp_path / "X.npy"), "--out", str(tmp_path / "out"), "--epochs", "3"]
    assert main([*command, "--window", "300"]) == 0
    assert "800 rows to train on, 200 held out, 2 features" in capsys.readouterr().out
    model = dsmfast.load(tmp_path / "out" / "model.safetensors")
    expected = dsmfast.train(X[:800], epochs=3, window=300, sigma_max="auto").model
    assert np.array_equal(model.W, expected.W)
    assert main(["train", "digits", "--out", str(tmp_path), "--window", "300"]) == 2
    assert "--window: expected a .npy file with it, got digits" in capsys.readouterr().err
    assert main([*command, "--window", "3"]) == 2
    assert "window: expected at least batch_size=256 rows, got 3" in capsys.readouterr().err


def test_verbose(tmp_path, capsys):
    """Progress goes to stderr, and only if asked where that is no terminal."""
    command = ["train", "spiral", "--epochs", "3", "--out", str(tmp_path)]
    assert main(command) == 0
    quiet = capsys.readouterr()
    assert quiet.err == ""
    assert main([*command, "--verbose"]) == 0
    told = capsys.readouterr()
    assert told.err.splitlines()[-1].startswith("dsmfast: epoch 3 of 3, loss ")
    assert told.out.splitlines()[:2] == quiet.out.splitlines()[:2]


def test_info_of_a_model(digits_model, capsys):
    assert main(["info", digits_model[1]]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert main(["info", "--model", digits_model[1]]) == 0  # as it was once spelled
    assert capsys.readouterr().out.splitlines() == lines
    assert main(["info", "here", "--model", "there"]) == 2
    assert "MODEL: expected one, got here --model there" in capsys.readouterr().err
    expected = {"features: 64", "hidden units: 20", "sigma: 0.3", "training, objective: dsm"}
    assert expected <= set(lines)
    assert any(line.startswith("training, optimizer: Adam (beta1 0.9") for line in lines)


def test_bench(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a model that has learned nothing, too
        assert main(["bench", "--seconds", "0.01", "--shapes", "8,2,4", "16,32,8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[-2:]] == [["8,", "2,", "4"], ["16,", "32,", "8"]]
    for line in lines[-2:]:
        ours, _, numpys, ratio = (float(word.replace(",", "")) for word in line.split()[-4:])
        assert ours > 0
        assert ratio == pytest.approx(numpys / ours, rel=0.1, abs=0.02)
    with pytest.raises(SystemExit):
        main(["bench", "--shapes", "8,2"])
    assert "expected three integers of at least 1, as in 128,2,64" in capsys.readouterr().err


def commands():
    """Each subcommand's parser."""
    every = cli.parser()._actions
    (actions,) = (a for a in every if isinstance(a, argparse._SubParsersAction))
    return actions.choices


def examples():
    for name, parser in commands().items():
        lines = [line.strip() for line in (parser.epilog or "").splitlines()]
        yield name, [line for line in lines if line.startswith("dsmfast ")]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the files that the examples speak of."""
    pytest.importorskip("PIL")
    from sklearn.datasets import load_sample_images

    from dsmfast import images

    folder = tmp_path_factory.mktemp("examples")
    rng = np.random.default_rng(0)
    pictures = rng.random((200, 2)) @ rng.random((2, 560))
    np.savez(folder / "rows.npz", X=pictures, y=np.arange(200))
    np.savetxt(folder / "train.csv", rng.standard_normal((100, 3)), delimiter=",")
    np.savetxt(folder / "test.csv", rng.standard_normal((10, 3)), delimiter=",")
    (folder / "gaps.csv").write_text("a,b\n1.5,\n,-1\n0.5,2\n")
    crop = load_sample_images().images[0][100:150, 200:260] / 255
    images.write(folder / "photo.png", crop)
    images.write(folder / "noisy.png", crop)
    return folder


@pytest.mark.slow
def test_every_example_of_every_help_runs(workplace, monkeypatch, capsys):
    """In the order of the help: what train writes is what the others read."""
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(workplace)
    found = dict(examples())
    drawing = {"sample", "impute", "normalize"}
    others = {"train", "outliers", "connection", "plot", "info", "bench"}
    assert set(found) == set(WHAT) | drawing | others
    for name, lines in found.items():
        assert lines, f"{name} has no example"
        for line in lines:
            words = shlex.split(line)[1:]
            if name == "train" and "photo.png" in words:  # quickly
                words += ["--patches", "2000"]
            if name == "bench":
                words += ["--seconds", "0.01"]
            if "--epochs" in words:
                words += ["--epochs", "20"]
            if name == "normalize":  # quickly
                words += ["--temperatures", "200"]
            assert main(words) == 0, (line, capsys.readouterr().err)
    told = capsys.readouterr().err.splitlines()
    known = (  # of 20 epochs, and of the header that is there
        "the energy has a mode away from the rows",
        "the trained score is worse than a score of zero",
        "gaps.csv: used line 1 as the header: a, b",
    )
    assert [line for line in told if not any(words in line for words in known)] == []


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_in_csv_are_the_shortest_that_read_back(dtype, tmp_path):
    rows = np.array(
        [[61.79, 0.1, 5.0], [-0.0, 1e-30, 100.0], [np.inf, -12.5, 1e20], [np.nan, 1 / 3, 2e-5]],
        dtype,
    )
    write_array(tmp_path / "x.csv", rows, "x")
    third = {"float32": "0.33333334", "float64": "0.3333333333333333"}[dtype]
    expected = ["x_0,x_1,x_2", "61.79,0.1,5", "-0,1e-30,100", "inf,-12.5,1e+20"]
    assert (tmp_path / "x.csv").read_text().splitlines() == [*expected, f"nan,{third},2e-05"]
    many = np.random.default_rng(0).standard_normal((9000, 2)) * [1e-3, 1e9]
    write_array(tmp_path / "x.csv", many.astype(dtype), "x")
    found = np.loadtxt(tmp_path / "x.csv", delimiter=",", skiprows=1).astype(dtype)
    assert np.array_equal(found, many.astype(dtype))


def test_help_reads_on_a_narrow_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    for name in commands():
        with pytest.raises(SystemExit) as caught:
            main([name, "--help"])
        assert caught.value.code == 0
        shown = capsys.readouterr().out
        assert shown.startswith(f"usage: dsmfast {name} ")
        assert "examples:\n" in shown


def test_output_goes_where_stdout_is_put(digits_model, monkeypatch):
    """Not past a stdout that the caller has replaced."""
    buffer = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", buffer)
    assert main(["energy", digits_model[1], "digits"]) == 0
    assert buffer.buffer.getvalue().startswith(b"energy\n")
