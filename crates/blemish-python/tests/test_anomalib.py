"""anomalib's names."""

from __future__ import annotations

from pathlib import Path
from typing import Union

import pytest

from blemish.anomalib import Blemish, Engine, Folder, Inferencer, MVTecAD, PredictDataset


def test_a_script_moves_over_by_its_imports(dataset: Path, tmp_path: Path) -> None:
    part = dataset / "part"
    folder = Folder(
        name="part",
        root=part,
        normal_dir="train/good",
        abnormal_dir="test/bar",
        normal_test_dir="test/good",
        mask_dir="ground_truth/bar",
        train_batch_size=32,
    )
    model = Blemish(data__image_size=[64, 64], memory__use="always")
    engine = Engine(max_epochs=1)
    with pytest.raises(ValueError, match="not fitted"):
        engine.predict(model, data_path=part)
    engine.fit(model=model, datamodule=folder)
    sets: list[Union[Folder, MVTecAD]] = [folder, MVTecAD(root=dataset, category="part")]
    for data in sets:
        found = engine.test(model=model, datamodule=data)[0]
        assert found["image_AUROC"] == 1.0 and found["pixel_AUPRO"] > 0.5
    predictions = engine.predict(model=model, dataset=PredictDataset(path=part / "test/bar"))
    assert len(predictions) == 4 and all(p.pred_label for p in predictions)
    assert predictions[0].image_path == str(part / "test/bar/0.bmp")
    assert len(engine.predict(model=model, datamodule=folder)) == 8
    path = engine.export(model, export_root=tmp_path / "model")
    inferencer = Inferencer(path=path)
    assert inferencer.predict(part / "test/bar/0.bmp").pred_score == predictions[0].pred_score
