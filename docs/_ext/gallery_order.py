"""The order of the examples in the gallery: from the identities of the paper to uses of a model."""

from pathlib import Path

ORDER = (
    *("identities", "gabor_filters", "spiral_score", "scales", "samples"),
    *("independent_components", "anomalies", "photograph", "features", "imputation"),
    *("choosing_sigma", "few_data"),
)


class Order:
    """A sort key of sphinx-gallery; examples that are not in ``ORDER`` come last."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, name: str) -> tuple[int, str]:
        """Return the key of a file."""
        stem = Path(name).stem
        return (ORDER.index(stem) if stem in ORDER else len(ORDER), stem)

    def __repr__(self) -> str:
        return "Order()"
