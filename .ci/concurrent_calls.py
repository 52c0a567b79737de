"""Every kernel at once, from several threads of Python with several of OpenMP each."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

import dsmfast

x = np.random.default_rng(0).standard_normal((700, 40)).astype(np.float32)
model = dsmfast.ScoreModel.initialize(40, 70, 0.5, seed=1)
few = dsmfast.ScoreModel.initialize(3, 40, 0.5, seed=1)


def results(threads):
    """Call everything once, on so many threads; return what it gives as bytes."""
    return [np.asarray(value).tobytes() for value in _results(threads)]


def _results(threads):
    take = {"threads": threads}
    for name in ("hidden", "energy", "score", "denoise"):
        yield getattr(model, name)(x, **take)
    for path in ("explicit", "gram"):
        for objective, options in (("dsm", {"draws": 2}), ("ism", {"curvature_penalty": 0.1})):
            chosen = {"objective": objective, "path": path, **options, **take}
            yield dsmfast.loss_and_grad(model, x, **chosen)[1].W
            yield dsmfast.train(x, 70, 0.5, epochs=1, batch_size=128, **chosen).model.W
    yield dsmfast.loss_and_grad(model, x, "esm_smoothed", **take)[1].W
    yield dsmfast.loss_and_grad(few, x[:, :3], "ism_smoothed", path="explicit", **take)[1].W
    yield dsmfast.parzen_score(x, x, 0.5, **take)
    yield dsmfast.select_sigma(x[:, :3], **take)
    yield dsmfast.normals(1, 2, 3, range(3000), 100, **take)


expected = results(1)
for threads in (2, 3, 8):
    with ThreadPoolExecutor(4) as pool:
        assert all(found == expected for found in pool.map(results, 4 * [threads])), threads
