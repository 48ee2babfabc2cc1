"""anomalib's names for blemish: a script moves over by changing its imports.

    from anomalib.data import Folder, PredictDataset        ->  from blemish.anomalib import Folder, PredictDataset
    from anomalib.engine import Engine                      ->  from blemish.anomalib import Engine
    from anomalib.models import Patchcore                   ->  from blemish.anomalib import Blemish as Patchcore
    from anomalib.deploy import OpenVINOInferencer          ->  from blemish.anomalib import Inferencer as OpenVINOInferencer

Predictions have image_path, pred_score, pred_label, anomaly_map and pred_mask, one for each image, as NumPy arrays and
Python numbers. pred_score has blemish's own scale: compare it with the threshold, not with 0.5. What configures other
models or trainers is accepted and has no effect.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import numpy.typing as npt

from . import Detector, Prediction

__all__ = ["Blemish", "Engine", "Folder", "Inferencer", "MVTecAD", "PredictDataset"]

_Path = Union[str, "PathLike[str]"]
_SUFFIXES = {f".{name}" for name in "png jpg jpeg jpe jfif bmp dib tif tiff webp pgm ppm pbm pnm".split()}


def _images(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder]
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)


class MVTecAD:
    """A data set in the layout of MVTec AD: root/category/{train,test,ground_truth}."""

    def __init__(self, root: _Path, category: str = "bottle", **_ignored: Any) -> None:
        self.root, self.category = Path(root), category

    def train_images(self) -> list[Path]:
        return _images(self.root / self.category / "train")

    def test_images(self) -> list[Path]:
        return _images(self.root / self.category / "test")

    def evaluate(self, detector: Detector) -> dict[str, Any]:
        return detector.evaluate(self.root, category=self.category)


class Folder:
    """Folders of images below root: normal_dir to fit on; abnormal_dir, normal_test_dir and mask_dir to measure with.

    Without normal_test_dir the good images that were fitted on are measured with, which flatters.
    """

    def __init__(
        self,
        name: str,
        normal_dir: _Path,
        root: Optional[_Path] = None,
        abnormal_dir: Optional[_Path] = None,
        normal_test_dir: Optional[_Path] = None,
        mask_dir: Optional[_Path] = None,
        **_ignored: Any,
    ) -> None:
        below = Path(root) if root is not None else Path()
        self.name, self.normal = name, below / normal_dir
        self.abnormal = below / abnormal_dir if abnormal_dir is not None else None
        self.normal_test = below / normal_test_dir if normal_test_dir is not None else self.normal
        self.masks = below / mask_dir if mask_dir is not None else None

    def train_images(self) -> list[Path]:
        return _images(self.normal)

    def test_images(self) -> list[Path]:
        return _images(self.normal_test) + (_images(self.abnormal) if self.abnormal is not None else [])

    def evaluate(self, detector: Detector) -> dict[str, Any]:
        if self.abnormal is None:
            raise ValueError("Folder: abnormal_dir is needed to test")
        return detector.evaluate(good=self.normal_test, defective=self.abnormal, masks=self.masks)


class PredictDataset:
    """An image, or a folder of images, to predict."""

    def __init__(self, path: _Path, **_ignored: Any) -> None:
        self.path = Path(path)


class Blemish:
    """The model: settings are those of Detector.fit."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.detector: Optional[Detector] = None

    def fitted(self) -> Detector:
        if self.detector is None:
            raise ValueError("the model is not fitted: Engine.fit(model, datamodule), or give ckpt_path")
        return self.detector


_Data = Union[Folder, MVTecAD]


class Engine:
    """Fits, tests and predicts. Arguments of trainers are accepted and have no effect."""

    def __init__(self, **_ignored: Any) -> None:
        pass

    def fit(self, model: Blemish, datamodule: _Data) -> None:
        model.detector = Detector.fit(datamodule.train_images(), **model.settings)

    def test(self, model: Blemish, datamodule: _Data, ckpt_path: Optional[_Path] = None) -> list[dict[str, Any]]:
        found = datamodule.evaluate(_detector(model, ckpt_path))
        names = {"image_AUROC": "image_auroc", "image_F1Score": "f1", "pixel_AUROC": "pixel_auroc", "pixel_AUPRO": "aupro"}
        return [{name: found[key] for name, key in names.items() if found.get(key) is not None}]

    def predict(
        self,
        model: Blemish,
        datamodule: Optional[_Data] = None,
        dataset: Optional[PredictDataset] = None,
        data_path: Optional[_Path] = None,
        ckpt_path: Optional[_Path] = None,
    ) -> list[Prediction]:
        if dataset is not None:
            paths = _images(dataset.path)
        elif data_path is not None:
            paths = _images(Path(data_path))
        elif datamodule is not None:
            paths = datamodule.test_images()
        else:
            raise ValueError("predict: give dataset, data_path or datamodule")
        return _detector(model, ckpt_path).predict(paths)

    def export(self, model: Blemish, export_root: _Path = "model.blemish.safetensors", **_ignored: Any) -> Path:
        """Writes the model file, which Inferencer loads."""
        path = Path(export_root)
        model.fitted().save(path)
        return path


def _detector(model: Blemish, ckpt_path: Optional[_Path]) -> Detector:
    if ckpt_path is not None:
        model.detector = Detector.load(ckpt_path)
    return model.fitted()


class Inferencer:
    """Predicts with a model file."""

    def __init__(self, path: _Path, **_ignored: Any) -> None:
        self.detector = Detector.load(path)

    def predict(self, image: Union[_Path, npt.NDArray[np.uint8]]) -> Prediction:
        return self.detector.predict(image)

