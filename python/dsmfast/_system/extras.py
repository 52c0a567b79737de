"""Packages that are not required: imported when needed, with an error that says what to install."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = [
    "arviz_base",
    "arviz_stats",
    "imagecodecs",
    "matplotlib_pyplot",
    "needed",
    "pillow",
    "pyarrow",
    "safetensors",
    "tifffile",
]


def needed(module: str, purpose: str, extra: str) -> Any:
    """Import a module of an optional package; where it is missing, say which extra brings it."""
    try:
        return import_module(module)
    except ImportError:
        names = {
            "PIL": "Pillow",
            "sklearn": "scikit-learn",
            "arviz_base": "arviz-base",
            "arviz_stats": "arviz-stats",
        }
        package = names.get(top := module.split(".")[0], top)
        raise ImportError(f"{purpose} needs {package}: pip install 'dsmfast[{extra}]'") from None


def arviz_base() -> Any:
    """Return arviz_base."""
    return needed("arviz_base", "converting chains for ArviZ", "arviz")


def arviz_stats() -> Any:
    """Return arviz_stats, with its functions of arrays."""
    needed("arviz_stats.base", "diagnosing chains", "arviz")
    return needed("arviz_stats", "diagnosing chains", "arviz")


def imagecodecs() -> Any:
    """Return imagecodecs, which also serves tifffile."""
    return needed("imagecodecs", "PNG and JPEG 2000 files of 16 bits", "images")


def matplotlib_pyplot() -> Any:
    """Return matplotlib.pyplot."""
    return needed("matplotlib.pyplot", "plotting", "plot")


def pillow() -> Any:
    """Return PIL.Image."""
    return needed("PIL.Image", "reading and writing images", "images")


def pyarrow() -> Any:
    """Return pyarrow, with its parquet."""
    needed("pyarrow.parquet", "reading and writing .parquet files", "parquet")
    return needed("pyarrow", "reading and writing .parquet files", "parquet")


def safetensors() -> Any:
    """Return safetensors, with its NumPy side."""
    needed("safetensors.numpy", "saving and loading models", "files")
    return needed("safetensors", "saving and loading models", "files")


def tifffile() -> Any:
    """Return tifffile."""
    return needed("tifffile", "reading and writing TIFF files", "images")
