"""What can run the model: each takes a NumPy batch `[B, C, H, W]` and gives the outputs as a NumPy array."""

import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

import weights

Run = Callable[[np.ndarray], np.ndarray]


def autocast(dtype: str):
    return torch.autocast("cpu", torch.bfloat16) if dtype == "bf16" else nullcontext()


def eager(net: torch.nn.Module, example: np.ndarray, threads: int, dtype: str = "f32") -> Run:
    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode(), autocast(dtype):
            return net(torch.from_numpy(images).contiguous(memory_format=torch.channels_last)).float().numpy()

    return run


def compiled(net: torch.nn.Module, example: np.ndarray, threads: int) -> Run:
    run = eager(torch.compile(net, dynamic=False), example, threads)
    run(example)
    return run


def exported(net: torch.nn.Module, example: np.ndarray) -> Path:
    path = Path(tempfile.mkdtemp()) / "model.onnx"
    with torch.inference_mode():
        torch.onnx.export(net, (torch.from_numpy(example),), str(path), input_names=["images"], dynamo=True,
                          external_data=False, verbose=False)
    return path


def onnx_runtime(net: torch.nn.Module, example: np.ndarray, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(exported(net, example)), options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"images": images})[0]


def openvino(net: torch.nn.Module, example: np.ndarray, threads: int, precision: str | None = None) -> Run:
    import openvino as ov

    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    if precision:
        settings["INFERENCE_PRECISION_HINT"] = precision
    core = ov.Core()
    compiled = core.compile_model(core.read_model(exported(net, example)), "CPU", settings)
    return lambda images: compiled(images)[0]


FORWARD: dict[str, Callable[..., Run]] = {
    "torch_f32": eager,
    "torch_bf16": lambda *a: eager(*a, dtype="bf16"),
    "torch_compile": compiled,
    "onnxruntime_f32": onnx_runtime,
    "openvino_default": openvino,
    "openvino_f32": lambda *a: openvino(*a, precision="f32"),
}
