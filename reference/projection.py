"""Learns by what linear maps the memory of features describes places, for a network that has been pre-trained, and with
--network-rate the network with them.

    cargo build --release -p blemish-train --example scenes
    python reference/projection.py weights/light.safetensors --out FILE
    python reference/projection.py weights/light.safetensors --out FILE \
        --learning-rate 1e-3 --network-rate 3e-4 --precision bf16 --keep 0.5

The memory of features (`crates/blemish/src/parts/features`) describes a place by the values of two groups of levels, brought to fewer
by a linear map of each group: principal components of a product's good images, or, where the network's file has them, the maps
`projection.fine` and `projection.wide`, which are learnt here. On generated scenes the distance of a defective place to the nearest
place of several good photos is ranked above the largest distances of other good photos, by each group and by both together.
Learning begins with principal components.

A network that learns could blur what it sees: defective places are ranked above the good ones of their own photo, too, and
photos by their furthest places. It keeps half of what `objective.py` asks of its reconstruction and its defect logit. Learning begins with the
file's projections. With --keep what is written lies so far back on the straight line from what was learnt to where it began
(Wortsman et al. 2022): images of other families may lose by what those of the training families gain.
"""

import argparse
import copy
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

from draws import PATCH, block_mask, generator
from model import Light
from objective import Objective, objective
from photos import Photos, normalised
from retrieve import LEAST_UNIT, MARGIN, SOFTNESS, furthest_of, is_defective, means, shortfall
from scenes import Generators, Prepared, Record
from trainer import parameter_groups
from weights import PROJECTION, read_added, read_pretrained, write_pretrained

ROOT = Path(__file__).resolve().parents[1]
GENERATOR = ROOT / "target/release/examples/scenes"
NAMES = (PROJECTION + "fine", PROJECTION + "wide")
# Pixels between places; values that a group describes a place by; how far two places are from each other that lie a view's side apart.
STRIDE, VALUES, AWAY = 8, 48, 8.0
# References of a scene that are drawn, the fewest that are taken, and how many of their places are looked at.
REFERENCES, FEWEST, PLACES = 6, 3, 1536
# Largest norm of a gradient; decay of the moving average that is kept, and of a network's weights; steps of a network's warm-up and
# between remarks.
CLIP, DECAY, WEIGHT_DECAY, WARMUP, REMARK = 1.0, 0.98, 1e-2, 50, 100
# What else is asked of a network that learns, the share of its weight, and of how many scenes of eight patches are hidden.
BESIDE, SHARE, HIDDEN = Objective(retrieve=0.0, contrast=0.0), 0.5, 2
# What the random numbers of a step are for (beside those of `draws.py`).
OF_CHOICE, OF_TURNS, OF_HIDDEN = 10, 11, 12


def groups(network: Light, images: Tensor) -> list[list[Tensor]]:
    """[B, 3, H, W] -> the levels of both groups, [B, h, w, c] each."""
    inner = network.tokens(images)
    maps = network.head.maps(inner["grid"], inner["levels"], 2)
    return [inner["levels"], [inner["middle"], *maps]]


def described(levels: list[Tensor], side: int) -> list[Tensor]:
    """[B, places, channels] by run: the means of each level and, where it is finer than places are, its largest values."""
    runs = []
    for level in levels:
        runs.append(F.interpolate(means(level), size=(side, side), mode="bilinear", align_corners=False))
        if (cells := level.shape[1] // side) > 1:
            runs.append(F.max_pool2d(level.permute(0, 3, 1, 2), cells + 2, cells, 1))
    return [run.flatten(2).transpose(1, 2) for run in runs]


def units(run: Tensor) -> Tensor:
    """What brings a run's channels to units of their deviation, all runs alike in sum."""
    deviation = run.flatten(0, 1).std(0, unbiased=False)
    least = LEAST_UNIT * deviation.square().mean().sqrt().clamp_min(1e-9)
    return 1 / (torch.maximum(deviation, least) * math.sqrt(len(deviation)))


def joined(runs: list[Tensor], references: int) -> Tensor:
    """[photos, places, values], in units of the first photos."""
    return torch.cat([run * units(run[:references]) for run in runs], 2)


class Step:
    """What is drawn of a step, with `turns` in one of eight orientations. Photos are normalised, [S, 3, H, W]: references, the
    first, the first without its defect, another."""

    def __init__(self, record: Record, seed: int, step: int, turns: bool = False):
        has = record.mask.any((1, 2))
        photos = np.stack([*record.references, record.image, record.clean, record.good])[:, has]
        images = torch.from_numpy(photos).permute(0, 1, 4, 2, 3).float() / 255
        self.photos = normalised(images.flatten(0, 1)).unflatten(0, images.shape[:2])
        self.mask = torch.from_numpy(record.mask[has]).float()[:, None]
        if turns:
            flips, turn = generator(seed, OF_TURNS, step).random(3) < 0.5, (-2, -1)
            axes = [axis for axis, flip in zip(turn, flips) if flip]
            self.photos, self.mask = (x.flip(axes) for x in (self.photos, self.mask))
            if flips[2]:
                self.photos, self.mask = (x.transpose(*turn).contiguous() for x in (self.photos, self.mask))
        self.defect = F.avg_pool2d(self.mask, STRIDE).flatten(1)
        self.surface = record.surface[has]
        self.side = record.side // STRIDE
        hidden = [block_mask(record.side // PATCH, generator(seed, OF_HIDDEN, step, i)) for i in range(HIDDEN)]
        self.hidden = torch.from_numpy(np.array(hidden, np.float32))[: has.sum()]
        self.rng = torch.Generator().manual_seed(int(generator(seed, OF_CHOICE, step).integers(2**62)))


def residuals(values: list[Tensor], surface: bool, side: int, rng: torch.Generator) -> list[Tensor]:
    """[3, places, values + 2], by group: what every place of the last three photos differs by from the nearest one of some of the others,
    and how far that lies away."""
    line = torch.arange(side) * (0.0 if surface else AWAY / side)
    places = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).flatten(0, 1)
    count = len(values[0]) - 3
    taken = torch.randperm(count, generator=rng)[: int(torch.randint(FEWEST, count + 1, (), generator=rng))]
    some = torch.randperm(len(taken) * len(places), generator=rng)[:PLACES]
    at = places.repeat(len(taken), 1)[some]
    out = []
    for own in values:
        kept = torch.cat([own[taken].flatten(0, 1)[some], at], 1)
        rows = torch.cat([own[count:], places.expand(3, -1, -1)], 2).flatten(0, 1)
        with torch.no_grad():
            nearest = torch.addmm(kept.square().sum(1), rows, kept.T, alpha=-2).argmin(1)
        out.append((rows - kept[nearest]).unflatten(0, (3, -1)))
    return out


def joint(own: list[Tensor]) -> Tensor:
    """Both groups, each in the unit that the product takes: the most that good photos show."""
    return sum(d / d[1:].amax(1).mean().detach().clamp_min(1e-8) for d in own)


def ranking(distance: Tensor, defect: Tensor, side: int, learns: bool) -> tuple[Tensor, Tensor]:
    """Of distances, [3, places], squared: as `retrieve.ranking`, how far defective places stay below the furthest places of both
    good photos and, for a network that learns, of those of the first photo that lie a place or more from its defect; and how far
    the furthest of them stays below the furthest place of each good photo."""
    first, *good = distance.clamp_min(1e-8).log() / 2
    bad = is_defective(defect)
    around = F.max_pool2d((defect > 0).float().unflatten(0, (side, side))[None], 3, 1, 1).flatten() > 0
    has_own = learns and int((~around).sum()) >= furthest_of(len(first))
    own = [first.masked_fill(around, -1e4)] if has_own else []
    of_photos = torch.stack([photo.max() for photo in good]) + MARGIN - first[bad].max()
    return shortfall(first, *own, *good)[bad].mean(), F.softplus(of_photos / SOFTNESS).mean()


def pairs(distance: Tensor) -> Tensor:
    """How often the first photo is further away at most than a good one; of distances, [3, places], or what rises with them."""
    first, *good = distance.detach().amax(1)
    return torch.stack([first > other for other in good]).float().mean()


def retrieval(values: list[list[Tensor]], projections: list[Tensor], step: Step, learns: bool) -> Tensor:
    """The mean over the scenes of both rankings, of places and of photos, and how often the first photo is further away at most
    than a good one. [3]."""
    total = []
    for scene, own in enumerate(values):
        projected = [values @ projection for values, projection in zip(own, projections)]
        differ = residuals(projected, bool(step.surface[scene]), step.side, step.rng)
        found = [residual.square().sum(2) for residual in differ]
        both, defect = joint(found), step.defect[scene]
        ranked, *groups_alone = (torch.stack(ranking(d, defect, step.side, learns)) for d in (both, *found))
        total.append(torch.cat([ranked + 0.5 * sum(groups_alone), pairs(both)[None]]))
    return torch.stack(total).mean(0)


def described_by(network: Light, step: Step, bf16: bool) -> list[list[Tensor]]:
    """The values of the places of every scene's photos, by group."""
    count, scenes = step.photos.shape[:2]
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        levels = [[level.float() for level in group] for group in groups(network, step.photos.flatten(0, 1))]
    runs = [[run.unflatten(0, (count, scenes)) for run in described(group, step.side)] for group in levels]
    return [[joined([run[:, s] for run in group], count - 3) for group in runs] for s in range(scenes)]


def beside(network: Light, step: Step, bf16: bool) -> Tensor:
    """What else is asked of a network that learns."""
    first, clean, good = step.photos[-3:]
    return SHARE * objective(BESIDE, network, step, Photos(first, clean, good, good, step.mask), bf16)["loss"]


def components(all_values: list[list[Tensor]]) -> list[Tensor]:
    """Where learning begins: the principal components of some scenes together."""
    out = []
    for group in range(2):
        rows = torch.cat([own[group].flatten(0, 1)[::5] for own in all_values])
        rows = rows - rows.mean(0)
        _, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
        out.append(vectors[:, -VALUES:].flip(1).contiguous())
    return out


def noted(origin: dict) -> dict:
    """Where weights came from, with this command."""
    commands = [origin.get("command"), shlex.join(["python", *sys.argv])]
    return {**origin, "command": "; ".join(command for command in commands if command)}


def said(ranked: np.ndarray) -> str:
    return "places {:.4f}, photos {:.4f}, pairs {:.4f}".format(*ranked)


@torch.no_grad()
def measured(network: Light, projections: list[Tensor], held_out: list[Record], seed: int, bf16: bool,
             learns: bool) -> str:
    """What `retrieval` gives in the mean over scenes that nothing is learnt from."""
    found = []
    for i, record in enumerate(held_out):
        step = Step(record, seed, i)
        found.append(retrieval(described_by(network, step, bf16), projections, step, learns).numpy())
    return said(np.mean(found, 0))


def arguments(description: str | None, init: str, added: str, steps: int, held_out: int) -> argparse.ArgumentParser:
    """What the commands that learn something for weights have in common."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("init", type=Path, help=init)
    parser.add_argument("--out", type=Path, required=True, help=f"file that they are written to with the {added}")
    parser.add_argument("--steps", type=int, default=steps, help="how many steps (%(default)s)")
    parser.add_argument("--batch-size", type=int, default=8, help="scenes of a step (%(default)s)")
    parser.add_argument("--learning-rate", type=float, default=3e-3, help=f"peak for the {added} (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of scenes and of what is drawn of them (%(default)s)")
    parser.add_argument("--held-out", type=int, default=held_out, help="scenes to measure by (%(default)s)")
    parser.add_argument("--generator", default=f"{GENERATOR} --defective 100", help="command of the generator (%(default)s)")
    return parser


def main() -> None:
    parser = arguments(__doc__, "the network's weights, perhaps with projections", "projections", 1000, 96)
    parser.add_argument("--network-rate", type=float, default=0.0, help="peak of the network's; 0: it stays as it is (0)")
    parser.add_argument("--keep", type=float, default=0.0, help="share of what it began with in what is written, 0 to 1 (0)")
    parser.add_argument("--precision", choices=("bf16", "f32"), default="f32", help="of the network's products (f32)")
    args = parser.parse_args()
    if not 0 <= args.keep <= 1:
        parser.error("--keep must be 0 to 1")

    network, origin = read_pretrained(args.init)
    bf16, learns = args.precision == "bf16", args.network_rate > 0
    network.requires_grad_(learns)
    records = Generators(args.generator, 2000 + args.seed, 8, 1, 128, REFERENCES).records(0)
    held_out = [next(records) for _ in range(args.held_out // 8)]
    records.close()
    given = read_added(args.init, PROJECTION) if learns else {}
    if given:
        projections = [given[name] for name in NAMES]
    else:
        with torch.no_grad():
            projections = components([own for i, record in enumerate(held_out)
                                      for own in described_by(network, Step(record, 1, i), bf16)])
    print("before:", measured(network, projections, held_out, args.seed, bf16, learns), file=sys.stderr, flush=True)

    projections = [p.requires_grad_() for p in projections]
    of_network = [{**group, "peak": args.network_rate} for group in parameter_groups(network, WEIGHT_DECAY)]
    of_projections = {"params": projections, "weight_decay": 0.0, "peak": args.learning_rate}
    optimizer = torch.optim.AdamW([*of_network, of_projections])
    learnt = [*network.parameters(), *projections]
    average, averages = copy.deepcopy((network, projections))
    first = copy.deepcopy(learnt)
    note = noted(origin)

    @torch.no_grad()
    def save() -> None:
        written, maps = copy.deepcopy((average, averages))
        for value, before in zip([*written.parameters(), *maps], first):
            value.lerp_(before, args.keep)
        write_pretrained(args.out, written, note, dict(zip(NAMES, maps)))

    source = Generators(args.generator, 1000 + args.seed, args.batch_size, 1, 128, REFERENCES)
    steps = Prepared(source, 0, lambda record, i: Step(record, args.seed, i, learns))
    began, recent = time.monotonic(), []
    for i in range(args.steps):
        step = steps.take()
        share = (min((i + 1) / WARMUP, 1) if learns else 1) * 0.5 * (1 + math.cos(math.pi * i / args.steps))
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * share
        with torch.set_grad_enabled(learns):
            values = described_by(network, step, bf16)
        ranked = retrieval(values, projections, step, learns)
        loss = ranked[:2].sum() + beside(network, step, bf16) if learns else ranked[0]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if bool(torch.isfinite(torch.nn.utils.clip_grad_norm_(learnt, CLIP))):
            optimizer.step()
        with torch.no_grad():
            decay = min(DECAY, (1 + i) / (10 + i))
            for mean, now in zip([*average.parameters(), *averages], learnt):
                mean.lerp_(now, 1 - decay)
        recent.append(ranked.detach().numpy())
        if (i + 1) % REMARK == 0:
            print(f"step {i + 1}: {said(np.mean(recent, 0))}, {time.monotonic() - began:.0f} s; held out:",
                  measured(average, averages, held_out, args.seed, bf16, learns), file=sys.stderr, flush=True)
            recent.clear()
            save()
    steps.stop()
    save()
    print(args.out)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, SafetensorError) as error:
        sys.exit(f"error: {error}")
