"""MODEL, then DATA, in all commands; and the options that scripts have from before."""

import shlex
from pathlib import Path

import numpy as np
import pytest

import dsmfast
from dsmfast.cli import main

pytest.importorskip("safetensors")

# Each with the operands as they are, as they have been, and further options.
COMMANDS = {
    "energy": ("energy M D", "energy D --model M"),
    "score": ("score M D", "score D --model M"),
    "transform": ("transform M D", "transform D --model M"),
    "denoise": ("denoise M D", "denoise D --model M"),
    "sample": ("sample M --count 3", "sample --model M --count 3"),
    "sample, rows completed": (
        "sample M GAPS --count 2",
        "sample --model M --given GAPS --count 2",
    ),
    "impute": ("impute M GAPS --draws 3", "impute GAPS --model M --draws 3"),
    "normalize": ("normalize M", "normalize --model M"),
    "normalize, with rows": ("normalize M D --chains 9", "normalize --model M --data D --chains 9"),
    "connection": ("connection M D", "connection D --model M"),
    "plot": ("plot energy M D", "plot energy D --model M"),
    "plot, without rows": ("plot filters M", "plot filters --model M"),
}
ROWS = dsmfast.normals(0, 0, 0, np.arange(30), 2)
PLACES = {"M": "model.safetensors", "D": "rows.npy", "GAPS": "gaps.csv"}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", ROWS)
    (tmp_path / "gaps.csv").write_text("0.5,\n,1\n")
    dsmfast.ScoreModel.initialize(2, 4, 0.7).save("model.safetensors")
    return tmp_path


def run(line, capfd):
    """Return what a command writes: its file, if it is to write one, and what it says."""
    words = [PLACES.get(word, word) for word in line.split()]
    name = words[0]
    ending = {"plot": ".png", "normalize": ".safetensors", "connection": None}.get(name, ".npy")
    out = [] if ending is None else ["--out", f"out{ending}"]
    if name == "plot":
        pytest.importorskip("matplotlib")
        out += ["--image-shape", "1", "2"] if "filters" in words else []
    if name == "sample":
        out += ["--burn-in", "2"]
    assert main([*words, *out]) == 0, capfd.readouterr().err
    written = Path(out[1]).read_bytes() if out else b""
    return written, capfd.readouterr()


@pytest.mark.parametrize("command", COMMANDS)
def test_both_spellings(command, capfd):
    """They come to the same, and options may stand anywhere between."""
    now, before = COMMANDS[command]
    expected = run(now, capfd)
    assert run(before, capfd) == expected
    name, *operands = before.split()
    if "--model" in operands:  # first
        at = operands.index("--model")
        operands = operands[at : at + 2] + operands[:at] + operands[at + 2 :]
        kind = [operands.pop(2)] if name == "plot" else []
        assert run(" ".join([name, *kind, *operands]), capfd) == expected
    if " M D" in now or " M GAPS" in now:
        apart = now.replace(" M ", " M --traceback ")
        assert run(apart, capfd) == expected


def test_rows_are_those_of_the_model(capfd):
    written, _ = run("energy M D", capfd)
    assert written
    model = dsmfast.load("model.safetensors")
    assert np.array_equal(np.load("out.npy"), model.energy(ROWS))


@pytest.mark.parametrize(
    ("line", "got"),
    [
        ("energy", "expected MODEL DATA, got neither"),
        ("energy D", "expected MODEL DATA, got only D"),
        ("energy --model M", "expected MODEL DATA, got only --model M"),
        ("energy M D --model M", "expected MODEL DATA, got M D --model M"),
        ("energy '' D", "expected MODEL DATA, got '' D"),
        ("energy D --model ''", "expected MODEL DATA, got D --model ''"),
        ("sample M --given ''", "expected MODEL [DATA], got M --given ''"),
        ("denoise", "expected MODEL DATA ..., got neither"),
        ("denoise D", "expected MODEL DATA ..., got only D"),
        ("score --model M", "expected MODEL DATA, got only --model M"),
        ("transform D", "expected MODEL DATA, got only D"),
        ("impute M GAPS --model M", "expected MODEL DATA, got M GAPS --model M"),
        ("sample", "expected MODEL [DATA], got neither"),
        ("sample --given GAPS", "expected MODEL [DATA], got only --given GAPS"),
        ("sample M GAPS --given GAPS", "expected MODEL [DATA], got M GAPS --given GAPS"),
        ("sample M GAPS --model M", "expected MODEL [DATA], got M GAPS --model M"),
        ("normalize", "expected MODEL [DATA], got neither"),
        ("normalize --data D", "expected MODEL [DATA], got only --data D"),
        ("normalize M D --data D", "expected MODEL [DATA], got M D --data D"),
        ("connection", "expected [MODEL] DATA, got neither"),
        ("connection --model M", "expected [MODEL] DATA, got --model M"),
        ("connection M D --model M", "expected [MODEL] DATA, got M D --model M"),
        ("plot filters", "expected MODEL [DATA], got neither"),
        ("plot energy M D --model M", "expected MODEL [DATA], got M D --model M"),
    ],
)
def test_both_or_neither(line, got, capfd):
    """A line that says what the command takes, and what came."""
    words = [PLACES.get(word, word) for word in shlex.split(line)]
    out = ["--out", "x.png"] if words[0] == "plot" else []
    assert main([*words, *out]) == 2
    shown = capfd.readouterr()
    for letter, place in PLACES.items():
        got = " ".join(place if word == letter else word for word in got.split())
    assert (shown.out, shown.err) == ("", f"dsmfast: MODEL, DATA: {got}\n")


def test_one_operand_too_many(capfd):
    with pytest.raises(SystemExit):
        main(["energy", "model.safetensors", "rows.npy", "more.npy"])
    assert "unrecognized arguments: more.npy" in capfd.readouterr().err
