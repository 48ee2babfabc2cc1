"""The loop of a pre-training: optimiser, schedule, moving average, log and checkpoints."""

import copy
import json
import math
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from draws import OF_WEIGHTS, Step, draw_step, generator
from filters import begin_with_filters
from layers import DyT
from model import Light
from objective import PARTS, Objective, objective
from photos import make_photos
from scenes import Generators, Prepared, Record, Recorded
from weights import FIXED, replace, write_pretrained

CHECKPOINT, METRICS, WEIGHTS_FILE = "checkpoint.pt", "metrics.jsonl", "light.safetensors"
# Steps that a line of the log is the mean of, and steps between remarks.
RECORD, REMARK = 20, 100
# Counted up with every change of the generated images or of the objective, with the crate's: a run goes on with what it began
# with, or not at all.
OBJECTIVE = 4


@dataclass(frozen=True)
class Settings:
    """All that the result of a given number of steps depends on."""

    seed: int = 0
    batch_size: int = 64  # scenes a step at 128 pixels, fewer of larger ones
    side: int | None = None  # of all photos; none: drawn by step
    learning_rate: float = 1e-3
    warmup: int = 200
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    bf16: bool = False
    objective: Objective = field(default_factory=Objective)


@dataclass
class Progress:
    """Where a run is."""

    step: int = 0
    steps: int | None = None  # in all; none where the clock decides
    end: float | None = None  # the second at which it ends; none where the steps decide
    warm: float = 0.0  # the second at which the warm-up was over
    seconds: float = 0.0
    taken: int = 0  # steps that were not skipped
    scenes: int = 0
    changed: list = field(default_factory=list)  # after which step `steps` was changed, and to what

    def set_length(self, steps: int | None, minutes: float | None) -> None:
        if steps is not None:
            steps = max(steps, self.step)
            if self.steps is not None and self.steps != steps:
                self.changed.append([self.step, steps])
            self.steps, self.end = steps, None
        elif minutes is not None:
            self.steps, self.end = None, self.seconds + 60 * minutes

    def is_done(self) -> bool:
        return self.seconds >= self.end if self.steps is None else self.step >= self.steps

    def learning_rate(self, s: Settings) -> float:
        """Linear warm-up, then a cosine to zero."""
        if self.step < s.warmup:
            return s.learning_rate * (self.step + 1) / s.warmup
        if self.steps is None:
            share = (self.seconds - self.warm) / max(self.end - self.warm, 1e-9)
        else:
            share = (self.step - s.warmup) / max(self.steps - s.warmup, 1)
        return s.learning_rate * 0.5 * (1 + math.cos(math.pi * min(share, 1)))


def initialise(network: Light, seed: int) -> None:
    """As the crate: Xavier for linear maps, Kaiming for convolutions, plain filters in the stem, biases and the last layer 0."""
    torch.manual_seed(int(generator(seed, OF_WEIGHTS, 0).integers(2**62)))
    for part in network.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Conv2d):
            nn.init.kaiming_uniform_(part.weight, nonlinearity="relu")
            nn.init.zeros_(part.bias)
        elif isinstance(part, DyT):
            nn.init.constant_(part.alpha, FIXED["dyt_alpha"])
    for table in (network.pos_embed.learnable, network.decoder_pos_embed.learnable, network.mask_token):
        nn.init.trunc_normal_(table, std=0.02, a=-0.04, b=0.04)
    nn.init.zeros_(network.head.out.weight)
    begin_with_filters(network.stem.convs)


def parameter_groups(network: Light, weight_decay: float) -> list[dict]:
    """For an optimiser: norms, biases and embeddings do not decay."""
    named = list(network.named_parameters())
    return [
        {"params": [p for name, p in named if name.endswith(".weight")], "weight_decay": weight_decay},
        {"params": [p for name, p in named if not name.endswith(".weight")], "weight_decay": 0.0},
    ]


class Trainer:
    """A run in `folder`. `note` has what the weights' file says of the program: `commands`, `commit`, `version`; and
    `source`, where the scenes come from."""

    def __init__(self, folder: Path, settings: Settings, network: Light, device: torch.device, note: dict):
        self.folder, self.settings, self.device, self.note = folder, settings, device, note
        self.network = network.to(device)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        groups = parameter_groups(self.network, settings.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=device.type == "cuda")
        self.progress = Progress()
        # By step since the last line of the log: the loss, its parts (NaN: there is none), the gradient's norm.
        self.values: list[Tensor] = []
        self.since = (0, 0.0)

    def train(self, source: Generators | Recorded, save_every: float, stop: list) -> bool:
        """Goes on until the run is done; false where `stop` got an entry before. Saves every so many minutes."""
        p = self.progress
        steps = Prepared(source, p.step, self.draw)
        began, saved, self.since = time.monotonic() - p.seconds, time.monotonic(), (p.scenes, p.seconds)
        try:
            while not p.is_done() and not stop:
                rate = self.step(steps.take())
                p.seconds = time.monotonic() - began
                if p.step == self.settings.warmup:
                    p.warm = p.seconds
                if p.step % RECORD == 0:
                    self.log(rate)
                if time.monotonic() - saved >= 60 * save_every:
                    self.save()
                    saved = time.monotonic()
        finally:
            steps.stop()
        self.save()
        return p.is_done()

    def draw(self, record: Record, step: int) -> Step:
        """Called by the threads that prepare steps."""
        drawn = draw_step(record, step, self.settings.seed, self.settings.objective.masked_share)
        return drawn.pinned() if self.device.type == "cuda" else drawn

    def step(self, step: Step) -> float:
        """One step; returns its learning rate."""
        s, p = self.settings, self.progress
        rate = p.learning_rate(s)
        with torch.no_grad():
            photos = make_photos(step, s.seed, self.device)
        parts = objective(s.objective, self.network, step, photos, s.bf16)
        self.optimizer.zero_grad(set_to_none=True)
        parts["loss"].backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), s.clip_norm if s.clip_norm > 0 else math.inf)
        if bool(torch.isfinite(parts["loss"] + norm)):
            self.update(rate)
            none = torch.full_like(norm, math.nan)
            self.values.append(torch.stack([*(parts.get(name, none).detach() for name in ("loss", *PARTS)), norm]))
        else:
            print(f"warning: step {p.step} is left out: its loss or gradient is not finite", file=sys.stderr)
        p.step += 1
        p.scenes += step.scenes
        return rate

    @torch.no_grad()
    def update(self, rate: float) -> None:
        p = self.progress
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        p.taken += 1
        # Young averages follow faster, so that the random start is soon forgotten.
        decay = min(self.settings.ema_decay, (1 + p.taken) / (10 + p.taken))
        for average, now in zip(self.average.parameters(), self.network.parameters()):
            average.lerp_(now, 1 - decay)

    def log(self, rate: float) -> None:
        """A line of metrics.jsonl, as `blemish pretrain` writes it."""
        p = self.progress
        if not self.values:
            return
        loss, *means, norm = torch.stack(self.values).nanmean(0).tolist()
        parts = {name: mean for name, mean in zip(PARTS, means) if not math.isnan(mean)}
        speed = (p.scenes - self.since[0]) / max(p.seconds - self.since[1], 1e-9)
        self.values, self.since = [], (p.scenes, p.seconds)
        record = {
            "step": p.step, "steps": p.steps, "scenes": p.scenes, "loss": loss, "parts": parts, "gradient_norm": norm,
            "learning_rate": rate, "skipped": p.step - p.taken, "scenes_per_second": speed, "seconds": p.seconds,
        }
        with open(self.folder / METRICS, "a") as file:
            file.write(json.dumps(record) + "\n")
        if p.step % REMARK == 0:
            of = ", ".join(f"{name} {value:.4f}" for name, value in parts.items())
            print(f"step {p.step}: loss {loss:.4f} ({of}), gradient {norm:.2f}, {speed:.0f} scenes/s, "
                  f"{p.seconds / 60:.1f} min", file=sys.stderr)

    def save(self) -> None:
        """Checkpoint and weights, each whole or not at all."""
        p, s = self.progress, self.settings
        path = self.folder / CHECKPOINT
        part = path.with_name(path.name + ".part")
        torch.save({
            "objective": OBJECTIVE, "settings": asdict(s), "progress": asdict(p), "source": self.note["source"],
            "commands": self.note["commands"],
            "network": self.network.state_dict(), "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }, part)
        replace(part, path)
        origin = {
            "command": "; ".join(self.note["commands"]), "commit": self.note["commit"], "version": self.note["version"],
            "seed": s.seed, "steps": p.step, "of_steps": p.steps, "changed": p.changed, "skipped": p.step - p.taken,
            "images": p.scenes, "families": "training", "objective": asdict(s.objective),
        }
        write_pretrained(self.folder / WEIGHTS_FILE, self.average, origin)

    def load(self, checkpoint: dict) -> None:
        """Goes on from what `save` has written, without the lines of the log that came after it."""
        self.progress = Progress(**checkpoint["progress"])
        self.network.load_state_dict(checkpoint["network"])
        self.average.load_state_dict(checkpoint["average"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        log = self.folder / METRICS
        if log.exists():
            kept = [line for line in log.read_text().splitlines() if json.loads(line)["step"] <= self.progress.step]
            log.write_text("".join(line + "\n" for line in kept))
