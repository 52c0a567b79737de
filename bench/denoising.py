"""Photographs with noise, denoised by dsmfast and by scikit-image.

    python bench/denoising.py               # the tables: every photograph, grey and in colour
    python bench/denoising.py --settings    # sides of patches, hidden units, units, strides
    python bench/denoising.py --noise       # one model for several noise levels
    python bench/denoising.py --folder DIR  # clean images, at noise 15, 25 and 50 of 255

The images of a folder are taken in grey, and noise is not cut off, so that with the 68 images of
BSD68 in it the figures can be laid beside published ones. Their models are trained on --training
DIR, or on the photographs here that are not in the folder.

The model for a photograph is trained on patches of all the others. Of the peers, the wavelets and
non-local means are told the noise's standard deviation; total variation is given the best of ten
weights for each photograph, judged by the clean one. Results are cut off at 0 and 1.

Needs scikit-image and PyWavelets (pip install scikit-image PyWavelets). The photographs come with
scikit-image and scikit-learn; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import skimage.data
from skimage import restoration
from sklearn.datasets import load_sample_images

import dsmfast
from dsmfast import images

PHOTOGRAPHS = ("camera", "astronaut", "coffee", "chelsea", "rocket", "china", "flower")
TRAINING_ALONE = ("coins", "moon", "brick", "grass", "gravel")  # texture, or hardly any
WEIGHTS = (0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.12, 0.14, 0.18)  # at noise 0.1


def photograph(name: str) -> np.ndarray:
    """In [0, 1], in colour where it is."""
    samples = ("china", "flower")
    if name in samples:
        pixels = load_sample_images().images[samples.index(name)]
    else:
        pixels = getattr(skimage.data, name)()
    return np.asarray(pixels / 255, dtype=np.float32)


def grey(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 2 else image.mean(axis=2)


def with_noise(image: np.ndarray, noise: float) -> np.ndarray:
    draws = np.random.default_rng(0).standard_normal(image.shape)
    return (image + noise * draws).astype(np.float32)


def decibels(image: np.ndarray, clean: np.ndarray) -> float:
    """Peak signal-to-noise ratio."""
    return float(-10 * np.log10(np.mean((image.astype(np.float64) - clean) ** 2)))


def trained(
    args: argparse.Namespace,
    without: Iterable[str],
    *,
    unit: float = images.UNIT,
    sigma: float | None = None,
    **changed: int,
) -> tuple[dsmfast.ScoreModel, float]:
    """Return a model of patches of all photographs but some, and the seconds it took."""
    options = argparse.Namespace(**{**vars(args), **changed})
    names = (*PHOTOGRAPHS, *TRAINING_ALONE)
    photographs = [photograph(name) for name in names if name not in without]
    begin = time.perf_counter()
    rows = images.patches(photographs, side=options.side, count=options.patches)
    if unit != images.UNIT:
        rows *= np.float32(images.UNIT / unit)
    model = dsmfast.train(
        rows,
        options.hidden,
        (args.sigma if sigma is None else sigma) / unit,
        epochs=options.epochs,
        threads=args.threads,
    ).model
    return model, time.perf_counter() - begin


def peers(clean: np.ndarray, noise: float) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Scikit-image's, with what they are told."""
    axis = None if clean.ndim == 2 else -1

    def wavelet(method: str) -> Callable[[np.ndarray], np.ndarray]:
        return lambda x: restoration.denoise_wavelet(
            x,
            sigma=noise,
            method=method,
            mode="soft",
            rescale_sigma=True,
            convert2ycbcr=axis is not None,
            channel_axis=axis,
        )

    def variation(weight: float) -> Callable[[np.ndarray], np.ndarray]:
        return lambda x: restoration.denoise_tv_chambolle(x, weight=weight, channel_axis=axis)

    noisy = with_noise(clean, noise)
    best = max(
        (weight * noise / 0.1 for weight in WEIGHTS),
        key=lambda weight: decibels(variation(weight)(noisy).clip(0, 1), clean),
    )
    return {
        "BayesShrink": wavelet("BayesShrink"),
        "VisuShrink": wavelet("VisuShrink"),
        "total variation": variation(best),
        "non-local means": lambda x: non_local_means(x, noise),
    }


def non_local_means(noisy: np.ndarray, noise: float) -> np.ndarray:
    """Scikit-image's, with the settings of its own example."""
    return restoration.denoise_nl_means(
        noisy,
        h=0.6 * noise,
        sigma=noise,
        fast_mode=True,
        patch_size=5,
        patch_distance=6,
        channel_axis=None if noisy.ndim == 2 else -1,
    )


def table(
    cases: list[tuple[str, np.ndarray, dsmfast.ScoreModel]], args: argparse.Namespace
) -> None:
    """Decibels, and seconds an image."""
    rows: list[list[float]] = []
    seconds: list[list[float]] = []
    for i, (name, clean, model) in enumerate(cases):
        noisy = with_noise(clean, args.sigma)
        methods = {
            "dsmfast": lambda x, m=model: images.denoise(m, x, threads=args.threads),
            "dsmfast, stride 2": lambda x, m=model: images.denoise(
                m, x, stride=2, threads=args.threads
            ),
            **peers(clean, args.sigma),
        }
        if i == 0:
            print(f"\n| | noisy | {' | '.join(methods)} |")
            print("|---" * (2 + len(methods)) + "|")
        rows.append([decibels(noisy, clean)])
        seconds.append([])
        for method in methods.values():
            begin = time.perf_counter()
            result = method(noisy)
            seconds[-1].append(time.perf_counter() - begin)
            rows[-1].append(decibels(result.clip(0, 1), clean))
        print(f"| {name} |" + "".join(f" {value:.2f} |" for value in rows[-1]), flush=True)
    print("| mean |" + "".join(f" {value:.2f} |" for value in np.mean(rows, axis=0)))
    print("| seconds | |" + "".join(f" {value:.2f} |" for value in np.mean(seconds, axis=0)))


def tables(args: argparse.Namespace) -> None:
    print(
        f"Noise {args.sigma:g}; {args.patches} patches of {args.side} x {args.side}, "
        f"{args.hidden} hidden units, {args.epochs} epochs"
    )
    models, spent = {}, []
    for name in PHOTOGRAPHS:
        models[name], seconds = trained(args, [name])
        spent.append(seconds)
    print(f"Training: {np.mean(spent):.0f} s for each model")
    photographs = {name: photograph(name) for name in PHOTOGRAPHS}
    table([(name, grey(x), models[name]) for name, x in photographs.items()], args)
    table([(name, x, models[name]) for name, x in photographs.items() if x.ndim == 3], args)


HELD_OUT = ("camera", "coffee", "china")


def mean_decibels(
    model: dsmfast.ScoreModel, noise: float, threads: int | None, stride: int = 1
) -> tuple[float, float]:
    """Over three photographs in grey that the model was not trained on, and seconds for each."""
    found, begin = [], time.perf_counter()
    for name in HELD_OUT:
        clean = grey(photograph(name))
        result = images.denoise(
            model, with_noise(clean, noise), noise=noise, stride=stride, threads=threads
        )
        found.append(decibels(result.clip(0, 1), clean))
    return float(np.mean(found)), (time.perf_counter() - begin) / len(found)


def settings(args: argparse.Namespace) -> None:
    print(f"Mean over {', '.join(HELD_OUT)}, which no model was trained on; noise {args.sigma:g},")
    print(f"{args.patches} patches, {args.epochs} epochs")
    units = (128, 256, 512, 1024)
    print("\n| side |" + "".join(f" {h} hidden units |" for h in units))
    print("|---" * (1 + len(units)) + "|")
    for side in (6, 8, 10, 12):
        print(f"| {side} |", end="")
        for h in units:
            model, seconds = trained(args, HELD_OUT, side=side, hidden=h)
            value, _ = mean_decibels(model, args.sigma, args.threads)
            print(f" {value:.2f} ({seconds:.0f} s) |", end="", flush=True)
        print()
    print(f"\n| unit | {args.hidden} hidden units |\n|---|---|")
    for unit in (1, 0.4, 0.2, 0.1, 0.05, 0.025):
        model, _ = trained(args, HELD_OUT, unit=unit)
        print(f"| {unit:g} | {mean_decibels(model, args.sigma, args.threads)[0]:.2f} |", flush=True)
        if unit == images.UNIT:
            chosen = model
    print("\n| stride | decibels | seconds an image |\n|---|---|---|")
    for stride in (1, 2, 3, 4, args.side):
        value, seconds = mean_decibels(chosen, args.sigma, args.threads, stride)
        print(f"| {stride} | {value:.2f} | {seconds:.2f} |")


def noises(args: argparse.Namespace) -> None:
    print(f"Mean over {', '.join(HELD_OUT)}; a model trained on noise {args.sigma:g} scaled to")
    print("other noise, and one trained on that noise")
    print(f"\n| noise | noisy | scaled from {args.sigma:g} | trained on it |\n|---|---|---|---|")
    one, _ = trained(args, HELD_OUT)
    for noise in (0.025, 0.05, 0.1, 0.2):
        own = one if noise == args.sigma else trained(args, HELD_OUT, sigma=noise)[0]
        scaled, trained_on = (mean_decibels(m, noise, args.threads)[0] for m in (one, own))
        noisy = -20 * np.log10(noise)
        print(f"| {noise:g} | {noisy:.2f} | {scaled:.2f} | {trained_on:.2f} |", flush=True)


# Mean PSNR on BSD68 at noise 15, 25 and 50: table II of K. Zhang, W. Zuo, Y. Chen, D. Meng and
# L. Zhang, "Beyond a Gaussian denoiser: residual learning of deep CNN for image denoising", IEEE
# Transactions on Image Processing 26(7), 2017.
LEVELS = (15, 25, 50)
PUBLISHED = {"BM3D": (31.07, 28.57, 25.62), "EPLL": (31.21, 28.68, 25.67)}


def clean_images(folder: Path) -> dict[str, np.ndarray]:
    """The images of a folder in grey, by name."""
    found = {p.name: grey(images.read(p)) for p in sorted(folder.iterdir()) if images.is_image(p)}
    if not found:
        raise SystemExit(f"{folder}: no images in it")
    return found


def is_among(image: np.ndarray, others: Iterable[np.ndarray]) -> bool:
    """Whether it is one of others, but for rounding."""
    return any(image.shape == o.shape and np.abs(image - o).mean() < 0.01 for o in others)


def folders(args: argparse.Namespace) -> None:
    """Decibels of each image of a folder at each noise level, beside published means on BSD68."""
    test = clean_images(args.folder)
    if args.training is not None:
        training = list(clean_images(args.training).values())
    else:
        training = [grey(photograph(name)) for name in (*PHOTOGRAPHS, *TRAINING_ALONE)]
    known = len(training)
    training = [image for image in training if not is_among(image, test.values())]
    print(
        f"{len(test)} images of {args.folder}, models of {len(training)} others "
        f"({known - len(training)} left out, which are in both); {args.patches} patches of "
        f"{args.side} x {args.side}, {args.hidden} hidden units, {args.epochs} epochs"
    )
    rows = images.patches(training, side=args.side, count=args.patches)
    found: dict[str, list[float]] = {name: [] for name in test}
    theirs: list[float] = []
    for level in LEVELS:
        noise = level / 255
        model = dsmfast.train(
            rows, args.hidden, noise / images.UNIT, epochs=args.epochs, threads=args.threads
        ).model
        for name, clean in test.items():
            noisy = with_noise(clean, noise)
            result = images.denoise(model, noisy, noise=noise, threads=args.threads)
            found[name].append(decibels(result.clip(0, 1), clean))
            theirs.append(decibels(non_local_means(noisy, noise).clip(0, 1), clean))
    print("\n| |" + "".join(f" noise {level} |" for level in LEVELS))
    print("|---" * (1 + len(LEVELS)) + "|")
    lines = {**found, "mean": np.mean(list(found.values()), axis=0)}
    lines["non-local means, mean of the same"] = np.reshape(theirs, (len(LEVELS), -1)).mean(axis=1)
    lines |= {f"{name}, published mean on BSD68": values for name, values in PUBLISHED.items()}
    for name, values in lines.items():
        print(f"| {name} |" + "".join(f" {value:.2f} |" for value in values))
    print("\nPublished means are of the 68 images of BSD68, and say nothing beside other images.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--settings", action="store_true", help="compare settings")
    what.add_argument("--noise", action="store_true", help="compare noise levels")
    what.add_argument("--folder", type=Path, metavar="DIR", help="denoise the images of a folder")
    parser.add_argument(
        "--training", type=Path, metavar="DIR", help="of --folder: the images to train on"
    )
    parser.add_argument("--sigma", type=float, default=0.1, help="of the noise (default 0.1)")
    parser.add_argument("--side", type=int, default=8)
    parser.add_argument("--patches", type=int, default=250_000)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    if args.folder is not None:
        folders(args)
        return
    if args.training is not None:
        parser.error("--training: of --folder")
    (settings if args.settings else noises if args.noise else tables)(args)


if __name__ == "__main__":
    main()
