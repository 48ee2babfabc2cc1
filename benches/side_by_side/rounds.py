"""Interleaved timing: A B A C A B A C ..., and what is said of it."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

# Seconds that one turn should take, so that a process which was just woken counts for little.
TURN = 0.25
MOST_REPEATS = 30

Work = Callable[[int], list[float]]


@dataclass
class Pair:
    """One peer beside us: seconds of one piece of work."""

    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        return [a / b for a, b in zip(self.ours, self.theirs)]


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def median(values: list[float]) -> float:
    return statistics.median(values)


def turn(work: Work, repeats: int) -> float:
    """The median second of one turn."""
    return median(work(repeats))


def interleave(ours: Work, peers: dict[str, Work], budget: float, least: int, most: int = 15) -> dict[str, Pair]:
    """Turns of `ours` before and after every turn of each peer; its ratio is to the mean of the two.

    At least `least` rounds, then as many as fit into `budget` seconds.
    """
    if not peers:
        return {}
    started = time.perf_counter()
    repeats = {}
    for name, work in {"": ours, **peers}.items():
        # The first pass allocates, compiles, and warms caches.
        first = work(1)[0]
        repeats[name] = 1 if first > 4 * TURN else max(1, min(MOST_REPEATS, round(TURN / max(work(1)[0], 1e-6))))
    pairs = {name: Pair() for name in peers}
    rounds, before = 0, turn(ours, repeats[""])
    while rounds < least or (rounds < most and (time.perf_counter() - started) * (rounds + 1) / rounds < budget):
        for name, work in peers.items():
            theirs = turn(work, repeats[name])
            after = turn(ours, repeats[""])
            pairs[name].ours.append((before + after) / 2)
            pairs[name].theirs.append(theirs)
            before = after
        rounds += 1
    return pairs
