"""The program from outside: whole folders, memory, start; and AUPRO."""

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from side_by_side.child import HERE, Missing, Starter
from side_by_side.model_rows import note, timed
from side_by_side.plan import Plan
from side_by_side.rounds import Pair, interleave, median
from side_by_side.rows import Amount, Page, Row, Target, duration


@dataclass
class Ended:
    """What a finished process took."""

    seconds: float
    cores: float  # cores kept busy on average
    mib: float  # peak resident memory of its largest process
    output: str


def run(argv: list, **more) -> Ended:
    start = time.perf_counter()
    process = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    # Standard error is small: read after standard output it cannot block.
    output, errors = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Missing(f"{' '.join(map(str, argv[:3]))} failed: {errors[-300:]}")
    return Ended(seconds, (usage.ru_utime + usage.ru_stime) / seconds, usage.ru_maxrss / 1024, output)


class Program:
    def __init__(self, starter: Starter, program: Path, plan: Plan, folder: Path, page: Page):
        self.starter, self.program, self.plan, self.folder, self.page = starter, program, plan, folder, page

    def images(self) -> None:
        count, size = self.plan.images
        note(f"drawing {count} images of {size} x {size}")
        ours = self.starter.ours(os.cpu_count() or 1)
        per_chunk = count // self.plan.chunks
        for chunk in range(self.plan.chunks):
            ours.ask("images", folder=self.folder / f"images{chunk}", count=per_chunk, distinct=max(1, per_chunk // 10),
                     size=size, channels=3)
        model = self.folder / "colour"
        ours.ask("prepare", folder=model, preset="light", channels=3, image_size=self.plan.image_size, images=1)
        ours.close()

    def predict(self) -> None:
        count, size = self.plan.images
        self.images()
        model = self.folder / "colour/model.safetensors"
        pair, cores, peer_cores, memory, worst, flips = Pair(), [], [], [], 0.0, 0
        missing = ""
        for chunk in range(self.plan.chunks):
            note(f"predict, part {chunk + 1} of {self.plan.chunks}")
            images = self.folder / f"images{chunk}"
            ours = run([self.program, "predict", model, images])
            memory.append(ours.mib)
            cores.append(ours.cores)
            pair.ours.append(ours.seconds)
            try:
                if self.starter.python is None:
                    raise Missing("no Python with the peers")
                theirs = run([self.starter.python, HERE / "peers/predict_script.py", model, images])
            except Missing as reason:
                missing = f"The peer was left out: {reason}"
                continue
            pair.theirs.append(theirs.seconds)
            peer_cores.append(theirs.cores)
            for a, b in zip(answers(ours.output), answers(theirs.output), strict=True):
                assert Path(a["path"]).name == Path(b["path"]).name, (a, b)
                worst = max(worst, abs(a["score"] - b["score"]))
                flips += a["verdict"] != b["verdict"]
        what = f"predict, {count} PNGs of {size} x {size}"
        threads = os.cpu_count() or 1
        total = sum(pair.ours)
        text = (
            f"Decode to verdict, program start included, in {self.plan.chunks} interleaved part(s); a tenth of the files differ, "
            f"the others are copies. blemish: {count / total:.0f} images/s, {median(cores):.2f} of {threads} cores busy, peak "
            f"{max(memory):.0f} MiB."
        )
        rows = []
        if pair.theirs:
            text += (
                f" The script (PIL, torchvision, DataLoader with {threads} workers, batches of 16): "
                f"{count / sum(pair.theirs):.0f} images/s, {median(peer_cores):.2f} cores. Scores differ by at most {worst:.1e}, "
                f"{flips} verdicts differ."
            )
            rows = [Row(what, threads, "PyTorch + torchvision script", pair, Target(must=0.5))]
        self.page.rows("A folder of images", rows, text, self.parts(model.parent), missing)
        self.scoring_memory = max(memory)

    def parts(self, model: Path) -> str:
        ours = self.starter.ours(1)
        ours.ask("load", folder=model)
        parts = ours.ask("parts", folder=self.folder / "images0")
        ours.close()
        names = {"read": "reading", "decode": "decoding", "view": "resizing", "judge": "model, map and verdict"}
        return "One image on one thread: " + ", ".join(f"{name} {duration(parts[key])}" for key, name in names.items()) + "."

    def memory(self) -> None:
        note("memory and start")
        ours = self.starter.ours(os.cpu_count() or 1)
        data, size = self.folder / "train", (self.plan.image_size or [256])[0]
        ours.ask("images", folder=data, count=40, distinct=20, size=size, channels=3)
        batch = self.plan.training_batches[0]
        settings = ["train.batch_size=" + str(batch), "train.pretrain.epochs=1", "train.finetune.epochs=1",
                    f"train.epoch_images={4 * batch}", "data.fit=stretch", f"data.image_size=[{size},{size}]"]
        argv = [self.program, "train", data, "--out", self.folder / "run"]
        trained = run(argv + [x for s in settings for x in ("--set", s)])
        one = run([self.program, "predict", self.folder / "colour/model.safetensors", next(iter(sorted(data.iterdir())))])
        start = [run([self.program, "--version"]).seconds for _ in range(self.plan.starts)]
        loads = {preset: [ours.seconds("load", folder=self.folder / preset)[0] for _ in range(self.plan.starts)]
                 for preset in ("light", "diyt")}
        ours.close()
        self.page.amounts(
            "Memory and start",
            [
                Amount(f"peak memory, `blemish train`, light, batch {batch}", trained.mib, "MiB", Target(1024, 512), "both stages, an epoch each, validation and calibration"),
                Amount("peak memory, `blemish predict`, a folder", self.scoring_memory, "MiB", Target(300, 150), "the run above"),
                Amount("peak memory, `blemish predict`, one image", one.mib, "MiB", Target(300, 150)),
                Amount("start, `blemish --version`", 1e3 * median(start), "ms", Target(must=20), "process included"),
                *(Amount(f"load a model, {preset}", 1e3 * median(times), "ms", Target(must=100), "file in the page cache") for preset, times in loads.items()),
            ],
        )

    def area(self) -> None:
        count, size = self.plan.maps
        folder, threads = self.folder / "maps", os.cpu_count() or 1
        note("AUPRO")
        ours = self.starter.ours(threads)
        ours.ask("maps", folder=folder, count=count, size=size)
        arguments = {"folder": folder, "count": count, "size": size}
        mine = ours.ask("aupro", repeats=1, **arguments)
        text, rows = f"blemish alone: {1e3 * min(mine['seconds']):.0f} ms.", []
        try:
            peer = self.starter.peer("anomalib", threads)
            theirs = peer.ask("aupro", repeats=1, **arguments)
            pairs = interleave(timed(ours, "aupro", **arguments), {"anomalib": timed(peer, "aupro", **arguments)},
                               self.plan.budget, self.plan.least)
            text = f"Values: {mine['value']:.7f} and {theirs['value']:.7f}; neither samples thresholds."
            rows = [Row(f"AUPRO, {count} maps of {size} x {size}", threads, "anomalib", pairs["anomalib"], Target(0.5, 0.1))]
            peer.close()
        except Missing as reason:
            text += f" The peer was left out: {reason}"
        ours.close()
        self.page.rows("AUPRO", rows, text)

    def clean(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def answers(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]
