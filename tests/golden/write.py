"""What a version computes and writes, kept for later ones to be compared with.

    python tests/golden/write.py              # adds the instruction set in use, and what is missing
    python tests/golden/write.py --anew       # replaces what is recorded

Bits belong to an instruction set and a compiler, of a release build. ``DSMFAST_ISA`` names another
set that the machine has. The files are of the version that first wrote them: what reads them says
that old files are still understood.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import shutil
import tempfile
from pathlib import Path

import numpy as np

import dsmfast
from dsmfast import _core, cli

HERE = Path(__file__).parent
BITS = HERE / "bits.json"
MODEL, CHECKPOINT, HISTORY = "model.safetensors", "checkpoint.safetensors", "history.csv"


def spread(n, d, dtype="float64"):
    """Return points in [-1, 1] that no generator and no rounding has a say in."""
    numbers = np.arange(1, n * d + 1, dtype=np.uint64)
    for factor in (2654435761, 2246822519, 3266489917):
        numbers = numbers * np.uint64(factor) % np.uint64(2**32)
        numbers ^= numbers >> np.uint64(15)
    return ((numbers >> np.uint64(12)) / 2.0**19 - 1).reshape(n, d).astype(dtype)


def model(dtype, d=9, h=13, sigma=0.5):
    numbers = spread(h + 2, max(d, h), dtype)
    return dsmfast.ScoreModel(numbers[:h, :d], numbers[h, :h], numbers[h + 1, :d], sigma)


def score(x):
    return -0.5 * x


CASES = {
    "dae": {"objective": "dae"},
    "dae masking": {"objective": "dae", "corruption": "masking", "corruption_level": 0.25},
    "dsm": {"objective": "dsm"},
    "dsm gram": {"objective": "dsm", "path": "gram", "draws": 4, "antithetic": True},
    "esm": {"objective": "esm", "score": score},
    "ism": {"objective": "ism", "curvature_penalty": 0.5},
    "ism gram": {"objective": "ism", "curvature_penalty": 0.5, "path": "gram"},
    "esm_smoothed": {"objective": "esm_smoothed"},
    "ism_smoothed": {"objective": "ism_smoothed"},
}
TRAININGS = {
    "adam": {"draws": 2},
    "sgd": {"optimizer": "sgd", "learning_rate": 0.01, "schedule": "constant"},
    "sgd gram": {"optimizer": "sgd", "learning_rate": 0.01, "path": "gram"},
    "adam gram": {"path": "gram", "draws": 2, "antithetic": True},
    "few features": {"few": True},
    "windows": {"window": 48, "seed": 3},
    "ism": {"objective": "ism"},
    "esm_smoothed": {"objective": "esm_smoothed"},
}


def integers():
    """Return what is made of integers alone: the same on every machine, by name."""
    noise = dsmfast.normals(7, 3, 1, [0, 5, 2**43], 500, "float64")
    return {
        # To 6 digits, which rounding of logarithms and sines does not reach.
        "noise": np.round(noise * 2.0**20).astype("<i8"),
        "shuffle": _core.shuffled_rows(11, 2, 1000).astype("<i8"),
        "shuffle in windows": _core.shuffled_rows(11, 2, 1000, 96).astype("<i8"),
    }


def results(dtype):
    """Return what the kernels compute, by name: tuples of arrays."""
    x, net = spread(110, 9, dtype), model(dtype)
    found = {"normals": (dsmfast.normals(7, 3, 1, [0, 5, 2**43], 100, dtype),)}
    for name in ("hidden", "energy", "score", "denoise"):
        found[name] = (getattr(net, name)(x),)
    found["decode"] = (net.decode(net.hidden(x)),)
    for name in ("parzen_denoise", "parzen_score", "parzen_log_density"):
        found[name] = (getattr(dsmfast, name)(x[:20], x, 0.5),)
    found["select_sigma"] = (np.array([dsmfast.select_sigma(x)]),)
    for name, options in CASES.items():
        options = {"path": "explicit", **options}
        value, gradient = dsmfast.loss_and_grad(net, x, seed=5, step=2, **options)
        found[f"loss of {name}"] = (np.array([value]), *gradient)
    for name, options in TRAININGS.items():
        options = {"path": "explicit", "seed": 1, **options}
        X = x[:, :2] if options.pop("few", False) else x
        run = dsmfast.train(X, 13, 0.5, epochs=3, batch_size=32, dtype=dtype, **options)
        found[f"training: {name}"] = trained(run)
    return found


def trained(run):
    return run.model.W, run.model.b, run.model.c, run.history["loss"]


class StopError(Exception):
    pass


def train_on(checkpoint, **more):
    """Train the run that the checkpoint is of, from where it is."""
    x = spread(200, 5, "float32")
    return dsmfast.train(
        x[50:],
        6,
        0.4,
        epochs=6,
        batch_size=32,
        path="explicit",
        validation=x[:50],
        patience=3,
        seed=4,
        checkpoint=checkpoint,
        resume=True,
        progress=False,
        **more,
    )


def write_checkpoint(path):
    def stop(state):
        if state.epoch == 3:
            raise StopError

    try:
        train_on(path, callbacks=[stop])
    except StopError:
        return
    raise RuntimeError("the run was not stopped")


def write_history(path):
    with tempfile.TemporaryDirectory() as directory:
        np.save(f"{directory}/x.npy", spread(100, 5, "float32"))
        command = f"train {directory}/x.npy --epochs 4 --hidden 3 --patience 9 --sigma-max none"
        if cli.main([*command.split(), "--out", directory]):
            raise RuntimeError("dsmfast train failed")
        shutil.copyfile(f"{directory}/history.csv", path)


def finished():
    """Go on with the stored checkpoint, and return what it came to."""
    with tempfile.TemporaryDirectory() as directory:
        return train_on(shutil.copyfile(HERE / CHECKPOINT, Path(directory, "kept")))


def bits(arrays):
    """Return a digest of values, shapes and types."""
    digest = hashlib.blake2b(digest_size=12)
    for array in arrays:
        digest.update(f"{array.dtype.name} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def measures(arrays):
    """Return three numbers that tell values from others where their bits may differ."""
    values = np.concatenate([np.ravel(array).astype(np.float64) for array in arrays])
    places = np.arange(values.size)
    products = [values @ np.cos(k * places) for k in (1, 2)]
    return [float(v) for v in (np.linalg.norm(values), *products)]


def instruction_set():
    return f"{platform.machine()} {dsmfast.build_info()['instruction_set']}"


def recorded():
    """Return what is recorded of the set in use here."""
    entries = {}
    for dtype in ("float32", "float64"):
        entries |= {f"{dtype} {name}": values for name, values in results(dtype).items()}
    entries["finished run"] = trained(finished())
    return {
        "compiler": dsmfast.build_info()["compiler"],
        "results": {name: [bits(v), *measures(v)] for name, v in entries.items()},
    }


def main():
    from golden import public

    parser = argparse.ArgumentParser(description="Record what this version computes and writes.")
    parser.add_argument("--anew", action="store_true", help="also where something is recorded")
    parser.add_argument(
        "--bits", action="store_true", help="the bits of this instruction set again, and no file"
    )
    arguments = parser.parse_args()
    anew = arguments.anew
    writers = {
        MODEL: lambda path: model("float32").save(path),
        CHECKPOINT: write_checkpoint,
        HISTORY: write_history,
        public.FILE: public.write,
    }
    for name, write in writers.items():
        if anew or not (HERE / name).exists():
            (HERE / name).unlink(missing_ok=True)
            write(HERE / name)
    stored = json.loads(BITS.read_text()) if BITS.exists() else {"sets": {}}
    if anew or "integers" not in stored:
        stored["integers"] = {name: bits([values]) for name, values in integers().items()}
    if anew or arguments.bits or instruction_set() not in stored["sets"]:
        stored["sets"][instruction_set()] = recorded()
    BITS.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    import sys

    sys.path.insert(0, str(HERE.parent))
    main()
