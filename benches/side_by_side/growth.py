"""How cost grows with images, tokens and threads."""

import os
from pathlib import Path

from side_by_side.child import Starter
from side_by_side.model_rows import note
from side_by_side.plan import Plan
from side_by_side.rounds import MOST_REPEATS, TURN, median
from side_by_side.rows import Page, duration, table

WHY = """\
How the cost should grow by the arithmetic; these are expectations to hold the tables against, not findings:

- **Images**: in proportion.
- **Tokens**: convolutions, projections and MLPs in proportion, attention with the square; the arithmetic column has both.
- **Threads**: less than twice, since a pass is a chain of parallel regions that each wait for their last piece.

Where a table departs from this, a profile has to say why; what was found on 2026-11-27 is in DESIGN.md of commit 0fe1544."""


def growth(starter: Starter, plan: Plan, folder: Path, page: Page, counts: list[int]) -> None:
    note("doubling tables")
    parts = []
    ours = {n: starter.ours(n) for n in counts}
    most = ours[counts[-1]]
    for preset, channels in (("light", 1), ("diyt", 3)):
        for child in ours.values():
            child.ask("load", folder=folder / preset)
        times = {n: steady(most, batch=n) for n in plan.doublings}
        rows = [[str(n), duration(t), duration(t / n), f"{t / times[n // 2]:.2f}" if n // 2 in times else ""] for n, t in times.items()]
        parts += [f"`{preset}`, images, {most.threads} thread(s):", table(["images", "pass", "per image", "per doubling"], rows)]

        rows, before = [], None
        for size in plan.sides:
            at = folder / f"{preset}-{size[0]}x{size[1]}"
            if preset == "diyt" and size[0] != size[1]:
                continue  # square images only
            most.ask("prepare", folder=at, preset=preset, channels=channels, image_size=size, images=1)
            loaded = most.ask("load", folder=at)
            now = (size[0] * size[1] // 256, steady(most, batch=1), loaded["flops"])
            grown = [f"x {b / a:.2f}" for a, b in zip(before, now)] if before else ["", "", ""]
            rows.append([str(now[0]), grown[0], duration(now[1]), grown[1], f"{now[2] / 1e9:.2f} GFLOP", grown[2]])
            before = now
        headings = ["tokens", "", "pass of one image", "", "arithmetic", ""]
        parts += [f"`{preset}`, tokens (image size), {most.threads} thread(s):", table(headings, rows)]

        rows = []
        for what, op, batch in (("one image", "forward", 1), (f"{plan.inference_batches[-1]} images", "forward", plan.inference_batches[-1]),
                                (f"training step of {plan.training_batches[0]}", "step", plan.training_batches[0])):
            for child in ours.values():
                child.ask("load", folder=folder / preset)
            # Turn about, so that the machine's mood is the same for all.
            measured = {n: [] for n in counts}
            for _ in range(max(2, plan.least)):
                for n, child in ours.items():
                    measured[n].append(steady(child, op, batch=batch))
            seconds = [median(measured[n]) for n in counts]
            rows.append([what, *(duration(s) for s in seconds), f"{seconds[0] / seconds[-1]:.2f}"])
        parts += [f"`{preset}`, threads ({os.cpu_count()} cores):",
                  table(["work", *(f"{n} thread(s)" for n in counts), "speed-up"], rows)]
    for child in ours.values():
        child.close()
    page.add("Doublings", *parts, WHY)


def steady(child, op: str = "forward", **arguments) -> float:
    first = min(child.seconds(op, repeats=2, **arguments))
    return median(child.seconds(op, repeats=max(1, min(MOST_REPEATS, round(TURN / first))), **arguments))
