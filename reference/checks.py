"""What makes the reference itself worth trusting: it agrees with PyTorch's own layers and with the published size."""

import importlib.util
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

import layers
import losses
import model
import tokens
from diyt import Diyt


def close(got: Tensor, wanted: Tensor, tolerance: float) -> None:
    """The largest difference, relative to the largest value wanted, is within `tolerance`."""
    error = (got.double() - wanted.double()).abs().max() / wanted.abs().max().clamp_min(1e-30)
    assert got.shape == wanted.shape and error <= tolerance, f"{got.shape}, {wanted.shape}, relative error {error}"


def check_reference() -> None:
    """Compares each hand-written piece with an implementation by others."""
    torch.manual_seed(0)
    with torch.device("meta"):
        assert sum(p.numel() for p in Diyt().parameters()) == 29_784_360, "the published number of parameters"

    x = torch.randn(2, 5, 12)
    norm, theirs = layers.LayerNorm(12), nn.LayerNorm(12, eps=1e-5)
    close(norm(x), theirs(x), 1e-5)

    ours, theirs = layers.Attention(12, 3), nn.MultiheadAttention(12, 3, batch_first=True)
    ours.load_state_dict({"qkv.weight": theirs.in_proj_weight, "qkv.bias": theirs.in_proj_bias,
                          "proj.weight": theirs.out_proj.weight, "proj.bias": theirs.out_proj.bias})
    close(ours(x), theirs(x, x, x)[0], 1e-5)

    y = torch.randn(2, 3, 4, 20)
    theirs = F.pixel_shuffle(y.unflatten(-1, (4, 5)).transpose(-1, -2).flatten(3).permute(0, 3, 1, 2), 2)
    close(model.pixel_shuffle(y), theirs.permute(0, 2, 3, 1), 0)

    image = torch.rand(2, 3, 32, 48)
    close(tokens.unpatchify(tokens.patchify(image, 16), 16, 32, 48), image, 0)

    if importlib.util.find_spec("pytorch_msssim") is None:
        print("pytorch-msssim is not installed: SSIM not compared")
        return
    from pytorch_msssim import ssim
    other = (image + 0.1 * torch.randn_like(image)).double().requires_grad_()
    ours, theirs = losses.ssim(other, image.double()), ssim(other, image.double(), data_range=1)
    close(ours, theirs, 1e-6)
    close(*(torch.autograd.grad(value, other)[0] for value in (ours, theirs)), 1e-6)


def same_files(made: Path, kept: Path) -> None:
    """Both folders hold the same fixtures, byte for byte."""
    for path in sorted(made.iterdir()):
        assert path.read_bytes() == (kept / path.name).read_bytes(), f"{path.name} differs from the one in {kept}"
    print(f"{len(list(made.iterdir()))} fixtures are the same, byte for byte")


def listing(folder: Path) -> str:
    """Every file with its configuration, and every tensor with its shape, as Markdown."""
    lines = ["# Fixtures, tensor by tensor", "", "Written by `fixtures.py`; `README.md` explains the names.", ""]
    for path in sorted(folder.iterdir()):
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                config = json.loads(file.metadata()["config"])
                shapes = {name: file.get_slice(name).get_shape() for name in sorted(file.keys())}
        elif path.stem.startswith("hostile"):
            continue  # never opened
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
            config, state = {}, state.get("model_state_dict", state)
            shapes = {name: list(value.shape) for name, value in sorted(state.items())}
        lines += [f"## {path.name}", "", f"configuration: `{json.dumps(config)}`", ""]
        groups: dict[str, list[str]] = {}
        for name, shape in shapes.items():
            group, _, rest = name.partition(".")
            groups.setdefault(group, []).append(f"{rest} {shape}".strip())
        lines += [f"- **{group}**: {'; '.join(names)}" for group, names in groups.items()] + [""]
    return "\n".join(lines)
