"""The model against its peers: matrix product, outputs, inference, training, masks."""

import sys
from array import array
from pathlib import Path

from side_by_side.child import Child, Missing, Starter
from side_by_side.plan import Plan
from side_by_side.rounds import Pair, interleave, median
from side_by_side.rows import Page, Row, Target

PRESETS = {"light": 1, "diyt": 3}
TOLERANCE = 1e-4
NAMES = {
    "torch_f32": "PyTorch f32", "torch_bf16": "PyTorch bf16", "torch_compile": "torch.compile",
    "onnxruntime_f32": "ONNX Runtime f32", "openvino_default": "OpenVINO default", "openvino_f32": "OpenVINO f32",
}
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
        for threads in counts:
            ours, peers = self.starter.ours(threads), {}
            for name in NAMES:
                # Compiling takes minutes: once is enough.
                if name != "torch_compile" or (self.compile_too and threads == counts[-1]):
                    self.start(peers, name, threads)
            self.product(ours, peers)
            for preset in self.presets:
                self.preset(preset, ours, peers, last=threads == counts[-1])
            for child in [ours, *peers.values()]:
                child.close()

    def start(self, peers: dict[str, Child], name: str, threads: int) -> None:
        try:
            peers[name] = self.starter.peer(name, threads)
        except Missing as reason:
            self.missing[name] = str(reason)

    def drop(self, peers: dict[str, Child], name: str, reason: Missing) -> None:
        note(f"left out: {reason}")
        self.missing[name] = str(reason)
        peers.pop(name).close()

    def product(self, ours: Child, peers: dict[str, Child]) -> None:
        size = self.plan.matmul
        works = {}
        for name in ("torch_f32", "torch_bf16"):
            if name in peers:
                try:
                    peers[name].ask("matmul", size=size, repeats=1)
                    works[name] = timed(peers[name], "matmul", size=size)
                except Missing as reason:
                    self.drop(peers, name, reason)
        flops = 2 * size**3
        work = timed(ours, "matmul", size=size)
        pairs = interleave(work, works, self.plan.budget, self.plan.least)
        times = [t for pair in pairs.values() for t in pair.ours] or work(5)
        self.peaks[ours.threads] = flops / median(times)
        for name, pair in pairs.items():
            self.products.append(self.row(f"{size} x {size} matrix product", ours, name, pair, Target(), flops))

    def preset(self, preset: str, ours: Child, peers: dict[str, Child], last: bool) -> None:
        folder = self.folder / preset
        loaded = ours.ask("load", folder=folder)
        for child in peers.values():
            child.send("load", folder=folder)
        for name, child in list(peers.items()):
            try:
                child.receive()
            except Missing as reason:
                self.drop(peers, name, reason)
        self.compare(preset, ours, peers)
        for batch in self.plan.inference_batches:
            targets = LATENCY if batch == 1 else THROUGHPUT
            what = f"{preset}, one image" if batch == 1 else f"{preset}, {batch} images"
            self.inference += self.rows(what, "forward", batch, ours, peers, targets, loaded["flops"] * batch)
        self.masked(preset, ours)
        learners = {name: peers[name] for name in TRAINING if name in peers}
        for batch in self.plan.training_batches if last else self.plan.training_batches[:1]:
            what = f"{preset}, training step of {batch}"
            # Backward is twice forward.
            self.training += self.rows(what, "step", batch, ours, learners, TRAINING, 3 * loaded["flops"] * batch)

    def compare(self, preset: str, ours: Child, peers: dict[str, Child]) -> None:
        """Outputs first: a peer that computes something else is no peer."""
        batch = min(2, self.plan.largest)
        outputs = {}
        for name, child in {"blemish": ours, **peers}.items():
            path = self.folder / preset / f"{name}.f32"
            try:
                child.ask("forward", batch=batch, repeats=1, output=path) if name != "torch_compile" else None
                outputs[name] = read(path) if path.exists() else None
            except Missing as reason:
                self.drop(peers, name, reason)
        mine = outputs.pop("blemish")
        for name, theirs in outputs.items():
            if theirs is not None:
                error = difference(mine, theirs)
                exact = not name.endswith(("bf16", "default"))
                verdict = ("agrees" if error <= TOLERANCE else "**differs**") if exact else "another precision"
                self.agree(ours, preset, name, "outputs", error, verdict)
        for name in TRAINING:
            if name in peers:
                losses = [child.ask("loss", batch=batch) for child in (ours, peers[name])]
                for what in ("loss", "gradient_norm"):
                    a, b = (x[what] for x in losses)
                    verdict = "agrees" if abs(a / b - 1) <= TOLERANCE else "**differs**"
                    verdict = verdict if name == "torch_f32" else "another precision"
                    self.agree(ours, preset, name, what.replace("_", " "), abs(a / b - 1), verdict)

    def agree(self, ours: Child, preset: str, name: str, what: str, error: float, verdict: str) -> None:
        self.agreement.append([preset, str(ours.threads), NAMES[name], what, f"{error:.1e}", verdict])
        note(f"{preset}, {NAMES[name]}, {what}: {error:.1e} {verdict}")

    def rows(self, what: str, op: str, batch: int, ours: Child, peers: dict[str, Child], targets: dict[str, Target],
             flops: int) -> list[Row]:
        note(f"{what}, {ours.threads} thread(s)")
        works = {}
        for name, child in list(peers.items()):
            try:
                child.ask(op, batch=batch, repeats=1)
                works[name] = timed(child, op, batch=batch)
            except Missing as reason:
                self.drop(peers, name, reason)
        pairs = interleave(timed(ours, op, batch=batch), works, self.plan.budget * len(works) / 3, self.plan.least)
        return [self.row(what, ours, name, pair, targets.get(name, Target()), flops) for name, pair in pairs.items()]

    def row(self, what: str, ours: Child, name: str, pair: Pair, target: Target, flops: float) -> Row:
        rate = flops / median(pair.ours)
        peak = self.peaks.get(ours.threads)
        return Row(what, ours.threads, NAMES[name], pair, target, rate / 1e9, rate / peak if peak else None)

    def masked(self, preset: str, ours: Child) -> None:
        """The detector's own scoring, four complementary masks beside one unmasked pass."""
        work = timed(ours, "score", batch=1, passes=4)
        pairs = interleave(work, {"": timed(ours, "score", batch=1, passes=1)}, self.plan.budget / 2, self.plan.least)
        what = f"{preset}, one image, K = 4 masks"
        self.masks.append(Row(what, ours.threads, "its unmasked pass", pairs[""], Target(must=1.3, aim=1.1)))

    def report(self) -> None:
        notes = "\n".join(f"- {NAMES[name]}: {reason}" for name, reason in self.missing.items())
        headings = ["preset", "threads", "peer", "what", "difference", "verdict"]
        note_out = f"Left out:\n\n{notes}" if notes else ""
        from side_by_side.rows import table

        self.page.add("Outputs compared", "Largest difference of any value, over the largest value; 1e-4 is allowed.",
                      table(headings, self.agreement) if self.agreement else "No peer is installed.", note_out)
        peaks = ", ".join(f"{peak / 1e9:.0f} GFLOP/s with {n} thread(s)" for n, peak in self.peaks.items())
        self.page.rows("Matrix product", self.products, f"f32, the product's own kernel: {peaks}. This is the peak that shares refer to.")
        self.page.rows("Inference", self.inference, "Unmasked pass, from the batch in memory to the outputs in memory.")
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
