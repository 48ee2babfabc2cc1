"""Three photos of each scene of a step, normalised: the first, perhaps with a defect, a good one that it is compared with, and
another good one that is compared with that too. All on the device that trains."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from draws import OF_NOISE, Step, generator

# What `blemish` brings the spread of grey levels to, and the least spread that it stretches.
SPREAD, FLOOR = 0.4, 1 / 255


@dataclass
class Photos:
    """[S, 3, H, W] each, normalised as scoring does; `defect` is [S, 1, H, W], 1 where the first is defective."""

    first: Tensor
    clean: Tensor  # the first without its defect
    reference: Tensor
    good: Tensor
    defect: Tensor


def make_photos(step: Step, seed: int, device: torch.device) -> Photos:
    on = {name: value.to(device, non_blocking=True) for name, value in step.arrays.items()}
    noise = torch.Generator(device).manual_seed(int(generator(seed, OF_NOISE, step.step).integers(2**62)))

    def drawn_noise() -> Tensor:
        """The same in all channels of what is grey."""
        values = torch.randn((step.scenes, 3, step.side, step.side), generator=noise, device=device)
        return torch.where(on["grey"][:, None, None, None], values[:, :1], values)

    def photo(name: str, light: str, noise: Tensor) -> Tensor:
        """In another light, where one was drawn."""
        image = on[name].permute(0, 3, 1, 2).float() / 255
        by = {name.removeprefix(f"{light}."): value for name, value in on.items() if name.startswith(f"{light}.")}
        return torch.where(by["changed"][:, None, None, None], changed(image, by, noise), image)

    # The same draws for both: they differ by the defect alone.
    same = drawn_noise()
    first, clean = (photo(name, "a", same) for name in ("image", "clean"))
    gain, offset = affine(first)
    others = [normalised(photo(name, light, drawn_noise())) for name, light in (("reference", "r"), ("good", "g"))]
    return Photos(first * gain + offset, clean * gain + offset, *others, on["mask"][:, None].float())


def changed(image: Tensor, light: dict[str, Tensor], noise: Tensor) -> Tensor:
    """The image in another light, in the order of the light's way: scene, lens, sensor. Values stay in [0, 1]."""
    gamma, blur, deviation = (light[name][:, None, None, None] for name in ("gamma", "blur", "noise"))
    side = image.shape[-1]
    line = (torch.arange(side, device=image.device) + 0.5) / side - 0.5
    plane = light["slope"][:, 0, None, None] * line[:, None] + light["slope"][:, 1, None, None] * line
    image = (image + plane[:, None]).clamp(0, 1) ** gamma
    for pad, dim in (((1, 1, 0, 0), 3), ((0, 0, 1, 1), 2)):
        wide = F.pad(image, pad, mode="replicate")
        around = wide.narrow(dim, 0, side) + wide.narrow(dim, 2, side)
        image = image + blur * (around - 2 * image)
    return (image + deviation * noise).clamp(0, 1)


def affine(image: Tensor) -> tuple[Tensor, Tensor]:
    """Gain and offset by image, from the median of its grey levels and the squared mean of sqrt |x - median|."""
    grey = image.mean(1).flatten(1)
    median = grey.kthvalue(grey.shape[1] // 2 + 1, 1, keepdim=True).values
    spread = (grey - median).abs().sqrt().mean(1, keepdim=True).square()
    gain = SPREAD / spread.clamp_min(FLOOR)
    return gain[:, :, None, None], (0.5 - median * gain)[:, :, None, None]


def normalised(image: Tensor) -> Tensor:
    gain, offset = affine(image)
    return image * gain + offset
