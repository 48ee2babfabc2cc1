"""Two views of each scene of a step: as it is, perhaps with a defect; and its clean twin in another light, a little
further on. All on the device that trains."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from draws import NOISE, Step, generator

# What `blemish` brings the spread of grey levels to, and the least spread that it stretches.
SPREAD, FLOOR = 0.4, 1 / 255


@dataclass
class Views:
    """[S, 3, H, W] each, normalised as scoring does; `defect` is [S, 1, H, W], 1 where view A is defective."""

    a: Tensor
    clean: Tensor  # view A without its defect
    b: Tensor
    defect: Tensor


def make_views(step: Step, seed: int, device: torch.device) -> Views:
    on = {name: value.to(device, non_blocking=True) for name, value in step.arrays.items()}
    noise = torch.Generator(device).manual_seed(int(generator(seed, NOISE, step.step).integers(2**62)))
    size = (step.scenes, 3, step.side, step.side)

    def view(name: str, corner: str) -> Tensor:
        return cut(on[name], on[corner], step.side).permute(0, 3, 1, 2).float() / 255

    def drawn_noise() -> Tensor:
        """The same in all channels of what is grey."""
        values = torch.randn(size, generator=noise, device=device)
        return torch.where(on["grey"][:, None, None, None], values[:, :1], values)

    def light(view: str) -> dict[str, Tensor]:
        return {name.removeprefix(f"{view}."): value for name, value in on.items() if name.startswith(f"{view}.")}

    b = changed(view("clean", "corner_b"), light("b"), drawn_noise())
    tint = torch.where(on["grey"][:, None], 1.0, on["tint"])
    b = (b * tint[:, :, None, None]).clamp(max=1)

    # The same draws for both: they differ by the defect alone.
    same = drawn_noise()
    a, clean = (torch.where(on["changed"][:, None, None, None], changed(x, light("a"), same), x)
                for x in (view("image", "corner_a"), view("clean", "corner_a")))
    gain, offset = affine(a)
    defect = cut(on["mask"], on["corner_a"], step.side)[:, None].float()
    return Views(a * gain + offset, clean * gain + offset, normalised(b), defect)


def cut(whole: Tensor, corner: Tensor, side: int) -> Tensor:
    """[S, W, W, ...] -> [S, side, side, ...], by scene from its `corner` [S, 2] on."""
    scene = torch.arange(len(whole), device=whole.device)[:, None, None]
    rows, columns = (corner[:, i, None] + torch.arange(side, device=whole.device) for i in (0, 1))
    return whole[scene, rows[:, :, None], columns[:, None, :]]


def changed(image: Tensor, light: dict[str, Tensor], noise: Tensor) -> Tensor:
    """The image in another light, in the order of the light's way: scene, lens, sensor. Values stay in [0, 1]."""
    by = {name: value[:, None, None, None] for name, value in light.items() if name != "slope"}
    side = image.shape[-1]
    line = (torch.arange(side, device=image.device) + 0.5) / side - 0.5
    plane = light["slope"][:, 0, None, None] * line[:, None] + light["slope"][:, 1, None, None] * line
    offset = by["brightness"] + image.mean((1, 2, 3), keepdim=True) * (1 - by["gain"])
    image = (image * by["gain"] + offset + plane[:, None]).clamp(0, 1) ** by["gamma"]
    for pad, dim in (((1, 1, 0, 0), 3), ((0, 0, 1, 1), 2)):
        wide = F.pad(image, pad, mode="replicate")
        around = wide.narrow(dim, 0, side) + wide.narrow(dim, 2, side)
        image = image + by["blur"] * (around - 2 * image)
    return (image + by["noise"] * noise).clamp(0, 1)


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
