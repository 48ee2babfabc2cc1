from os import PathLike
from typing import Any, Callable, final, Literal, Mapping, Optional, overload, Sequence, TypedDict, Union

import numpy as np
import numpy.typing as npt

__version__: str

_Path = Union[str, PathLike[str]]
# [H, W] or [H, W, C], C 1 or 3; uint8, uint16, or float32 or float64 from 0 to 1.
_Array = Union[
    npt.NDArray[np.uint8], npt.NDArray[np.uint16], npt.NDArray[np.float32], npt.NDArray[np.float64]
]
_Order = Literal["rgb", "bgr"]
_Setting = Union[bool, int, float, str, Sequence[Any], Mapping[str, Any]]

class Outlier(TypedDict):
    path: str
    score: float
    left_out: bool

@final
class Region:
    """A connected part of the image that is anomalous: its box, in pixels of the image."""

    @property
    def x(self) -> int: ...
    @property
    def y(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def area(self) -> int: ...
    @property
    def peak(self) -> float: ...

@final
class Prediction:
    """What a detector says of one image."""

    @property
    def score(self) -> float: ...
    @property
    def threshold(self) -> float: ...
    @property
    def verdict(self) -> Literal["good", "review", "defective"]: ...
    @property
    def is_defective(self) -> bool: ...
    @property
    def reason(self) -> str: ...
    @property
    def inspected(self) -> float: ...
    @property
    def review_threshold(self) -> Optional[float]: ...
    @property
    def regions(self) -> list[Region]: ...
    @property
    def map(self) -> npt.NDArray[np.float32]:
        """[H, W] of the detector's image_size, or of the image, scaled."""
    @property
    def outlined_from(self) -> float: ...
    @property
    def image_path(self) -> Optional[str]: ...
    @property
    def pred_score(self) -> float: ...
    @property
    def pred_label(self) -> bool: ...
    @property
    def anomaly_map(self) -> npt.NDArray[np.float32]:
        """[H, W] of the detector's image_size, or of the image, scaled."""
    @property
    def pred_mask(self) -> npt.NDArray[np.bool_]:
        """[H, W] of the detector's image_size, or of the image, scaled."""

@final
class Detector:
    """Finds what is wrong with a product in an image."""

    @staticmethod
    def fit(
        images: Union[_Path, Sequence[_Path], Sequence[_Array], _Array],
        *,
        order: _Order = "rgb",
        progress: Optional[Callable[[str, int, int], object]] = None,
        **settings: _Setting,
    ) -> Detector: ...
    @staticmethod
    def load(path: _Path) -> Detector: ...
    @staticmethod
    def from_bytes(model: bytes) -> Detector: ...
    def save(self, path: _Path) -> None: ...
    # An array of shape [N, H, W, C] also gives a list: types cannot tell. A str, itself a sequence of str, is a path.
    @overload
    def predict(  # type: ignore[overload-overlap]
        self, image: Union[_Path, _Array], *, order: _Order = "rgb"
    ) -> Prediction: ...
    @overload
    def predict(
        self, image: Sequence[Union[_Path, _Array]], *, order: _Order = "rgb"
    ) -> list[Prediction]: ...
    def evaluate(
        self,
        dataset: Union[_Path, Sequence[Union[_Path, _Array]], None] = None,
        *,
        labels: Optional[Sequence[Union[bool, int]]] = None,
        category: Optional[str] = None,
        good: Optional[_Path] = None,
        defective: Optional[_Path] = None,
        masks: Optional[_Path] = None,
        order: _Order = "rgb",
    ) -> dict[str, Any]: ...
    @property
    def threshold(self) -> float: ...
    def set_threshold(self, threshold: float) -> None: ...
    def set_fpr(self, fpr: float) -> None: ...
    @property
    def threads(self) -> int: ...
    @threads.setter
    def threads(self, threads: int) -> None: ...
    @property
    def image_size(self) -> tuple[int, int]: ...
    @property
    def channels(self) -> int: ...
    @property
    def config(self) -> dict[str, Any]: ...
    @property
    def suspected_outliers(self) -> list[Outlier]: ...
