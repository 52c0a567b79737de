"""The command line: what a person types, first mistakes included."""

import csv
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import dsmfast
from dsmfast.cli import main

pytest.importorskip("sklearn")
pytest.importorskip("safetensors")


def test_path_and_draws(tmp_path, capsys):
    options = ["train", "spiral", "--hidden", "8", "--epochs", "1", "--out", str(tmp_path)]
    assert main([*options, "--path", "gram", "--draws", "2", "--antithetic"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("rows/s), gram path")
    assert main([*options, "--antithetic"]) == 2
    assert "antithetic: expected an even number of draws, got draws=1" in capsys.readouterr().err
    assert main([*options, "--path", "gram", "--objective", "esm_smoothed"]) == 2
    assert "path: expected 'explicit' or 'auto', got 'gram'" in capsys.readouterr().err


def test_train_on_digits(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out = tmp_path / "model"
    assert main(["train", "digits", "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    first, scales, files, closing = shown.out.splitlines()
    assert scales == "sigma_max: 8.6617, four times the spread of the rows"
    assert first == "digits: 1438 rows to train on, 359 held out, 64 features"
    words = closing.split()
    assert words[:2] == ["held-out", "dsm:"]
    before, after = float(words[2]), float(words[4])
    assert after < 0.6 * before
    assert closing.endswith("rows/s), explicit path")
    assert files == f"{out}: model.safetensors, history.csv, filters.png"
    model = dsmfast.load(out / "model.safetensors")
    assert model.W.shape == (128, 64)
    with (out / "history.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 21))
    assert float(rows[-1]["validation_loss"]) == pytest.approx(after, rel=0.1)
    assert (out / "filters.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_trained_is_what_the_library_trains(tmp_path):
    """The command is a thin layer: the same rows and options give the same bits."""
    from dsmfast import data

    options = ["--hidden", "20", "--sigma", "0.2", "--epochs", "3", "--seed", "4"]
    assert main(["train", "spiral", "--out", str(tmp_path), *options]) == 0
    rows, _ = data.split(data.load("spiral"), 0.2, 4)
    expected = dsmfast.train(rows, 20, 0.2, epochs=3, seed=4, sigma_max="auto").model
    assert np.array_equal(dsmfast.load(tmp_path / "model.safetensors").W, expected.W)
    assert main(["train", "spiral", "--out", str(tmp_path), *options, "--sigma-max", "none"]) == 0
    expected = dsmfast.train(rows, 20, 0.2, epochs=3, seed=4).model
    assert np.array_equal(dsmfast.load(tmp_path / "model.safetensors").W, expected.W)
    several = ["--sigma-max", "2", "--reference", "all", "--scale-exponent", "1", "--coarse", "0.3"]
    assert main(["train", "spiral", "--out", str(tmp_path), *options, *several]) == 0
    scales = {"sigma_max": 2, "reference": "all", "scale_exponent": 1, "coarse": 0.3}
    expected = dsmfast.train(rows, 20, 0.2, epochs=3, seed=4, **scales).model
    assert np.array_equal(dsmfast.load(tmp_path / "model.safetensors").W, expected.W)


@pytest.mark.parametrize(
    ("options", "takes"),
    [
        ([], True),
        (["--objective", "dae"], True),
        (["--objective", "ism"], False),
        (["--objective", "dae", "--corruption", "masking", "--corruption-level", "0.1"], False),
        (["--path", "gram"], False),
        (["--path", "gram", "--coarse-target", "row", "--sigma-max", "auto"], True),
        (["--sigma-max", "none"], False),
    ],
    ids=str,
)
def test_many_scales_where_the_objective_takes_them(options, takes, tmp_path, capsys):
    assert main(["train", "spiral", "--out", str(tmp_path), "--epochs", "1", *options]) == 0
    assert ("sigma_max: " in capsys.readouterr().out) == takes
    record = dsmfast.load(tmp_path / "model.safetensors").training
    assert ("sigma_max" in record) == takes


def test_a_mode_away_from_the_rows_is_told(tmp_path, capsys):
    options = ["--hidden", "256", "--epochs", "100"]
    assert main(["train", "mixture", "--out", str(tmp_path), *options]) == 0
    assert capsys.readouterr().err == ""
    options += ["--sigma-max", "none"]
    assert main(["train", "mixture", "--out", str(tmp_path), *options]) == 0
    told = capsys.readouterr().err
    assert told.startswith("dsmfast: the energy has a mode away from the rows, at (")
    assert told.endswith("; try --objective dsm with --sigma-max auto\n")
    assert told.count("\n") == 1


@pytest.mark.parametrize("kind", ["npy", "npz", "csv", "csv with a header"])
def test_train_on_files(kind, tmp_path, capsys):
    X = np.random.default_rng(0).random((50, 3))
    if kind == "npy":
        path = tmp_path / "rows.npy"
        np.save(path, X)
    elif kind == "npz":
        path = tmp_path / "rows.npz"
        np.savez(path, X=X, y=np.arange(50))
    else:
        path = tmp_path / "rows.csv"
        header = "a,b,c" if kind.endswith("header") else ""
        np.savetxt(path, X, delimiter=",", header=header, comments="")
    arguments = ["train", str(path), "--out", str(tmp_path / "out"), "--epochs", "1"]
    assert main(arguments + (["--key", "X"] if kind == "npz" else [])) == 0
    assert "40 rows to train on, 10 held out, 3 features" in capsys.readouterr().out
    assert not (tmp_path / "out" / "filters.png").exists()  # 3 features are no image


def write(path, content):
    path.write_text(content)
    return str(path)


def test_first_mistakes(tmp_path, capsys):
    """Each is one line on stderr, nothing on stdout, status 2."""
    np.save(tmp_path / "cube.npy", np.zeros((2, 3, 4)))
    np.save(tmp_path / "words.npy", np.array([["a", "b"]]))
    np.save(tmp_path / "objects.npy", np.array([[None, 1]]), allow_pickle=True)
    np.save(tmp_path / "nan.npy", np.where(np.arange(2000).reshape(1000, 2) == 1025, np.nan, 1.0))
    np.savez(tmp_path / "two.npz", X=np.ones((4, 2)), y=np.ones(4))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cube.npy").read_bytes()[:90])
    (tmp_path / "cut.npz").write_bytes((tmp_path / "two.npz").read_bytes()[:90])
    (tmp_path / "folder.npy").mkdir()
    words = write(tmp_path / "words.csv", "a,b\n1,2\n3,four\n")
    ragged = write(tmp_path / "ragged.csv", "1,2\n3,4,5\n")
    latin = str(tmp_path / "latin.csv")
    (tmp_path / "latin.csv").write_bytes("1,2\n3,\xf6\n".encode("latin-1"))
    semicolons = write(tmp_path / "semicolons.csv", "a,b\n1;2\n")
    empty = write(tmp_path / "empty.csv", "a,b\n")
    here = str(tmp_path)
    cases = [
        (["digit"], "digit: neither one of digits, mixture, patches, spiral nor a"),
        ([here + "/none.npy"], "No such file or directory"),
        ([here + "/rows.txt"], "expected a file ending in .npy, .npz, .csv, .csv.gz, .ts"),
        ([here + "/folder.npy"], "a directory, not a file"),
        ([here + "/cube.npy"], "expected rows of features, got an array of shape (2, 3, 4)"),
        ([here + "/words.npy"], "expected real numbers, got dtype <U1"),
        ([here + "/objects.npy"], "not a readable .npy file"),
        ([here + "/cut.npy"], "not a readable .npy file"),
        ([here + "/cut.npz"], "not a readable .npz file"),
        ([here + "/two.npz"], "which array? give its key; it holds X, y"),
        ([here + "/two.npz", "--key", "Z"], "no array 'Z'; it holds X, y"),
        (
            [here + "/two.npz", "--key", "y"],
            "expected rows of features, got an array of shape (4,)",
        ),
        (
            [here + "/nan.npy"],
            "/nan.npy: expected finite float32 values, got nan in row 512, column 1",
        ),
        ([words], "line 3, column 2: expected a number, got 'four'"),
        ([ragged], "line 2: expected 2 columns, got 3"),
        ([empty], "no rows of numbers"),
        (["digits", "--key", "X"], "digits: a key is for .npz files"),
        ([here], "expected a file or a directory of images (.png"),
        ([latin], "latin.csv: not UTF-8 text"),
        (
            [semicolons],
            "line 2: expected 2 columns, got 1: the header in line 1 has 2; if cells",
        ),
        (["digits", "--sigma", "0"], "sigma: expected a finite number > 0, got 0"),
        (["digits", "--hidden", "0"], "--hidden: expected an integer of at least 1, got 0"),
        (["digits", "--held-out", "1.5"], "--held-out: expected a number between 0 and 1"),
        (["digits", "--seed", "-1"], "seed: expected an integer of at least 0, got -1"),
        (["digits", "--out", ""], "--out: expected the name of a directory"),
    ]
    for arguments, message in cases:
        status = main(["train", "--out", str(tmp_path / "out"), *arguments])
        shown = capsys.readouterr()
        assert status == 2, arguments
        assert message in shown.err
        assert shown.err.startswith("dsmfast: ")
        assert shown.err.count("\n") == 1
        assert "Traceback" not in shown.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["trian"], "invalid choice: 'trian'"),
        (["train", "digits"], "the following arguments are required: --out"),
        (["train", "digits", "--out", "x", "--sigma", "big"], "expected a number or auto"),
    ],
)
def test_usage_errors(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    shown = capsys.readouterr()
    assert caught.value.code == 2
    assert message in shown.err
    assert shown.err.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(tmp_path, capsys):
    tmp_path.chmod(0o500)
    assert main(["train", "digits", "--out", str(tmp_path)]) == 2
    assert "Permission denied" in capsys.readouterr().err


def test_out_is_a_file(tmp_path, capsys):
    out = write(tmp_path / "out", "")
    assert main(["train", "digits", "--out", out]) == 2
    assert f"--out: {out} exists and is not a directory" in capsys.readouterr().err


def test_divergence_saves_the_last_finite_state(tmp_path, capsys):
    options = ["--learning-rate", "1e30", "--optimizer", "sgd", "--out", str(tmp_path)]
    assert main(["train", "digits", *options]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("dsmfast: training diverged at step ")
    assert shown.err.endswith("the last finite state is saved\n")
    assert shown.err.count("\n") == 1
    assert np.isfinite(dsmfast.load(tmp_path / "model.safetensors").W).all()


def test_files_are_those_of_this_run(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    (tmp_path / "other.txt").write_text("not ours")
    assert main(["train", "digits", "--epochs", "1", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "filters.png").exists()
    assert main(["train", "spiral", "--epochs", "1", "--out", str(tmp_path)]) == 0
    assert ": model.safetensors, history.csv\n" in capsys.readouterr().out
    assert not (tmp_path / "filters.png").exists()


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_writes_the_state_so_far(presses, tmp_path):
    """The second one comes while the files are written."""
    code = f"""
import os, signal, sys
from dsmfast.cli import main, train
write_run = train.write_run
def press():
    os.kill(os.getpid(), signal.SIGINT)
def slowly(*arguments):
    if {presses} == 2:
        press()
    return write_run(*arguments)
train.write_run = slowly
told = train.training.train
def interrupted(*arguments, **options):
    return told(*arguments, callbacks=[lambda state: press()], **options)
train.training.train = interrupted
sys.exit(main(["train", "spiral", "--out", {str(tmp_path)!r}]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (130, "")
    assert "interrupted after 16 steps; this is the state so far" in done.stdout
    assert dsmfast.load(tmp_path / "model.safetensors").n_features == 2


def test_ctrl_c_at_any_moment_of_training(tmp_path):
    """As it comes from a terminal, to a process of its own."""
    command = [sys.executable, "-m", "dsmfast", "train", "spiral", "--epochs", "1000000"]
    process = subprocess.Popen(
        [*command, "--verbose", "--out", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr.readline().startswith("dsmfast: epoch ")  # after a second
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted after" in out
    assert "Traceback" not in err
    assert dsmfast.load(tmp_path / "model.safetensors").n_features == 2


def test_a_closed_pipe_is_quiet():
    done = subprocess.run(
        f"{sys.executable} -m dsmfast info | true",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""


def test_info_and_version(capsys):
    assert main(["info"]) == 0
    assert f"version: {dsmfast.__version__}" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"dsmfast {dsmfast.__version__}\n"


def test_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "dsmfast", "info"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("version: ")


def test_train_by_every_objective(tmp_path, capsys):
    for objective in ("esm", "ism", "esm_smoothed", "ism_smoothed"):
        options = ["--objective", objective, "--hidden", "20", "--epochs", "3"]
        assert main(["train", "mixture", "--out", str(tmp_path / objective), *options]) == 0
        words = capsys.readouterr().out.splitlines()[-1].split()
        assert words[:2] == ["held-out", f"{objective}:"]
        assert float(words[4]) < float(words[2])


def test_train_with_a_score_from_a_file(tmp_path, capsys):
    from dsmfast import data

    X = data.mixture(500)
    np.save(tmp_path / "rows.npy", X)
    np.save(tmp_path / "score.npy", data.mixture_score(X))
    arguments = [str(tmp_path / "rows.npy"), "--objective", "esm", "--out", str(tmp_path / "out")]
    assert main(["train", *arguments, "--score", str(tmp_path / "score.npy")]) == 0
    assert "held-out esm" in capsys.readouterr().out
    np.save(tmp_path / "short.npy", X[:50])
    assert main(["train", *arguments, "--score", str(tmp_path / "short.npy")]) == 2
    assert "short.npy: expected shape (500, 2), as of DATA" in capsys.readouterr().err
    assert main(["train", *arguments]) == 2
    assert (
        "--score: objective 'esm' needs the score of the data, a file of shape (500, 2)"
        in capsys.readouterr().err
    )


def test_train_with_sigma_auto_and_from_coarse_to_fine(tmp_path, capsys):
    from dsmfast import data

    np.save(tmp_path / "rows.npy", data.mixture(1000))
    file = str(tmp_path / "rows.npy")
    assert main(["train", file, "--sigma", "auto", "--out", str(tmp_path)]) == 0
    rows, _ = data.split(data.mixture(1000), 0.2, 0)
    sigma = dsmfast.select_sigma(rows)
    assert dsmfast.load(tmp_path / "model.safetensors").sigma == sigma
    assert f"sigma: {sigma:.5g}, at which" in capsys.readouterr().out
    fine = ["--sigma", "1", "--sigma-end", "0.1", "--epochs", "4", "--out", str(tmp_path)]
    assert main(["train", file, *fine]) == 0
    assert main(["train", file, *fine, "--epochs", "1"]) == 2
    with (tmp_path / "history.csv").open() as table:
        widths = [float(row["sigma"]) for row in csv.DictReader(table)]
    assert widths == pytest.approx(np.geomspace(1, 0.1, 4), rel=1e-8)
    capsys.readouterr()
    assert main(["train", file, *fine, "--sigma-end", "0"]) == 2
    assert "--sigma-end: expected a finite number > 0, got 0" in capsys.readouterr().err


def test_train_with_options_of_an_objective(tmp_path, capsys):
    out = ["--out", str(tmp_path), "--epochs", "2", "--hidden", "10"]
    masking = ["--objective", "dae", "--corruption", "masking", "--corruption-level", "0.3"]
    assert main(["train", "digits", *out, *masking]) == 0
    salt = ["--objective", "dae", "--corruption", "salt_and_pepper", "--corruption-level", "0.3"]
    assert main(["train", "digits", *out, *salt, "--corruption-range", "-1", "2"]) == 0
    parzen = ["--objective", "esm_smoothed", "--parzen-data", "mixture"]
    assert main(["train", "mixture", *out, *parzen]) == 0
    assert main(["train", "digits", *out, *parzen]) == 2
    assert "mixture: expected 64 features, as digits has, got 2" in capsys.readouterr().err
    penalty = ["--curvature-penalty", "0.1"]
    assert main(["train", "mixture", *out, "--objective", "ism", *penalty]) == 0
    capsys.readouterr()
    assert main(["train", "mixture", *out, *penalty]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("dsmfast: curvature_penalty: objective 'dsm' does not take it")


def test_connection(tmp_path, capsys):
    assert main(["connection", "mixture", "--sigma", "0.4", "--points", "500"]) == 0
    first, *table = capsys.readouterr().out.splitlines()
    assert first == "mixture, and a model of 128 hidden units that is not trained"
    assert table[0] == "500 rows, 4 draws of noise each, sigma 0.4"
    assert any(line.startswith("esm - ism") and line.endswith("holds") for line in table)
    assert main(["train", "spiral", "--hidden", "9", "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    model = str(tmp_path / "model.safetensors")
    assert main(["connection", model, "spiral", "--draws", "1"]) == 0
    shown = capsys.readouterr().out
    assert f"spiral, and {tmp_path}" in shown
    assert "esm needs the score of the data" in shown
    assert main(["connection", model, "digits"]) == 2
    assert "digits: expected 2 features, as the model was trained" in capsys.readouterr().err
    assert main(["connection", model, "spiral", "--hidden", "3"]) == 2
    assert f"--hidden: expected only without MODEL; {model} has its own" in capsys.readouterr().err


def test_connection_says_by_its_status_that_an_identity_fails(tmp_path):
    from dsmfast import data

    np.save(tmp_path / "rows.npy", data.mixture(1000))
    np.save(tmp_path / "wrong.npy", -data.mixture_score(data.mixture(1000)))
    wrong = [str(tmp_path / "rows.npy"), "--score", str(tmp_path / "wrong.npy")]
    assert main(["connection", *wrong]) == 1


def test_further_mistakes(tmp_path, capsys, monkeypatch):
    """Each is a sentence that names the argument or the file, what was expected and what came."""
    pytest.importorskip("PIL")
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).standard_normal((40, 3))
    np.savetxt("rows.csv", rows, delimiter=",", header="a,b,c", comments="")
    np.savetxt("pipes.csv", rows, delimiter="|")
    np.savetxt("other.csv", rows, delimiter=",", header="a,b,d", comments="")
    np.savetxt("five.csv", np.hstack([rows, rows[:, :2]]), delimiter=",")
    np.save("one.npy", rows[:1])
    for name in ("words.png", "words.txt"):
        write(tmp_path / name, "hello")
    write(tmp_path / "file", "")
    dsmfast.ScoreModel.initialize(3, 4, 0.5).save("model.safetensors")
    dsmfast.ScoreModel.initialize(64, 4, 0.1).save("patches.safetensors")
    from dsmfast import images

    images.write("grey.png", np.zeros((9, 9)))
    images.write("black.gif", np.zeros((9, 9)))
    out = ["--out", "out"]
    model = "MODEL: expected a directory that train wrote, or a .safetensors file, got "
    cases = [
        (["train", "pipes.csv", *out], "; if cells are separated so, say separator '|'"),
        (["train", "one.npy", *out], "one.npy: expected at least two rows, one of them to hold"),
        (["train", "words.png", *out], "words.png: not a readable image: of no known format"),
        (["train", "rows.csv", "--out", "file/out"], "--out: cannot write to file/out: Not a dir"),
        (
            [
                "train",
                "rows.csv",
                "--objective",
                "esm_smoothed",
                "--parzen-data",
                "other.csv",
                *out,
            ],
            "other.csv: no column c, which rows.csv has; it has a, b, d",
        ),
        (["outliers", "one.npy"], "one.npy: expected at least two rows, got 1"),
        (["outliers", "rows.csv", "other.csv"], "other.csv: no column c, which rows.csv has; it"),
        (["outliers", "rows.csv", "five.csv"], "five.csv: expected 3 features, as rows.csv has, g"),
        (["outliers", "rows.csv", "black.gif"], "black.gif: expected a file ending in .npy, .npz"),
        (["outliers", "rows.csv", "--seed", "-1"], "--seed: expected an integer of at least 0"),
        (
            ["outliers", "rows.csv", "--sigma", "1", "--ranking", "energy"],
            "--sigma: expected only with displacement, got energy",
        ),
        (["energy", "rows.csv", "model.safetensors"], f"{model}rows.csv; MODEL comes before DATA"),
        (["energy", "digits", "model.safetensors"], f"{model}digits; MODEL comes before DATA"),
        (
            ["denoise", "black.gif", "grey.png", "--out", "x.png"],
            f"{model}black.gif; MODEL comes before DATA",
        ),
        (["info", "words.txt"], "words.txt: not a readable safetensors file"),
        (
            ["denoise", "patches.safetensors", "grey.png", "black.gif", "--out", "file/out"],
            "--out: cannot write to file/out: Not a directory",
        ),
        (
            ["denoise", "patches.safetensors", "words.png", "--out", "x.png"],
            "words.png: not a readable image: of no known format",
        ),
    ]
    for arguments, message in cases:
        assert main(arguments) == 2, arguments
        told = capsys.readouterr().err.splitlines()
        assert message in told[-1]
        assert all(line.startswith("dsmfast: ") for line in told)
        assert "object at" not in told[-1]


def test_what_is_decided_of_rows_to_judge_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).standard_normal((40, 3))
    np.savetxt("train.csv", rows, delimiter=",", header="a,b,c", comments="")
    np.savetxt("test.csv", rows[:, ::-1], delimiter=",", header="c,b,a", comments="")
    np.savetxt("more.csv", rows, delimiter=",", header="a,b,c", comments="")
    write(tmp_path / "more.csv", "a,b,c,d\n1,2,3,4\n0,0,0,0\n")
    assert main(["outliers", "train.csv", "test.csv"]) == 0
    first, second = capsys.readouterr().err.splitlines()
    assert first == "dsmfast: train.csv: used line 1 as the header: a, b, c"
    assert second.endswith("c, b, a; took the columns by their names, in the order of train.csv")
    assert main(["outliers", "train.csv", "more.csv"]) == 0
    _, second = capsys.readouterr().err.splitlines()
    assert second.endswith("; left out d, which train.csv lacks")
    write(tmp_path / "more.csv", "a,b,c,size of the model\n1,2,3,4\n0,0,0,0\n")
    assert main(["outliers", "train.csv", "more.csv"]) == 0
    assert "left out size of the model, which train.csv lacks" in capsys.readouterr().err
