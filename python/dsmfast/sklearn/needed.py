"""What is taken of scikit-learn, or an error that says what to install."""

from __future__ import annotations

try:
    from sklearn.base import (
        BaseEstimator,
        ClassNamePrefixFeaturesOutMixin,
        OutlierMixin,
        TransformerMixin,
        clone,
    )
    from sklearn.isotonic import isotonic_regression
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import (
        _check_sample_weight,
        check_array,
        check_is_fitted,
        validate_data,
    )
except ImportError as error:
    raise ImportError(
        f"dsmfast.sklearn needs scikit-learn 1.6 or newer: pip install 'dsmfast[sklearn]' ({error})"
    ) from None

__all__ = [
    "BaseEstimator",
    "ClassNamePrefixFeaturesOutMixin",
    "OutlierMixin",
    "TransformerMixin",
    "_check_sample_weight",
    "check_array",
    "check_is_fitted",
    "check_random_state",
    "clone",
    "isotonic_regression",
    "validate_data",
]
