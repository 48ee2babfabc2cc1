"""How much is measured: everything, or a taste of it."""

from dataclasses import dataclass


@dataclass
class Plan:
    image_size: list[int] | None  # None: the preset's
    inference_batches: list[int]
    training_batches: list[int]
    doublings: list[int]
    sides: list[list[int]]
    matmul: int
    maps: tuple[int, int]
    images: tuple[int, int]  # how many, how large
    chunks: int
    starts: int
    least: int  # rounds
    budget: float  # seconds for a row group of 1; groups weigh up to 6

    @property
    def largest(self) -> int:
        return max(self.inference_batches + self.training_batches + self.doublings)


FULL = Plan(
    image_size=None, inference_batches=[1, 16], training_batches=[16, 32], doublings=[1, 2, 4, 8, 16, 32],
    sides=[[128, 128], [128, 256], [256, 256], [256, 512], [512, 512]], matmul=2048, maps=(160, 256), images=(1000, 1024),
    chunks=2, starts=20, least=3, budget=4.0,
)
SMOKE = Plan(
    image_size=[64, 64], inference_batches=[1, 2], training_batches=[2], doublings=[1, 2], sides=[[64, 64], [64, 128]],
    matmul=128, maps=(8, 32), images=(6, 128), chunks=1, starts=2, least=1, budget=0.0,
)
