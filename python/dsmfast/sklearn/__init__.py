"""Estimators for scikit-learn (extra ``sklearn``)."""

from dsmfast.sklearn.autoencoder import DenoisingAutoencoder
from dsmfast.sklearn.outliers import OutlierDetector

__all__ = ["DenoisingAutoencoder", "OutlierDetector"]

# A public class is at home here: pickles name it so.
DenoisingAutoencoder.__module__ = OutlierDetector.__module__ = __name__
