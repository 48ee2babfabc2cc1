"""What a memory of good images is asked for: a defect is further from all that a good photo shows than what is good is.

A level's map of a photo is compared with that of another good photo of its scene, as the memory of features compares
(`crates/blemish/src/parts/features`): means over 3 x 3 cells, channels in units of their deviation, Euclidean
distance to the nearest place. The loss ranks the distances of a scene's defective places above the largest of the
photo's good ones and of another good photo's: an image is judged beside others. As only ratios count, features that
shrink or grow change nothing.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from draws import Places

# Share of the places of a photo, the furthest good ones, that a defect is to surpass.
FURTHEST = 1 / 32
# Softness of their maximum and of the ranking, and by how much a defect is to surpass them: in logarithms of distances.
SOFT_MAXIMUM, SOFTNESS, MARGIN = 0.1, 0.25, 0.1
# A channel's unit is at least this share of the level's root mean square.
LEAST_UNIT = 0.3
# Share of a place that is defective where it counts as such; of small defects, half of the largest share.
DEFECTIVE = 0.125
# Cells that a place may be away from its own where only those around it are looked at, by stride.
REACH = {4: 2, 8: 2, 16: 1}


def retrieve(maps: list[Tensor], references: list[Tensor], good: list[Tensor], defect: Tensor,
             near: list[bool]) -> Tensor:
    """The mean over the levels' `means`, of the first photo, of what it is compared with and of another good one; `defect`
    is [S, 1, H, W]; `near` says by scene whether only places around the own one are looked at."""
    levels = zip(maps, references, good)
    return torch.stack([ranking(*in_units(*level), defect, near) for level in levels]).mean()


def contrast(maps: list[Tensor], references: list[Tensor], defect: Tensor, places: list[Places],
             temperature: float) -> Tensor:
    """Dense contrast (Wang et al. 2021) between the first photo and the reference: the most similar place of the scene's
    reference is told from places of other scenes' references. The mean of the levels, their `means`, that have `places`."""
    losses = []
    for level, reference, drawn in zip(maps, references, places):
        taken, others = (x.to(defect.device, non_blocking=True) for x in (drawn.taken, drawn.others))
        a, b = (F.normalize(x, dim=1, eps=1e-6).flatten(2) for x in (level, reference))
        good = F.avg_pool2d(defect, defect.shape[-1] // level.shape[-1]).flatten(1)[:, taken] == 0
        a = a[:, :, taken].transpose(1, 2)
        positive = (a @ b).amax(2) / temperature
        negative = torch.einsum("spc,tcq->sptq", a, b[:, :, others]) / temperature
        own = torch.eye(len(a), dtype=torch.bool, device=a.device)[:, None, :, None]
        negative = negative.masked_fill(own, -1e4).flatten(2).logsumexp(2)
        losses.append((F.softplus(negative - positive) * good).sum() / good.sum().clamp_min(1))
    return torch.stack(losses).mean()


def means(level: Tensor) -> Tensor:
    """[S, h, w, c] -> [S, c, h, w], over 3 x 3 cells; at the border over those that there are."""
    level = level.permute(0, 3, 1, 2)
    return F.avg_pool2d(level.float() if level.dtype == torch.bfloat16 else level, 3, 1, 1, count_include_pad=False)


def in_units(a: Tensor, b: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Channels in units of their deviation in `b`, by scene, so that all levels have about the same length."""
    deviation = b.detach().flatten(2).std(2, unbiased=False)
    least = LEAST_UNIT * deviation.square().mean(1, keepdim=True).sqrt().clamp_min(1e-6)
    scale = (1 / (torch.maximum(deviation, least) * math.sqrt(deviation.shape[1])))[:, :, None, None]
    return a * scale, b * scale, g * scale


def ranking(a: Tensor, b: Tensor, g: Tensor, defect: Tensor, near: list[bool]) -> Tensor:
    """The mean over the scenes with a defect of the softplus by which its places' distances, in logarithms, stay below the
    largest ones of the good places of `a` and of the good photo `g`, and `MARGIN`; both are compared with `b`.
    [S, c, h, h] each."""
    cells = a.shape[-1]
    stride = defect.shape[-1] // cells
    distances, of_good = (nearest(x, b, near, REACH[stride]).clamp_min(1e-8).log() / 2 for x in (a, g))
    share = F.avg_pool2d(defect, stride).flatten(1)
    good = share == 0
    bad = is_defective(share)
    count = furthest_of(cells * cells)
    short = shortfall(distances, distances.masked_fill(~good, -1e4), of_good) * bad
    counted = bad.any(1) & (good.sum(1) >= count)
    of_scene = short.sum(1) / bad.sum(1).clamp_min(1)
    return (of_scene * counted).sum() / counted.sum().clamp_min(1)


def is_defective(share: Tensor) -> Tensor:
    """Of the share of each place that is defective, [.., places], where that counts."""
    return (share > 0) & (share >= (share.amax(-1, keepdim=True) / 2).clamp_max(DEFECTIVE))


def furthest_of(places: int) -> int:
    """How many of so many places of a photo a defect is to surpass."""
    return max(1, int(FURTHEST * places))


def shortfall(distances: Tensor, *good: Tensor) -> Tensor:
    """The softplus by which distances, in logarithms, [.., places], stay below the furthest ones of good photos and `MARGIN`."""
    count = furthest_of(distances.shape[-1])
    furthest = torch.cat([photo.topk(count, -1).values for photo in good], -1) / SOFT_MAXIMUM
    limit = SOFT_MAXIMUM * (torch.logsumexp(furthest, -1, keepdim=True) - math.log(furthest.shape[-1]))
    return F.softplus((limit + MARGIN - distances) / SOFTNESS)


def nearest(a: Tensor, b: Tensor, near: list[bool], reach: int) -> Tensor:
    """Squared distance of every place of `a` to its nearest one of `b`, [S, h * h]. The nearest is looked for without a
    gradient."""
    cells = a.shape[-1]
    rows, others = a.flatten(2).transpose(1, 2), b.flatten(2).transpose(1, 2)
    at = torch.arange(cells * cells, device=a.device)
    y, x = at // cells, at % cells
    far = ((y[:, None] - y).abs() > reach) | ((x[:, None] - x).abs() > reach)
    found = []
    with torch.no_grad():
        # One scene at a time, which stays in a CPU's cache.
        for query, other, only_near in zip(rows, others, near):
            squares = torch.addmm(other.square().sum(1), query, other.T, alpha=-2)
            found.append((squares.masked_fill_(far, math.inf) if only_near else squares).argmin(1))
    chosen = others.gather(1, torch.stack(found)[:, :, None].expand_as(rows))
    return (rows - chosen).square().sum(2)
