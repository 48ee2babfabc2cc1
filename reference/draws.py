"""What a step of pre-training draws of its scenes, in numpy: functions of seed and step alone.

Masks, places and the amounts of light are distributed as those of `blemish pretrain`; the random numbers are others.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from scenes import Record

PATCH = 16
MASK_RATIO = 0.75
# Smallest side of a hidden block in patches; the largest is half the grid's.
BLOCK_MIN = 2
# Strides of the maps that the contrast is about; places of the first photo and of the reference that it takes.
STRIDES = (16, 8, 4)
TAKEN, OTHERS = 16, 32
# Largest changes of a photo's light, in one of two.
LIGHT = {"gradient": 0.15, "gamma": 0.25, "blur": 0.2, "noise": 0.02}
# What a draw is for: part of its generator's key.
OF_LIGHT, OF_MASK, OF_PLACES, OF_NOISE, OF_WEIGHTS = range(5)


def generator(seed: int, what: int, step: int, item: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, what, step, item])


@dataclass
class Places:
    """Places of a level's maps, by their index in [h * w], the same of every scene."""

    taken: Tensor  # of the first photo
    others: Tensor  # of the reference


@dataclass
class Step:
    """What is drawn of a step, on the CPU; `arrays` has the scenes and, by scene, how their light changes."""

    step: int
    side: int
    scenes: int
    arrays: dict[str, Tensor]
    near: list[bool]  # by scene: a place is compared with those around it only
    hidden: Tensor  # [S', N], 1 = hidden: of the first S' scenes
    places: list[Places]

    def pinned(self) -> "Step":
        """In memory that a GPU copies from beside its work."""
        arrays = {name: value.pin_memory() for name, value in self.arrays.items()}
        places = [Places(*(getattr(each, f.name).pin_memory() for f in fields(each))) for each in self.places]
        return replace(self, arrays=arrays, hidden=self.hidden.pin_memory(), places=places)


def draw_step(record: Record, step: int, seed: int, masked_share: float) -> Step:
    """Draws all of a step but its noise."""
    scenes, side = len(record.grey), record.side
    grid = side // PATCH
    rng = generator(seed, OF_LIGHT, step)
    arrays = {
        "image": record.image, "clean": record.clean, "reference": record.references[0], "good": record.good,
        "mask": record.mask, "grey": record.grey,
    }
    near = (~record.surface & (rng.random(scenes) < 0.5)).tolist()
    for photo in ("a", "r", "g"):
        drawn = draw_light(scenes, rng) | {"changed": rng.random(scenes) < 0.5}
        arrays |= {f"{photo}.{name}": value for name, value in drawn.items()}
    masked = range(int(np.ceil(scenes * masked_share)))
    hidden = np.array([block_mask(grid, generator(seed, OF_MASK, step, i)) for i in masked], np.float32)
    places = [draw_places(side // stride, generator(seed, OF_PLACES, step, stride)) for stride in STRIDES]
    tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    return Step(step, side, scenes, tensors, near, torch.from_numpy(hidden.reshape(len(masked), grid * grid)), places)


def draw_light(scenes: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """By scene: the slope of a plane of light [S, 2], exponent, blur and deviation of the noise."""
    either = {name: rng.uniform(-1, 1, scenes) * value for name, value in LIGHT.items()}
    angle, slope = rng.uniform(0, 2 * np.pi, scenes), np.abs(either["gradient"])
    drawn = {
        "slope": 2 * slope[:, None] * np.stack([np.sin(angle), np.cos(angle)], 1),
        "gamma": np.exp(either["gamma"]), "blur": np.abs(either["blur"]), "noise": np.abs(either["noise"]),
    }
    return {name: value.astype(np.float32) for name, value in drawn.items()}


def draw_places(cells: int, rng: np.random.Generator) -> Places:
    """Any places of a level of `cells` x `cells`."""
    def some(count: int) -> Tensor:
        return torch.from_numpy(rng.permutation(cells * cells)[:count])

    return Places(some(TAKEN), some(OTHERS))


def block_mask(grid: int, rng: np.random.Generator) -> np.ndarray:
    """[grid * grid], 1 = hidden: random rectangles, the last one cut to the exact count."""
    count = min(max(round(grid * grid * MASK_RATIO), 1), grid * grid - 1)
    largest = max(grid // 2, 1)
    hidden, taken = np.zeros((grid, grid), np.float32), 0
    while taken < count:
        height, width = rng.integers(min(BLOCK_MIN, largest), largest, 2, endpoint=True)
        top, left = rng.integers(0, grid - height, endpoint=True), rng.integers(0, grid - width, endpoint=True)
        block = hidden[top : top + height, left : left + width]
        new = np.argwhere(block == 0)[: count - taken]
        block[tuple(new.T)] = 1
        taken += len(new)
    return hidden.ravel()
