"""What blemish raises, beside OSError for files that cannot be read or written."""


class BlemishError(Exception):
    """Everything that goes wrong inside blemish."""


class ConfigError(BlemishError, ValueError):
    """A setting that does not exist or cannot be used."""


class DataError(BlemishError, ValueError):
    """Images or a data set that lack what the work needs."""


class ImageError(BlemishError, ValueError):
    """An image that cannot be used: its shape, dtype, values or file."""


class ModelError(BlemishError):
    """A model file that cannot be used."""
