"""The losses, in plain PyTorch. Predictions and targets are [B, C, H, W]; a mask is [B, N], 1 = hidden."""

import torch
import torch.nn.functional as F
from torch import Tensor

from tokens import patchify


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over everything."""
    return (prediction - target).square().mean()


def masked_patch_mse(prediction: Tensor, target: Tensor, mask: Tensor, patch: int = 16) -> Tensor:
    """Mean squared error over the values of the hidden patches of the whole batch."""
    per_patch = patchify((prediction - target).square(), patch).mean(-1)
    return (per_patch * mask).sum() / mask.sum()


def ssim_map(x: Tensor, y: Tensor) -> Tensor:
    """[B, C, H - 10, W - 10]: Wang et al. 2004, equation 13, with K1 = 0.01, K2 = 0.03, data range 1, an 11 x 11
    Gaussian window of sigma 1.5, valid windows only, population moments, each channel by itself."""
    offset = torch.arange(11, dtype=x.dtype, device=x.device) - 5
    window = torch.exp(-offset.square() / (2 * 1.5**2))
    window = torch.outer(window, window) / window.sum() ** 2
    kernel = window.expand(x.shape[1], 1, 11, 11)

    def local_mean(z: Tensor) -> Tensor:
        return F.conv2d(z, kernel, groups=x.shape[1])

    mean_x, mean_y = local_mean(x), local_mean(y)
    variance_x = local_mean(x * x) - mean_x**2
    variance_y = local_mean(y * y) - mean_y**2
    covariance = local_mean(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return likeness / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """The mean of `ssim_map`."""
    return ssim_map(x, y).mean()


def pretrain_loss(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """0.8 masked-patch MSE + 0.2 (1 - SSIM of the whole image)."""
    return 0.8 * masked_patch_mse(prediction, target, mask) + 0.2 * (1 - ssim(prediction, target))


def focal_with_logits(logit: Tensor, target: Tensor, gamma: float) -> Tensor:
    """Mean of (1 - p)^gamma * -ln p, p the probability given to the truth (Lin et al. 2017, equation 4)."""
    wrong = logit * (1 - 2 * target)
    return (wrong.sigmoid() ** gamma * F.softplus(wrong)).mean()
