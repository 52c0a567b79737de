"""The scikit-learn estimator (extra ``sklearn``)."""

from dsmfast.sklearn.autoencoder import DenoisingAutoencoder

__all__ = ["DenoisingAutoencoder"]

# A public class is at home here: pickles name it so.
DenoisingAutoencoder.__module__ = __name__
