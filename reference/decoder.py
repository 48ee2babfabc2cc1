"""Learns a decoder that compares places with the good references that the memory of features retrieves for them, for weights that
have been pre-trained and have projections (`projection.py`).

    cargo build --release -p blemish-train --example scenes
    python reference/decoder.py weights/light.safetensors --out FILE

What a place differs by from the nearest reference of either group (`crates/blemish/src/parts/features`), with how far that is, is
looked at by a small network together with the places around it. What it says is added to the logarithm of the distance: where it says
nothing, the distance counts as it is. On generated scenes defective places are ranked above the furthest places of good photos,
and photos by their furthest places. Every scene is seen once, what is added is kept small, and only part of it is written: what is
learnt of the training families should not count in full on others.
"""

import math
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from projection import (
    CLIP, DECAY, NAMES, REFERENCES, REMARK, WARMUP, WEIGHT_DECAY, Step, arguments, described_by, noted, pairs, ranking, residuals, said,
)
from scenes import Generators, Prepared
from weights import DECODER, PROJECTION, crate_layout, read_added, read_pretrained, write_pretrained

# Channels of the network, and places that it looks at each way.
WIDTH, AROUND = 32, 5
# Share of what is learnt that is written, and the weight of the square of what is added.
STRENGTH, SMALL = 0.75, 0.5
# The least distance, in units of the most that good photos show.
LEAST = 1e-4


class Decoder(nn.Module):
    """Of each place the logarithms of its distances and its residuals, [B, h * w, values], to what is added to the logarithm of both
    groups' distance."""

    def __init__(self, values: int):
        super().__init__()
        self.embed = nn.Linear(3 + values, WIDTH)
        self.around = nn.Conv2d(WIDTH, WIDTH, AROUND, padding=AROUND // 2, groups=WIDTH)
        self.up = nn.Linear(WIDTH, 2 * WIDTH)
        self.down = nn.Linear(2 * WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, seen: Tensor, side: int) -> Tensor:
        hidden = self.embed(seen)
        around = self.around(hidden.transpose(1, 2).unflatten(2, (side, side))).flatten(2).transpose(1, 2)
        return self.out(F.gelu(hidden + self.down(F.gelu(self.up(around)))))[..., 0]


def compared(values: list[Tensor], surface: bool, side: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Of every place of the last three photos what the decoder sees, [3, places, 3 + values], and the logarithm of both groups'
    distance, [3, places]: the nearest of some places of the others is its reference; in units of the most that good photos
    show."""
    told, logarithms, both = [], [], 0.0
    for residual in residuals(values, surface, side, rng):
        distance = residual.square().sum(2).sqrt()
        unit = distance[1:].amax(1).mean().clamp_min(LEAST)
        told.append(residual[..., :-2] / unit)
        logarithms.append((distance / unit).clamp_min(LEAST).log())
        both = both + (distance / unit).square()
    both = both.sqrt()
    joint = (both / both[1:].amax(1).mean().clamp_min(LEAST)).clamp_min(LEAST).log()
    return torch.cat([torch.stack([*logarithms, joint], -1), *told], -1), joint


def ranked(joint: Tensor, defect: Tensor, side: int) -> Tensor:
    """Both rankings of `projection.py`, and how often the first photo is further away at most than a good one."""
    return torch.stack([*ranking((2 * joint).exp(), defect, side, False), pairs(joint)])


def main() -> None:
    args = arguments(__doc__, "weights with projections", "decoder", 400, 160).parse_args()

    network, origin = read_pretrained(args.init)
    network.requires_grad_(False)
    projections = read_added(args.init, PROJECTION)
    if sorted(projections) != sorted(NAMES):
        raise ValueError(f"{args.init} has no projections: projection.py comes first")
    torch.manual_seed(args.seed)
    decoder = Decoder(sum(projections[name].shape[1] for name in NAMES))
    average = Decoder(decoder.embed.in_features - 3)
    average.load_state_dict(decoder.state_dict())

    @torch.no_grad()
    def scenes(step: Step) -> list[tuple[Tensor, Tensor]]:
        brought = [[own @ projections[name] for own, name in zip(scene, NAMES)] for scene in described_by(network, step, False)]
        return [compared(own, bool(surface), step.side, step.rng) for own, surface in zip(brought, step.surface)]

    records = Generators(args.generator, 2000 + args.seed, args.batch_size, 1, 128, REFERENCES).records(0)
    held_out = [Step(next(records), args.seed, i) for i in range(args.held_out // args.batch_size)]
    records.close()
    held_out = [(step, scenes(step)) for step in held_out]

    @torch.no_grad()
    def measured(strength: float) -> str:
        found = [ranked(joint + strength * average(seen, step.side), defect, step.side).numpy()
                 for step, of in held_out for (seen, joint), defect in zip(of, step.defect)]
        return said(np.mean(found, 0))

    print("distances:", measured(0.0), file=sys.stderr, flush=True)
    optimizer = torch.optim.AdamW(decoder.parameters(), weight_decay=WEIGHT_DECAY)
    source = Generators(args.generator, 1000 + args.seed, args.batch_size, 1, 128, REFERENCES)
    steps = Prepared(source, 0, lambda record, i: Step(record, args.seed, i, True))
    began, recent = time.monotonic(), []
    for i in range(args.steps):
        step = steps.take()
        of = scenes(step)
        for group in optimizer.param_groups:
            group["lr"] = args.learning_rate * min((i + 1) / WARMUP, 1) * 0.5 * (1 + math.cos(math.pi * i / args.steps))
        added = decoder(torch.cat([seen for seen, _ in of]), step.side).unflatten(0, (len(of), 3))
        ranks = [ranked(joint + own, defect, step.side) for (_, joint), own, defect in zip(of, added, step.defect)]
        mean = torch.stack(ranks).mean(0)
        optimizer.zero_grad(set_to_none=True)
        (mean[:2].sum() + SMALL * added.square().mean()).backward()
        if bool(torch.isfinite(nn.utils.clip_grad_norm_(decoder.parameters(), CLIP))):
            optimizer.step()
        with torch.no_grad():
            for mean_of, now in zip(average.parameters(), decoder.parameters()):
                mean_of.lerp_(now, 1 - min(DECAY, (1 + i) / (10 + i)))
        recent.append(mean.detach().numpy())
        if (i + 1) % REMARK == 0:
            print(f"step {i + 1}: {said(np.mean(recent, 0))}, {time.monotonic() - began:.0f} s; held out:",
                  measured(STRENGTH), file=sys.stderr, flush=True)
            recent.clear()
    steps.stop()

    with torch.no_grad():
        for value in average.out.parameters():
            value.mul_(STRENGTH)
    named = {DECODER + name: value for name, value in crate_layout(average).items()}
    write_pretrained(args.out, network, noted(origin), {**projections, **named})
    print(args.out)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, SafetensorError) as error:
        sys.exit(f"error: {error}")
