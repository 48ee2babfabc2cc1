"""AUPRO up to 0.3 by others: takes maps and masks, `[N, H, W]`, and gives what runs it once."""

from collections.abc import Callable

import numpy as np
import torch


def anomalib(maps: np.ndarray, masks: np.ndarray) -> Callable[[], float]:
    from anomalib.metrics.aupro import _AUPRO

    def run() -> float:
        metric = _AUPRO(fpr_limit=0.3)
        metric.update(torch.from_numpy(maps), torch.from_numpy(masks).int())
        return float(metric.compute())

    return run

