"""What an earlier version wrote and computed: files are read, and bits are the same."""

import json

import numpy as np
import pytest
from golden import public, write

import dsmfast
from dsmfast import cli, data
from problems import PARITY

STORED = json.loads(write.BITS.read_text())
HELD = STORED["sets"].get(write.instruction_set(), {"compiler": "", "results": {}})

# Another compiler fuses and orders sums otherwise. Along a training that grows: Adam divides by
# gradients that may be next to nothing.
TRAINED = {"float32": 1e-3, "float64": 1e-10}


def check(name, dtype, arrays, tolerance):
    """The same bits under the same compiler; under another, the same within a tolerance."""
    if not HELD["results"]:
        pytest.skip(f"no golden bits recorded for {write.instruction_set()}")
    digest, *measures = HELD["results"][name]
    if dsmfast.build_info()["compiler"] == HELD["compiler"]:
        assert write.bits(arrays) == digest, f"{name}: other bits than before"
    else:
        expected = np.array(measures)
        assert np.abs(write.measures(arrays) - expected).max() <= tolerance[dtype] * expected[0]


@pytest.fixture(scope="module", params=["float32", "float64"])
def computed(request):
    return request.param, write.results(request.param)


def test_results(computed):
    dtype, found = computed
    recorded = {name for name in HELD["results"] if name.startswith(dtype)}
    assert not recorded or recorded == {f"{dtype} {name}" for name in found}
    for name, arrays in found.items():
        check(f"{dtype} {name}", dtype, arrays, TRAINED if "training" in name else PARITY)


def test_what_is_made_of_integers_is_the_same_everywhere():
    assert {name: write.bits([v]) for name, v in write.integers().items()} == STORED["integers"]


def test_a_model():
    pytest.importorskip("safetensors")
    found, expected = dsmfast.load(write.HERE / write.MODEL), write.model("float32")
    for name in ("W", "b", "c"):
        assert getattr(found, name).dtype == np.float32
        assert np.array_equal(getattr(found, name), getattr(expected, name))
    assert (found.sigma, found.training) == (expected.sigma, expected.training)


def test_a_checkpoint_of_an_unfinished_run():
    safetensors = pytest.importorskip("safetensors.numpy")
    run = write.finished()
    assert (run.stop_reason, run.steps, len(run.history["loss"])) == ("finished", 30, 6)
    # That it went on, and did not begin again, is told by the time that its first epochs took.
    before = safetensors.load_file(write.HERE / write.CHECKPOINT)["history"]
    assert len(before) == 3
    assert all(
        seconds in epoch for seconds, epoch in zip(run.history["seconds"][:3], before, strict=True)
    )
    check("finished run", "float32", write.trained(run), TRAINED)


def test_a_history_of_the_command_line(tmp_path, capsys):
    pytest.importorskip("safetensors")
    old, new = write.HERE / write.HISTORY, tmp_path / "history.csv"
    write.write_history(new)
    header = old.read_text().splitlines()[0]
    assert new.read_text().splitlines()[0] == header == "epoch,loss,seconds,validation_loss"
    one, other = (np.delete(data.read_file(path), 2, axis=1) for path in (old, new))
    assert np.allclose(one, other, rtol=TRAINED["float32"], atol=0)


def test_a_history_is_drawn(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "history.svg"
    command = ["plot", "history", str(write.HERE / write.HISTORY), "--out", str(picture)]
    assert cli.main(command) == 0
    assert "<!-- held out -->" in picture.read_text()


def test_public_names_signatures_and_docstrings():
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    stored, found = json.loads((write.HERE / public.FILE).read_text()), public.public()
    differences = [
        f"{name}\n  before: {stored.get(name, 'absent')}\n  now:    {found.get(name, 'absent')}"
        for name in sorted({*stored, *found})
        if stored.get(name) != found.get(name)
    ]
    assert not differences, "\n".join(["the public names changed:", *differences])
