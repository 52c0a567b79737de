"""The figure of docs/how-to/denoising.md: python docs/figures/photograph.py

Needs scikit-image (pip install scikit-image), for the photographs that come with it.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import skimage.data
from matplotlib import pyplot

import dsmfast
from dsmfast import images

matplotlib.use("agg")

NOISE = 0.1
SIDE = 200
CROPS = {"camera": (60, 150), "coffee": (60, 250)}  # shown: top and left
OTHERS = ("astronaut", "chelsea", "rocket", "coins", "brick")  # trained on


def photograph(name: str) -> np.ndarray:
    return np.asarray(getattr(skimage.data, name)() / 255, dtype=np.float32)


def main() -> None:
    rows = images.patches([photograph(name) for name in OTHERS], count=100_000)
    model = dsmfast.train(rows, 512, NOISE / images.UNIT).model
    figure, axes = pyplot.subplots(len(CROPS), 3, figsize=(9, 6.2), layout="constrained")
    for line, (name, (top, left)) in zip(axes, CROPS.items(), strict=True):
        clean = photograph(name)
        draws = np.random.default_rng(0).standard_normal(clean.shape)
        noisy = (clean + NOISE * draws).astype(np.float32)
        shown = {"noisy": noisy, "denoised": images.denoise(model, noisy), "original": clean}
        for ax, (title, image) in zip(line, shown.items(), strict=True):
            crop = image[top : top + SIDE, left : left + SIDE].clip(0, 1)
            ax.imshow(crop, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            decibels = -10 * np.log10(np.mean((image.clip(0, 1) - clean) ** 2) + 1e-12)
            ax.set_title(title if image is clean else f"{title}, {decibels:.1f} dB", fontsize=10)
            ax.set(xticks=[], yticks=[])
    figure.savefig(Path(__file__).with_name("photograph.png"), dpi=110)


if __name__ == "__main__":
    main()
