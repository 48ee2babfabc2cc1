"""What a step of pre-training minimises: that of `blemish pretrain` for three photos of each scene."""

from dataclasses import dataclass

import torch
from torch import Tensor

import losses
from draws import PATCH, Step
from model import Light
from photos import Photos
from retrieve import contrast, means, retrieve

# Maps of the pyramid head that are compared, beside the encoder's middle tap and the stem's levels at their strides.
COMPARED = 2
# Variance of an image up to which its squared errors count in full. Normalised, a small product on plain ground has several
# times as much, and a few such images would be all that a step follows.
VARIANCE = 0.4
PARTS = ("masked", "repair", "locate", "retrieve", "contrast")


@dataclass(frozen=True)
class Objective:
    """The weights of the loss and what its parts are made of, named as in the crate. A part of weight 0 is left out."""

    masked: float = 0.5
    masked_share: float = 0.25
    ssim: float = 0.2
    repair: float = 5.0
    locate: float = 10.0
    focal_gamma: float = 2.0
    retrieve: float = 0.5
    contrast: float = 0.1
    temperature: float = 0.1


def objective(c: Objective, network: Light, step: Step, photos: Photos, bf16: bool) -> dict[str, Tensor]:
    """The parts of the loss by name, and `loss`, their weighted sum. Products in bf16 where that is asked for.

    - `masked`: reconstruction of hidden patches of clean images, but that the squared error of an image whose variance is above
      `VARIANCE` is multiplied by `VARIANCE` / variance;
    - `repair`: squared error of the unmasked pass against the image without its defect, multiplied likewise;
    - `locate`: focal loss of the defect logit;
    - `retrieve`: defective places are further from a good photo than good places of their own and of another photo are, at
      strides 16, 8 and 4;
    - `contrast`: places of the first photo are told to be of the reference of their scene rather than of other scenes'
      references.
    """
    device = photos.first.device
    mixed = torch.autocast(device.type, torch.bfloat16, enabled=bf16)
    parts = {}
    hidden = step.hidden.to(device, non_blocking=True)
    if c.masked > 0 and len(hidden) > 0:
        clean = photos.clean[: len(hidden)]
        with mixed:
            image = network(clean, hidden)["reconstruction"]
        share = weights(clean)
        squared = losses.masked_patch_mse(share * image.float(), share * clean, hidden, PATCH)
        parts["masked"] = (1 - c.ssim) * squared + c.ssim * (1 - losses.ssim(image.float(), clean))
    with mixed:
        output, maps = network.forward_compared(photos.first, COMPARED)
    if c.repair > 0:
        share = weights(photos.clean)
        parts["repair"] = losses.mse(share * output["reconstruction"].float(), share * photos.clean)
    if c.locate > 0:
        parts["locate"] = losses.focal_with_logits(output["defect_logit"].float(), photos.defect, c.focal_gamma)
    if c.retrieve > 0 or c.contrast > 0:
        with mixed:
            others = network.compared(torch.cat([photos.reference, photos.good]), COMPARED)
        maps, others = ([means(level) for level in levels] for levels in (maps, others))
        references, good = zip(*(level.chunk(2) for level in others))
        if c.retrieve > 0 and bool(step.arrays["mask"].any()):
            parts["retrieve"] = retrieve(maps, references, good, photos.defect, step.near)
        if c.contrast > 0:
            parts["contrast"] = contrast(maps, references, photos.defect, step.places, c.temperature)
    return {"loss": sum(getattr(c, name) * part for name, part in parts.items()), **parts}


def weights(images: Tensor) -> Tensor:
    """By image, the factor of its errors before they are squared: 1 up to `VARIANCE`, then the root of `VARIANCE` / variance.
    [S, 1, 1, 1]."""
    variance = images.flatten(1).var(1, unbiased=False)
    return (VARIANCE / variance.clamp_min(VARIANCE)).sqrt()[:, None, None, None]
