"""Fits a detector on images of good products, then finds and locates defects in new images.

>>> import blemish
>>> detector = blemish.Detector.fit("photos/good")  # a folder, paths, or arrays [H, W] or [H, W, C]
>>> prediction = detector.predict("photos/new.png")  # a path, an array, or several
>>> prediction.is_defective, prediction.score, prediction.regions, prediction.map.shape
"""

from ._blemish import Detector, Prediction, Region, __version__
from .errors import BlemishError, ConfigError, DataError, ImageError, ModelError

__all__ = [
    "BlemishError",
    "ConfigError",
    "DataError",
    "Detector",
    "ImageError",
    "ModelError",
    "Prediction",
    "Region",
    "__version__",
]
