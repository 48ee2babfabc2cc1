"""What is reported: rows with their targets, and the page."""

from collections.abc import Callable
from dataclasses import dataclass

from side_by_side.rounds import Pair, median, quartiles


@dataclass
class Target:
    """The largest ratio (or amount) that must, and that should, be reached."""

    must: float | None = None
    aim: float | None = None

    def verdict(self, value: float) -> str:
        if self.must is None and self.aim is None:
            return "no target"
        parts = []
        for name, limit in (("must", self.must), ("aim", self.aim)):
            if limit is not None:
                parts.append(f"{name} {limit:g} {'met' if value <= limit else '**missed**'}")
        return ", ".join(parts)


@dataclass
class Row:
    """A piece of work beside one peer."""

    work: str
    threads: int
    peer: str
    pair: Pair
    target: Target
    gflops: float | None = None
    share: float | None = None

    def cells(self) -> list[str]:
        low, middle, high = quartiles(self.pair.ratios)
        return [
            self.work, str(self.threads), self.peer, duration(median(self.pair.ours)), duration(median(self.pair.theirs)),
            f"**{middle:.2f}** ({low:.2f} to {high:.2f}, n={len(self.pair.ratios)})",
            "" if self.gflops is None else f"{self.gflops:.0f}",
            "" if self.share is None else f"{100 * self.share:.0f} %",
            self.target.verdict(middle),
        ]


HEADINGS = ["work", "threads", "peer", "blemish", "peer's time", "ratio (quartiles)", "GFLOP/s", "of own peak", "target"]


@dataclass
class Amount:
    """Something with a limit of its own, in units."""

    work: str
    value: float
    unit: str
    target: Target
    note: str = ""

    @property
    def amount(self) -> str:
        return f"{self.value:.0f} {self.unit}" if self.value >= 100 else f"{self.value:.3g} {self.unit}"

    def cells(self) -> list[str]:
        return [self.work, self.amount, self.target.verdict(self.value), self.note]


AMOUNTS = ["work", "measured", "target", ""]


def duration(seconds: float) -> str:
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 1 or unit == "us":
            return f"{seconds * factor:.3g} {unit}"
    return ""


def table(headings: list[str], rows: list[list[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


class Page:
    """Collects sections by title; one that is added again takes its own place, so that tables grow while they are measured."""

    def __init__(self, changed: Callable[[], None]):
        self.changed = changed
        self.parts: dict[str, str] = {}
        self.judged: dict[str, list[tuple[str, str, str]]] = {}

    def add(self, title: str, *paragraphs: str) -> None:
        self.parts[title] = "\n\n".join([f"## {title}", *(p for p in paragraphs if p)])
        self.changed()

    def rows(self, title: str, rows: list[Row], *paragraphs: str) -> None:
        def judged(row: Row) -> tuple[str, str, str]:
            middle = quartiles(row.pair.ratios)[1]
            return f"{row.work}, {threads(row.threads)}, against {row.peer}", f"{middle:.2f}", row.target.verdict(middle)

        self.judged[title] = [judged(row) for row in rows if row.target != Target()]
        self.add(title, *paragraphs, table(HEADINGS, [row.cells() for row in rows]) if rows else "Nothing was measured.")

    def amounts(self, title: str, amounts: list[Amount], *paragraphs: str) -> None:
        self.judged[title] = [(amount.work, amount.amount, amount.target.verdict(amount.value))
                              for amount in amounts if amount.target != Target()]
        self.add(title, *paragraphs, table(AMOUNTS, [amount.cells() for amount in amounts]))

    def text(self, head: str) -> str:
        judged = [row for rows in self.judged.values() for row in rows]
        missed = [row for row in judged if "missed" in row[2]]
        summary = [
            f"{len(judged) - len(missed)} of {len(judged)} rows with a target meet all of it." + (" The others:" if missed else ""),
            table(["work", "measured", "target"], [list(row) for row in missed]) if missed else "",
        ]
        return "\n\n".join([head, "## Against the targets", *filter(None, summary), *self.parts.values()]) + "\n"


def threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
