"""The model against its peers: matrix product, outputs, inference, training, masks."""

import sys
from array import array
from itertools import takewhile
from pathlib import Path

from side_by_side.child import Child, Missing, Starter
from side_by_side.plan import Plan
from side_by_side.rounds import Pair, interleave, median
from side_by_side.rows import Page, Row, Target, table

PRESETS = {"light": 1, "diyt": 3}
TOLERANCE = 1e-4
ROUNDED = ["torch_bf16", "openvino_default"]
NAMES = {
    "torch_f32": "PyTorch f32", "torch_bf16": "PyTorch bf16", "torch_compile": "torch.compile",
    "onnxruntime_f32": "ONNX Runtime f32", "openvino_default": "OpenVINO default", "openvino_f32": "OpenVINO f32",
}
F32 = {"scoring": "f32", "training": "f32"}
# Peers that compute as we do in a precision, the slowest first.
ALIKE = {"f32": [name for name in NAMES if name not in ROUNDED], "bf16": ROUNDED}
LATENCY = {
    "torch_f32": Target(must=0.45), "onnxruntime_f32": Target(must=0.9), "openvino_f32": Target(must=0.9),
    "openvino_default": Target(aim=1.0),
}
THROUGHPUT = {"torch_f32": Target(must=0.5), "onnxruntime_f32": Target(must=0.9), "torch_bf16": Target(aim=1.0)}
TRAINING = {"torch_f32": Target(must=0.8), "torch_bf16": Target(aim=1.0)}


class Models:
    """All rows of the two presets, at one number of threads after the other."""

    def __init__(self, starter: Starter, plan: Plan, folder: Path, page: Page, presets: list[str],
                 compile_too: bool):
        self.starter, self.plan, self.folder, self.page, self.presets = starter, plan, folder, page, presets
        self.compile_too = compile_too
        self.missing: dict[str, str] = {}
        self.inference: list[Row] = []
        self.training: list[Row] = []
        self.masks: list[Row] = []
        self.products: list[Row] = []
        self.agreement: list[list[str]] = []
        self.peaks: dict[int, float] = {}

    def prepare(self) -> None:
        ours = self.starter.ours(2)
        for preset, channels in PRESETS.items():
            ours.ask("prepare", folder=self.folder / preset, preset=preset, channels=channels,
                     image_size=self.plan.image_size, images=self.plan.largest)
        ours.close()

    def measure(self, counts: list[int]) -> None:
        """Most threads first: what a user has."""
        most = max(counts)
        for threads in sorted(counts, reverse=True):
            self.ours, self.peers = self.starter.ours(threads), {}
            for name in NAMES:
                # Compiling takes minutes: once is enough.
                if name != "torch_compile" or (self.compile_too and threads == most):
                    try:
                        self.peers[name] = self.starter.peer(name, threads)
                    except Missing as reason:
                        self.missing[name] = str(reason)
            self.product()
            for preset in self.presets:
                self.preset(preset, all_batches=threads == most)
            for child in [self.ours, *self.peers.values()]:
                child.close()

    def drop(self, name: str, reason: Missing) -> None:
        note(f"left out: {reason}")
        self.missing[name] = str(reason)
        self.peers.pop(name).close()

    def asked(self, names, op: str, **arguments) -> dict:
        """The work of those peers that can do it, after doing it once."""
        works = {}
        for name in [name for name in names if name in self.peers]:
            try:
                self.peers[name].ask(op, repeats=1, **arguments)
                works[name] = timed(self.peers[name], op, **arguments)
            except Missing as reason:
                self.drop(name, reason)
        return works

    def product(self) -> None:
        size = self.plan.matmul
        works = self.asked(["torch_f32", "torch_bf16"], "matmul", size=size)
        flops = 2 * size**3
        work = timed(self.ours, "matmul", size=size)
        pairs = interleave(work, works, self.plan.budget, self.plan.least)
        times = [t for pair in pairs.values() for t in pair.ours] or work(5)
        self.peaks[self.ours.threads] = flops / median(times)
        for name, pair in pairs.items():
            self.products.append(self.row(f"{size} x {size} matrix product", name, pair, Target(), flops))

    def preset(self, preset: str, all_batches: bool) -> None:
        folder = self.folder / preset
        loaded = self.ours.ask("load", folder=folder)
        flops, scoring, training = (loaded[key] for key in ("flops", "scoring", "training"))
        self.ours.ask("load", folder=folder, **F32)
        for child in self.peers.values():
            child.send("load", folder=folder)
        for name, child in list(self.peers.items()):
            try:
                child.receive()
            except Missing as reason:
                self.drop(name, reason)
        exact = self.compare(preset)
        self.masked(preset)
        # In the precisions of the peers, then in what this machine's user gets unasked, for which the targets are set.
        for precision in takewhile(lambda precision: precision != scoring, ALIKE):
            self.ours.ask("load", folder=folder, **F32 | {"scoring": precision})
            self.rounded(preset, exact, precision)
            self.passes(preset, precision, ALIKE[precision], flops, default=False)
        if training != "f32":
            self.steps(preset, "f32", ["torch_f32"], flops, all_batches, default=False)
        self.ours.ask("load", folder=folder)
        self.rounded(preset, exact, scoring)
        self.passes(preset, scoring, list(NAMES), flops, default=True)
        self.steps(preset, training, list(TRAINING), flops, all_batches, default=True)
        self.report()

    def passes(self, preset: str, precision: str, names: list[str], flops: int, default: bool) -> None:
        precision += " (default)" if default else ""
        for batch in self.plan.inference_batches:
            targets = (LATENCY if batch == 1 else THROUGHPUT) if default else {}
            what = f"{preset}, one image, {precision}" if batch == 1 else f"{preset}, {batch} images, {precision}"
            self.inference += self.rows(what, "forward", batch, names, targets, flops * batch)

    def steps(self, preset: str, precision: str, names: list[str], flops: int, all_batches: bool, default: bool) -> None:
        precision += " (default)" if default else ""
        for batch in self.plan.training_batches if all_batches else self.plan.training_batches[:1]:
            what = f"{preset}, training step of {batch}, {precision}"
            # One training at a time: three of `diyt` at once do not fit into 24 GiB. Backward is twice forward.
            for name in [name for name in names if name in self.peers]:
                targets = TRAINING if default else {}
                self.training += self.rows(what, "step", batch, [name], targets, 3 * flops * batch)
                self.peers[name].ask("forget")

    def output(self, preset: str, name: str) -> array | None:
        """What a pass of ours ("blemish") or of a peer gives."""
        path = self.folder / preset / f"{name}.f32"
        child = self.ours if name == "blemish" else self.peers[name]
        try:
            child.ask("forward", batch=min(2, self.plan.largest), repeats=1, output=path)
            return read(path)
        except Missing as reason:
            self.drop(name, reason)
            return None

    def compare(self, preset: str) -> array | None:
        """Outputs first: a peer that computes something else is no peer. PyTorch's f32 outputs."""
        mine, exact = self.output(preset, "blemish"), None
        for name in [name for name in NAMES if name in self.peers and name != "torch_compile"]:
            theirs = self.output(preset, name)
            exact = theirs if name == "torch_f32" else exact
            if theirs is not None:
                error = difference(mine, theirs)
                verdict = ("agrees" if error <= TOLERANCE else "**differs**") if name not in ROUNDED else "another precision"
                self.agree(preset, name, "outputs", error, verdict)
        for name in [name for name in TRAINING if name in self.peers]:
            losses = [child.ask("loss", batch=min(2, self.plan.largest)) for child in (self.ours, self.peers[name])]
            for what in ("loss", "gradient_norm"):
                a, b = (x[what] for x in losses)
                verdict = "agrees" if abs(a / b - 1) <= TOLERANCE else "**differs**"
                verdict = verdict if name == "torch_f32" else "another precision"
                self.agree(preset, name, what.replace("_", " "), abs(a / b - 1), verdict)
        return exact

    def rounded(self, preset: str, exact: array | None, precision: str) -> None:
        """How far a lower precision takes our outputs from a peer's f32, which it gave before it was trained any further."""
        if exact is not None and precision != "f32":
            error = difference(self.output(preset, "blemish"), exact)
            self.agree(preset, "torch_f32", f"outputs, ours in {precision}", error, "another precision")

    def agree(self, preset: str, name: str, what: str, error: float, verdict: str) -> None:
        self.agreement.append([preset, str(self.ours.threads), NAMES[name], what, f"{error:.1e}", verdict])
        note(f"{preset}, {NAMES[name]}, {what}: {error:.1e} {verdict}")

    def rows(self, what: str, op: str, batch: int, names: list[str], targets: dict[str, Target], flops: int) -> list[Row]:
        note(f"{what}, {self.ours.threads} thread(s)")
        works = self.asked(names, op, batch=batch)
        pairs = interleave(timed(self.ours, op, batch=batch), works, self.plan.budget * len(works) / 3, self.plan.least)
        return [self.row(what, name, pair, targets.get(name, Target()), flops) for name, pair in pairs.items()]

    def row(self, what: str, name: str, pair: Pair, target: Target, flops: float) -> Row:
        rate = flops / median(pair.ours)
        peak = self.peaks.get(self.ours.threads)
        return Row(what, self.ours.threads, NAMES[name], pair, target, rate / 1e9, rate / peak if peak else None)

    def masked(self, preset: str) -> None:
        """The detector's own scoring, four complementary masks beside one unmasked pass."""
        work = timed(self.ours, "score", batch=1, passes=4)
        pairs = interleave(work, {"": timed(self.ours, "score", batch=1, passes=1)}, self.plan.budget / 2, 3 * self.plan.least)
        what = f"{preset}, one image, K = 4 masks, f32"
        self.masks.append(Row(what, self.ours.threads, "its unmasked pass", pairs[""], Target(must=1.3, aim=1.1)))

    def report(self) -> None:
        notes = "\n".join(f"- {NAMES[name]}: {reason}" for name, reason in self.missing.items())
        headings = ["preset", "threads", "peer", "what", "difference", "verdict"]
        note_out = f"Left out:\n\n{notes}" if notes else ""
        self.page.add("Outputs compared", "Largest difference of any value, over the largest value; 1e-4 is allowed.",
                      table(headings, self.agreement) if self.agreement else "No peer is installed.", note_out)
        peaks = ", ".join(f"{peak / 1e9:.0f} GFLOP/s with {n} thread(s)" for n, peak in self.peaks.items())
        self.page.rows("Matrix product", self.products, f"f32, the product's own kernel: {peaks}. This is the peak that shares refer to.")
        self.page.rows("Inference", self.inference, "Unmasked pass, from the batch in memory to the outputs in memory. Targets are set against what this machine's user gets "
                       "unasked; where factors are rounded for it, scores were shown to move less than 0.002 (DESIGN.md of 0fe1544). Like stands beside like too.")
        self.page.rows("Masked scoring", self.masks, "The detector's scoring in all: normalisation, passes, map, smoothing.")
        self.page.rows("Training", self.training,
                       "Forward, loss (light: repair, MSE and focal; diyt: MSE), backward, clipping, AdamW; PyTorch's is fused. "
                       "GFLOP/s count a step as three forward passes.")


def timed(child: Child, op: str, **arguments):
    return lambda repeats: child.seconds(op, repeats=repeats, **arguments)


def read(path: Path) -> array:
    values = array("f")
    values.frombytes(path.read_bytes())
    return values


def difference(a: array, b: array) -> float:
    assert len(a) == len(b), (len(a), len(b))
    return max(abs(x - y) for x, y in zip(a, b)) / max(map(abs, b))


def note(text: str) -> None:
    print(f"  .. {text}", file=sys.stderr, flush=True)
