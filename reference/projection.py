"""Learns by what linear maps the memory of features describes places, for a network that has been pre-trained and stays as it is.

    cargo build --release -p blemish-train --example scenes
    python reference/projection.py weights/light.safetensors --out FILE

The memory of features (`crates/blemish/src/parts/features`) describes a place by the values of two groups of levels, brought to fewer
by a linear map of each group: principal components of a product's good images, or, where the network's file has them, the maps
`projection.fine` and `projection.wide`, which are learnt here. On generated scenes the distance of a defective place to the nearest
place of several good photos is ranked above the largest distances of other good photos, by each group and by both together.
"""

import argparse
import math
import shlex
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor

from draws import generator
from model import Light
from photos import normalised
from retrieve import DEFECTIVE, FURTHEST, LEAST_UNIT, MARGIN, SOFT_MAXIMUM, SOFTNESS
from scenes import Generators, Record
from weights import read_pretrained, write_pretrained

ROOT = Path(__file__).resolve().parents[1]
GENERATOR = ROOT / "target/release/examples/scenes"
NAMES = ("projection.fine", "projection.wide")
# Pixels between places; values that a group describes a place by; how far two places are from each other that lie a view's side apart.
STRIDE, VALUES, AWAY = 8, 48, 8.0
# References of a scene that are drawn, the fewest that are taken, and how many of their places are looked at.
REFERENCES, FEWEST, PLACES = 6, 3, 1536
# Largest norm of a gradient; share of the newest projections in the moving average that is kept; steps between remarks.
CLIP, FOLLOWS, REMARK = 1.0, 0.02, 100
# What the random numbers of a step are for (beside those of `draws.py`).
OF_CHOICE = 10


def groups(network: Light, images: Tensor) -> list[list[Tensor]]:
    """[B, 3, H, W] -> the levels of both groups, [B, c, h, w] each."""
    inner = network.tokens(images)
    maps = network.head.maps(inner["grid"], inner["levels"], 2)
    return [[x.permute(0, 3, 1, 2) for x in group] for group in (inner["levels"], (inner["middle"], *maps))]


def described(levels: list[Tensor], side: int) -> list[Tensor]:
    """[B, places, channels] by run: the means of each level and, where it is finer than places are, its largest values."""
    runs = []
    for level in levels:
        around = F.avg_pool2d(level, 3, 1, 1, count_include_pad=False)
        runs.append(F.interpolate(around, size=(side, side), mode="bilinear", align_corners=False))
        if (cells := level.shape[-1] // side) > 1:
            runs.append(F.max_pool2d(level, cells + 2, cells, 1))
    return [run.flatten(2).transpose(1, 2) for run in runs]


def units(run: Tensor) -> Tensor:
    """What brings a run's channels to units of their deviation, all runs alike in sum."""
    deviation = run.flatten(0, 1).std(0, unbiased=False)
    least = LEAST_UNIT * deviation.square().mean().sqrt().clamp_min(1e-9)
    return 1 / (torch.maximum(deviation, least) * math.sqrt(len(deviation)))


def values(runs: list[Tensor], references: int) -> Tensor:
    """[photos, places, values], in units of the first photos."""
    return torch.cat([run * units(run[:references]) for run in runs], 2)


class Step:
    """What is drawn of a step. Photos are normalised, [S, 3, H, W]: references, the first, the first without its defect, another."""

    def __init__(self, record: Record, seed: int, step: int):
        has = record.mask.any((1, 2))
        photos = np.stack([*record.references, record.image, record.clean, record.good])[:, has]
        images = torch.from_numpy(photos).permute(0, 1, 4, 2, 3).float() / 255
        self.photos = normalised(images.flatten(0, 1)).unflatten(0, images.shape[:2])
        self.defect = F.avg_pool2d(torch.from_numpy(record.mask[has]).float(), STRIDE).flatten(1)
        self.surface = record.surface[has]
        self.side = record.side // STRIDE
        self.rng = torch.Generator().manual_seed(int(generator(seed, OF_CHOICE, step).integers(2**62)))


def distances(values: list[Tensor], projections: list[Tensor], surface: bool, side: int, rng: torch.Generator) -> list[Tensor]:
    """[3, places] squared, by group, of every place of the last three photos to the nearest one of some of the others."""
    line = torch.arange(side) * (0.0 if surface else AWAY / side)
    places = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).flatten(0, 1)
    count = len(values[0]) - 3
    taken = torch.randperm(count, generator=rng)[: int(torch.randint(FEWEST, count + 1, (), generator=rng))]
    some = torch.randperm(len(taken) * len(places), generator=rng)[:PLACES]
    at = places.repeat(len(taken), 1)[some]
    out = []
    for own, projection in zip(values, projections):
        kept = torch.cat([own[taken].flatten(0, 1)[some] @ projection, at], 1)
        rows = torch.cat([own[count:] @ projection, places.expand(3, -1, -1)], 2).flatten(0, 1)
        with torch.no_grad():
            nearest = torch.addmm(kept.square().sum(1), rows, kept.T, alpha=-2).argmin(1)
        out.append((rows - kept[nearest]).square().sum(1).unflatten(0, (3, -1)))
    return out


def joint(own: list[Tensor]) -> Tensor:
    """Both groups, each in the unit that the product takes: the most that good photos show."""
    return sum(d / d[1:].amax(1).mean().detach().clamp_min(1e-8) for d in own)


def ranking(distance: Tensor, defect: Tensor) -> Tensor:
    """As `retrieve.ranking`: defective places above the furthest places of both good photos. [3, places], squared."""
    first, *good = distance.clamp_min(1e-8).log() / 2
    bad = (defect > 0) & (defect >= (defect.max() / 2).clamp_max(DEFECTIVE))
    count = max(1, int(FURTHEST * len(first)))
    furthest = torch.cat([photo.topk(count).values for photo in good]) / SOFT_MAXIMUM
    limit = SOFT_MAXIMUM * (torch.logsumexp(furthest, 0) - math.log(2 * count))
    return F.softplus((limit + MARGIN - first[bad]) / SOFTNESS).mean()


def retrieval(values: list[list[Tensor]], projections: list[Tensor], step: Step) -> tuple[Tensor, float]:
    """The mean of the ranking over the scenes, and how often the first photo is further away at most than a good one."""
    total, more = [], []
    for scene, own in enumerate(values):
        found = distances(own, projections, bool(step.surface[scene]), step.side, step.rng)
        both, defect = joint(found), step.defect[scene]
        total.append(ranking(both, defect) + 0.5 * sum(ranking(d, defect) for d in found))
        first, *good = both.detach().amax(1).tolist()
        more.append(sum(first > other for other in good) / 2)
    return torch.stack(total).mean(), float(np.mean(more))


@torch.no_grad()
def described_by(network: Light, step: Step) -> list[list[Tensor]]:
    """The values of the places of every scene's photos, by group."""
    count, scenes = step.photos.shape[:2]
    levels = groups(network, step.photos.flatten(0, 1))
    runs = [[run.unflatten(0, (count, scenes)) for run in described(group, step.side)] for group in levels]
    return [[values([run[:, s] for run in group], count - 3) for group in runs] for s in range(scenes)]


def components(all_values: list[list[Tensor]]) -> list[Tensor]:
    """Where learning begins: the principal components of some scenes together."""
    out = []
    for group in range(2):
        rows = torch.cat([own[group].flatten(0, 1)[::5] for own in all_values])
        rows = rows - rows.mean(0)
        _, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
        out.append(vectors[:, -VALUES:].flip(1).contiguous())
    return out


@torch.no_grad()
def measured(network: Light, projections: list[Tensor], held_out: list[Record], seed: int) -> str:
    """What `retrieval` gives in the mean over scenes that nothing is learnt from."""
    found = []
    for i, record in enumerate(held_out):
        step = Step(record, seed, i)
        found.append([float(v) for v in retrieval(described_by(network, step), projections, step)])
    loss, pairs = np.mean(found, 0)
    return f"ranking {loss:.4f}, pairs {pairs:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("init", type=Path, help="the network's weights")
    parser.add_argument("--out", type=Path, required=True, help="file that they are written to with the projections")
    parser.add_argument("--steps", type=int, default=1000, help="how many steps (1000)")
    parser.add_argument("--batch-size", type=int, default=8, help="scenes of a step (8)")
    parser.add_argument("--learning-rate", type=float, default=3e-3, help="its peak (0.003)")
    parser.add_argument("--seed", type=int, default=0, help="of scenes and of what is drawn of them (0)")
    parser.add_argument("--held-out", type=int, default=96, help="scenes to measure by (96)")
    parser.add_argument("--generator", default=f"{GENERATOR} --defective 100", help="command of the generator (%(default)s)")
    args = parser.parse_args()

    network, origin = read_pretrained(args.init)
    records = Generators(args.generator, 2000 + args.seed, 8, 1, 128, REFERENCES).records(0)
    held_out = [next(records) for _ in range(args.held_out // 8)]
    records.close()
    some = [own for i, record in enumerate(held_out) for own in described_by(network, Step(record, 1, i))]
    projections = [p.requires_grad_() for p in components(some)]
    print("principal components:", measured(network, projections, held_out, args.seed), file=sys.stderr, flush=True)

    optimizer = torch.optim.Adam(projections)
    averages = [p.detach().clone() for p in projections]
    records = Generators(args.generator, 1000 + args.seed, args.batch_size, 1, 128, REFERENCES).records(0)
    began, recent = time.monotonic(), []
    for i in range(args.steps):
        step = Step(next(records), args.seed, i)
        optimizer.param_groups[0]["lr"] = args.learning_rate * 0.5 * (1 + math.cos(math.pi * i / args.steps))
        ranked, pairs = retrieval(described_by(network, step), projections, step)
        optimizer.zero_grad(set_to_none=True)
        ranked.backward()
        torch.nn.utils.clip_grad_norm_(projections, CLIP)
        optimizer.step()
        with torch.no_grad():
            for mean, now in zip(averages, projections):
                mean.lerp_(now, FOLLOWS)
        recent.append((float(ranked.detach()), pairs))
        if (i + 1) % REMARK == 0:
            ranked, pairs = np.mean(recent, 0)
            recent.clear()
            seconds = time.monotonic() - began
            print(f"step {i + 1}: ranking {ranked:.4f}, pairs {pairs:.4f}, {seconds:.0f} s; held out:",
                  measured(network, averages, held_out, args.seed), file=sys.stderr, flush=True)
    records.close()
    commands = [origin.get("command"), shlex.join(["python", *sys.argv])]
    note = {**origin, "command": "; ".join(command for command in commands if command)}
    write_pretrained(args.out, network, note, dict(zip(NAMES, averages)))
    print(args.out)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, SafetensorError) as error:
        sys.exit(f"error: {error}")
