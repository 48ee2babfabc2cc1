"""Writes crates/blemish/tests/fixtures/metrics.json: metrics by independent implementations, on generated scores.

    pip install -r reference/requirements.txt && python reference/metrics_oracle.py

Image and pixel AUROC, F1 and the ROC curve are scikit-learn's. AUPRO has two oracles: scikit-learn's ROC again, with
every defective pixel weighing 1 / |region| (exact: tied scores are one step), and adeval, which is sampled even with
every defect-free score as a threshold: it joins the good pixels by sloping lines where the exact curve has steps, so on
scores without ties it lies within half a good pixel of area, 1 / (2 * good pixels * limit), of the exact value.
"""

import json
from pathlib import Path

import numpy as np
from adeval.au_pro import calculate_au_pro
from scipy.ndimage import label
from sklearn.metrics import f1_score, precision_recall_curve, roc_auc_score, roc_curve

OUT = Path(__file__).parent.parent / "crates/blemish/tests/fixtures/metrics.json"
HEIGHT, WIDTH = 24, 20
LIMITS = [0.01, 0.05, 0.3, 1.0]


def masks(rng: np.random.Generator) -> np.ndarray:
    """Twelve masks: four empty, the others with one to four regions, some joined only at a corner."""
    out = np.zeros((12, HEIGHT, WIDTH), dtype=np.uint8)
    for mask in out[4:]:
        for _ in range(rng.integers(1, 5)):
            y, x, h, w = rng.integers(HEIGHT), rng.integers(WIDTH), *rng.integers(1, 7, size=2)
            mask[y : y + h, x : x + w] = 1
    out[4] = 0
    out[4, 2:5, 2:5] = out[4, 5:8, 5:9] = 1  # two squares, one corner: one region
    out[4, 20, 0] = out[4, 21, 1] = out[4, 22, 0] = 1  # a zigzag of single pixels
    out[4, 10, 19] = out[4, 11, 0] = 1  # neighbours in memory only: two regions
    return out


def region_weights(truth: np.ndarray) -> np.ndarray:
    """1 / |region| on defective pixels, 1 on good ones."""
    weights = np.ones(truth.shape)
    for mask, weight in zip(truth, weights):
        labels, _ = label(mask, structure=np.ones((3, 3)))
        weight[:] = (1.0 / np.bincount(labels.ravel()))[labels]
        weight[labels == 0] = 1.0
    return weights


def exact_aupro(truth: np.ndarray, maps: np.ndarray, limit: float) -> float:
    """Area under the region-weighted ROC curve up to `limit`, divided by it."""
    area = roc_auc_score(truth.ravel(), maps.ravel(), sample_weight=region_weights(truth).ravel(), max_fpr=limit)
    if limit < 1.0:  # scikit-learn rescales a partial area so that chance is 0.5 (McClish 1989): undone here
        chance = limit**2 / 2
        area = ((2 * area - 1) * (limit - chance) + chance) / limit
    return area


def image_metrics(scores: np.ndarray, positive: np.ndarray) -> dict:
    precision, recall, thresholds = precision_recall_curve(positive, scores)
    f1 = [f1_score(positive, scores >= t) for t in thresholds]
    fpr, tpr, _ = roc_curve(positive, scores, drop_intermediate=False)
    return {
        "auroc": roc_auc_score(positive, scores),
        "roc_curve": np.stack([fpr, tpr], axis=1).tolist(),
        "f1_max": max(f1),
        "f1_at": [[float(t), f] for t, f in zip(thresholds, f1)],
        "f1_all_positive": f1_score(positive, np.ones_like(positive)),
        "precision_at": precision[:-1].tolist(),
        "recall_at": recall[:-1].tolist(),
    }


def case(name: str, levels: np.ndarray, truth: np.ndarray) -> dict:
    """`levels` are integers; the score is level / 8, exact in single precision."""
    maps = (levels / 8).astype(np.float32)
    assert (maps * 8 == levels).all()
    good = int((truth == 0).sum())
    tied = len(np.unique(levels)) < levels.size

    def sampled(limit: float) -> dict:
        area, _ = calculate_au_pro(list(truth), list(maps), limit, num_thresholds=good)
        return {"value": area, "tolerance": 1 / (2 * good * limit)}

    return {
        "name": name,
        "levels": levels.reshape(len(levels), -1).tolist(),
        "image": image_metrics(maps.max(axis=(1, 2)).astype(np.float64), truth.max(axis=(1, 2))),
        "pixel_auroc": roc_auc_score(truth.ravel(), maps.ravel()),
        "aupro": [
            {"fpr_limit": limit, "exact": exact_aupro(truth, maps, limit), "adeval": None if tied else sampled(limit)}
            for limit in LIMITS
        ],
    }


def main() -> None:
    rng = np.random.default_rng(20261123)
    truth = masks(rng)
    # Some regions hard to find, some easy: the signal differs from image to image.
    signal = truth * rng.uniform(0.5, 4.0, size=(12, 1, 1)) + rng.normal(size=truth.shape)
    coarse = np.round(signal * 2).astype(int)
    distinct = signal.ravel().argsort().argsort().reshape(signal.shape) - 2000
    fixture = {
        "height": HEIGHT,
        "width": WIDTH,
        "masks": truth.reshape(len(truth), -1).tolist(),
        "regions": [label(mask, structure=np.ones((3, 3)))[1] for mask in truth],
        "cases": [case("many ties", coarse, truth), case("no ties", distinct, truth)],
    }
    OUT.write_text(json.dumps(fixture, separators=(",", ":")) + "\n")
    print(f"{OUT}: {OUT.stat().st_size} bytes")
    for c in fixture["cases"]:
        print(c["name"], c["image"]["auroc"], c["pixel_auroc"], *c["aupro"], sep="\n  ")


if __name__ == "__main__":
    main()
