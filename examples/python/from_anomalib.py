"""A script for anomalib that runs on blemish: only its imports were changed. from_anomalib.py ROOT CATEGORY

ROOT is a data set in the layout of MVTec AD.
"""

import sys

# from anomalib.data import MVTecAD, PredictDataset
# from anomalib.engine import Engine
# from anomalib.models import Patchcore
from blemish.anomalib import Blemish as Patchcore
from blemish.anomalib import Engine, MVTecAD, PredictDataset


def main(root: str, category: str) -> None:
    datamodule = MVTecAD(root=root, category=category, train_batch_size=32)
    model = Patchcore()
    engine = Engine()
    engine.fit(model=model, datamodule=datamodule)
    print(engine.test(model=model, datamodule=datamodule))
    for prediction in engine.predict(model=model, dataset=PredictDataset(path=f"{root}/{category}/test")):
        print(
            prediction.image_path,
            f"pred_score {prediction.pred_score:.3f}",
            f"pred_label {prediction.pred_label}",
            f"anomaly_map {prediction.anomaly_map.shape}",
            f"pred_mask {prediction.pred_mask.sum()} pixels",
        )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
