"""What can run the model: each takes a NumPy batch `[B, C, H, W]` and gives the outputs as a NumPy array."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

Run = Callable[[np.ndarray], np.ndarray]


@dataclass
class Job:
    net: torch.nn.Module
    example: np.ndarray
    threads: int
    folder: Path


def autocast(dtype: str):
    return torch.autocast("cpu", torch.bfloat16) if dtype == "bf16" else nullcontext()


def eager(job: Job, dtype: str = "f32") -> Run:
    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode(), autocast(dtype):
            return job.net(torch.from_numpy(images).contiguous(memory_format=torch.channels_last)).float().numpy()

    return run


def compiled(job: Job) -> Run:
    return eager(Job(torch.compile(job.net, dynamic=False), job.example, job.threads, job.folder))


def exported(job: Job) -> str:
    """The model as ONNX, for this batch size; made once, used by all."""
    path = job.folder / f"batch{len(job.example)}.onnx"
    if not path.exists():
        with torch.inference_mode():
            torch.onnx.export(job.net, (torch.from_numpy(job.example),), str(path), input_names=["images"], dynamo=True,
                              external_data=False, verbose=False)
    return str(path)


def onnx_runtime(job: Job) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job.threads
    # A pool that spins after its work would take the cores from whoever is measured next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(exported(job), options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images})[0]


def openvino(job: Job, precision: str | None = None) -> Run:
    import openvino as ov

    settings = {"INFERENCE_NUM_THREADS": job.threads, "PERFORMANCE_HINT": "LATENCY"}
    if precision:
        settings["INFERENCE_PRECISION_HINT"] = precision
    core = ov.Core()
    model = core.compile_model(core.read_model(exported(job)), "CPU", settings)
    return lambda images: model(images)[0]


FORWARD: dict[str, Callable[[Job], Run]] = {
    "torch_f32": eager,
    "torch_bf16": lambda job: eager(job, "bf16"),
    "torch_compile": compiled,
    "onnxruntime_f32": onnx_runtime,
    "openvino_default": openvino,
    "openvino_f32": lambda job: openvino(job, "f32"),
}
