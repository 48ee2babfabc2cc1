"""One peer as a process that stays alive: reads commands (JSON, one a line) and answers them, as the Rust side does.

    worker.py PEER THREADS      PEER: one of runtimes.FORWARD, or anomalib
"""

import ctypes
import gc
import json
import os
import sys
import time
import warnings
from pathlib import Path

PEER, THREADS = sys.argv[1], int(sys.argv[2])
DTYPE = PEER.rpartition("_")[2]
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(THREADS)
# Answers go to the real standard output; whatever libraries print goes to standard error.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
warnings.filterwarnings("ignore")


def seconds(repeats: int, work) -> list[float]:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return times


class Worker:
    def __init__(self):
        import numpy
        import torch

        self.np, self.torch = numpy, torch
        torch.set_num_threads(THREADS)
        self.ready = {}

    def load(self, folder: str) -> dict:
        import weights

        weights.tuned_for_unmasked_passes()
        self.ready, self.folder = {}, Path(folder)
        self.net, self.config = weights.load(self.folder / "model.safetensors")
        height, width = weights.input_size(self.config)

        def read(name: str):
            values = self.np.fromfile(self.folder / name, self.np.float32).reshape(-1, height, width, 1)
            channels = 1 if name == "defect.f32" else self.config["data"]["channels"]
            return self.np.ascontiguousarray(values.reshape(-1, height, width, channels).transpose(0, 3, 1, 2))

        self.input, self.target, self.defect = read("input.f32"), read("target.f32"), read("defect.f32")
        return {}

    def forward(self, batch: int, repeats: int, output: str | None = None) -> dict:
        import runtimes
        import weights

        images = self.np.ascontiguousarray(self.input[:batch])
        if batch not in self.ready:
            self.ready[batch] = runtimes.FORWARD[PEER](runtimes.Job(weights.Outputs(self.net), images, THREADS, self.folder))
            self.ready[batch](images)
        run = self.ready[batch]
        if output:
            out, channels = run(images).transpose(0, 2, 3, 1), self.config["data"]["channels"]
            parts = [out[..., :channels].ravel(), out[..., channels:].ravel()]
            self.np.concatenate(parts).astype(self.np.float32).tofile(output)
        return {"seconds": seconds(repeats, lambda: run(images))}

    def training(self):
        import training

        return training.Training(self.net, self.config, DTYPE)

    def batch(self, size: int):
        tensors = (self.torch.from_numpy(x[:size]) for x in (self.input, self.target, self.defect))
        return [x.contiguous(memory_format=self.torch.channels_last) for x in tensors]

    def step(self, batch: int, repeats: int) -> dict:
        if "training" not in self.ready:
            self.ready["training"] = self.training()
        images = self.batch(batch)
        return {"seconds": seconds(repeats, lambda: self.ready["training"].step(*images))}

    def forget(self) -> dict:
        """Gives the memory of a training back: the others need it."""
        self.ready.pop("training", None)
        self.net.zero_grad(set_to_none=True)
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)
        return {}

    def loss(self, batch: int) -> dict:
        training = self.training()
        loss = training.loss(*self.batch(batch))
        loss.backward()
        answer = {"loss": loss.item(), "gradient_norm": training.gradient_norm()}
        training.optimizer.zero_grad()
        return answer

    def matmul(self, size: int, repeats: int) -> dict:
        kind = self.torch.bfloat16 if DTYPE == "bf16" else self.torch.float32
        a, b = (self.torch.rand(size, size).to(kind) for _ in range(2))
        a @ b
        return {"seconds": seconds(repeats, lambda: a @ b)}

    def aupro(self, folder: str, count: int, size: int, repeats: int) -> dict:
        import area

        maps = self.np.fromfile(Path(folder) / "maps.f32", self.np.float32).reshape(count, size, size)
        masks = self.np.fromfile(Path(folder) / "masks.u8", self.np.uint8).reshape(count, size, size)
        run = getattr(area, PEER)(maps, masks)
        return {"value": run(), "seconds": seconds(repeats, run)}


def answer(value: dict) -> None:
    print(json.dumps(value), file=ANSWERS, flush=True)


def main() -> None:
    worker = None
    for line in sys.stdin:
        command = json.loads(line)
        try:
            worker = worker or Worker()
            answer(getattr(worker, command.pop("op"))(**command))
        except ImportError as error:
            answer({"missing": str(error)})


main()
