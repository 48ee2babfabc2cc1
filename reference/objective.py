"""What a step of pre-training minimises: that of `blemish pretrain` for two views of each scene."""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

import losses
from draws import PATCH, Step
from model import Light
from views import Views

# Maps of the pyramid head that are compared, beside the encoder's middle tap.
COMPARED = 2
PARTS = ("masked", "repair", "locate", "contrast", "repel")


@dataclass(frozen=True)
class Objective:
    """The weights of the loss and what its parts are made of, named as in the crate. A part of weight 0 is left out."""

    masked: float = 0.5
    masked_share: float = 0.25
    ssim: float = 0.2
    repair: float = 5.0
    locate: float = 10.0
    focal_gamma: float = 2.0
    contrast: float = 0.3
    temperature: float = 0.1
    repel: float = 0.1
    margin: float = 0.5
    # Places of a level, over the scenes of a step at 128 pixels; the crate has 384 of 8.
    places_of_scene: int = 48

    def described(self) -> dict:
        """For the weights' file."""
        return {**asdict(self), "same_image": True, "compare": 0.0, "judge": 0.0}


def objective(c: Objective, network: Light, step: Step, views: Views, bf16: bool) -> dict[str, Tensor]:
    """The parts of the loss by name, and `loss`, their weighted sum. Products in bf16 where that is asked for.

    - `masked`: reconstruction of hidden patches of clean images;
    - `repair`: squared error of the unmasked pass against the image without its defect;
    - `locate`: focal loss of the defect logit;
    - `contrast`: every good place is found among all places by its twin under another light, at strides 16, 8 and 4;
    - `repel`: defective places are unlike the good ones of their image, at the same levels.
    """
    device = views.a.device
    mixed = torch.autocast(device.type, torch.bfloat16, enabled=bf16)
    parts = {}
    hidden = step.hidden.to(device, non_blocking=True)
    if c.masked > 0 and len(hidden) > 0:
        clean = views.clean[: len(hidden)]
        with mixed:
            image = network(clean, hidden)["reconstruction"]
        squared = losses.masked_patch_mse(image.float(), clean, hidden, PATCH)
        parts["masked"] = (1 - c.ssim) * squared + c.ssim * (1 - losses.ssim(image.float(), clean))
    with mixed:
        output, maps = network.forward_compared(views.a, COMPARED)
    if c.repair > 0:
        parts["repair"] = losses.mse(output["reconstruction"].float(), views.clean)
    if c.locate > 0:
        parts["locate"] = losses.focal_with_logits(output["defect_logit"].float(), views.defect, c.focal_gamma)
    if c.contrast > 0 or c.repel > 0:
        with mixed:
            twins = network.compared(views.b, COMPARED)
        parts |= compare(c, step, maps, twins)
    return {"loss": sum(getattr(c, name) * part for name, part in parts.items()), **parts}


def compare(c: Objective, step: Step, maps: list[Tensor], twins: list[Tensor]) -> dict[str, Tensor]:
    """Contrast and repulsion, means over the levels that have places for them."""
    contrast, repel = [], []
    for places, map_a, map_b in zip(step.places, maps, twins):
        if len(places.a) < 2:
            continue
        a, b = rows(map_a, places.a), rows(map_b, places.b)
        if c.contrast > 0:
            contrast.append(losses.info_nce(a, b, c.temperature))
        if c.repel > 0 and len(places.defective) > 0:
            same = places.same.to(b.device, non_blocking=True)
            repel.append(losses.repel(rows(map_a, places.defective), b, same, c.margin, c.temperature))
    return {name: torch.stack(found).mean() for name, found in (("contrast", contrast), ("repel", repel)) if found}


def rows(maps: Tensor, ids: Tensor) -> Tensor:
    """The rows `ids` of [B, h, w, c] taken as [B h w, c], each of length 1."""
    return F.normalize(maps.float().flatten(0, 2)[ids.to(maps.device, non_blocking=True)], dim=1, eps=1e-6)
