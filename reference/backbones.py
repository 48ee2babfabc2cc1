"""Writes the fixtures of feature networks that others have trained: narrow random ones, and what PyTorch makes of an image.

    python backbones.py            write
    python backbones.py --check    write elsewhere, compare byte for byte

`lite_timm` and `lite_package` are one EfficientNet-Lite with the tensor names of timm and of efficientnet_lite_pytorch, `vit` is
a ViT as timm and facebookresearch/mae name it. Networks are written here from their papers, not taken from those packages. The
mathematics runs in 64 bit and is rounded at the end.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

FIXTURES = Path(__file__).resolve().parents[1] / "crates/blemish/tests/fixtures"
Tensors = dict[str, Tensor]

# Kernel, stride and expansion of the seven stages (Tan and Le 2019, table 1; Lite0 has these depths).
STAGES = [(3, 1, 1), (3, 2, 6), (5, 2, 6), (3, 2, 6), (5, 1, 6), (5, 2, 6), (3, 1, 6)]
DEPTHS, WIDTHS, STEM = [1, 2, 2, 3, 3, 2, 1], [4, 5, 6, 8, 10, 11, 12], 6
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
VIEW = (48, 80)


class Draw:
    def __init__(self, name: str):
        self.random = np.random.default_rng(list(name.encode()))

    def normal(self, *shape: int, scale: float = 1.0, mean: float = 0.0) -> Tensor:
        """Numbers that bf16, f16 and f32 all hold exactly."""
        values = torch.from_numpy(mean + scale * self.random.standard_normal(shape)).bfloat16()
        return torch.where(values.abs() < 1e-3, 0, values).double()

    def view(self) -> Tensor:
        """A view as parts see it: around 0.5, beyond [0, 1], `[1, 3, H, W]`."""
        noise = torch.from_numpy(self.random.standard_normal((1, 3, *VIEW)))
        return (0.5 + F.avg_pool2d(noise, 3, 1, 1)).float().double()


def normalised(view: Tensor, constants: tuple) -> Tensor:
    mean, deviation = (torch.tensor(c, dtype=torch.float64)[:, None, None] for c in constants)
    return (view - mean) / deviation


def same(x: Tensor, weight: Tensor, stride: int, groups: int = 1) -> Tensor:
    """TensorFlow's "same" convolution: what padding is odd goes below and to the right."""
    kernel, pads = weight.shape[-1], []
    for side in (x.shape[3], x.shape[2]):
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        pads += [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, pads), weight, stride=stride, groups=groups)


def lite_weights(draw: Draw) -> tuple[Tensors, Tensors]:
    """The same numbers in the names of timm and of efficientnet_lite_pytorch."""
    timm, package = {}, {}

    def conv(shape: tuple[int, ...], timm_names: tuple[str, str], package_names: tuple[str, str]) -> None:
        channels, fan_in = shape[0], int(np.prod(shape[1:]))
        tensors = {
            "weight": draw.normal(*shape, scale=(2 / fan_in) ** 0.5),
            "norm.weight": draw.normal(channels, scale=0.2, mean=1),
            "norm.bias": draw.normal(channels, scale=0.3),
            "norm.running_mean": draw.normal(channels, scale=0.3),
            "norm.running_var": draw.normal(channels, scale=0.2, mean=0.9).abs(),
            "norm.num_batches_tracked": torch.tensor(7),
        }
        for out, (convolution, norm) in ((timm, timm_names), (package, package_names)):
            for name, tensor in tensors.items():
                own = name.removeprefix("norm.")
                out[f"{norm if name != own else convolution}.{own}"] = tensor

    conv((STEM, 3, 3, 3), ("conv_stem", "bn1"), ("_conv_stem", "_bn0"))
    channels, flat = STEM, 0
    for stage, ((kernel, _, expansion), depth, width) in enumerate(zip(STAGES, DEPTHS, WIDTHS)):
        for i in range(depth):
            at, there, inner = f"blocks.{stage}.{i}", f"_blocks.{flat}", channels * expansion
            first = expansion == 1
            if not first:
                conv((inner, channels, 1, 1), (f"{at}.conv_pw", f"{at}.bn1"), (f"{there}._expand_conv", f"{there}._bn0"))
            conv((inner, 1, kernel, kernel), (f"{at}.conv_dw", f"{at}.bn{1 if first else 2}"),
                 (f"{there}._depthwise_conv", f"{there}._bn1"))
            conv((width, inner, 1, 1), (f"{at}.conv_pw" if first else f"{at}.conv_pwl", f"{at}.bn{2 if first else 3}"),
                 (f"{there}._project_conv", f"{there}._bn2"))
            channels, flat = width, flat + 1
    conv((16, channels, 1, 1), ("conv_head", "bn2"), ("_conv_head", "_bn1"))
    return timm, package


def lite_levels(w: Tensors, x: Tensor) -> list[Tensor]:
    """The last blocks of strides 8 and 16, by timm's names."""

    def norm(x: Tensor, name: str) -> Tensor:
        statistics = (w[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *statistics, eps=1e-3)

    x = F.relu6(norm(same(x, w["conv_stem.weight"], 2), "bn1"))
    ends = []
    for stage, (_, stride, expansion) in enumerate(STAGES):
        for i in range(DEPTHS[stage]):
            at, before, k = f"blocks.{stage}.{i}", x, 1
            if expansion != 1:
                x, k = F.relu6(norm(same(x, w[f"{at}.conv_pw.weight"], 1), f"{at}.bn1")), 2
            x = same(x, w[f"{at}.conv_dw.weight"], stride if i == 0 else 1, groups=x.shape[1])
            x = F.relu6(norm(x, f"{at}.bn{k}"))
            project = "conv_pw" if expansion == 1 else "conv_pwl"
            x = norm(same(x, w[f"{at}.{project}.weight"], 1), f"{at}.bn{k + 1}")
            if x.shape == before.shape:
                x = x + before
        ends.append(x)
    return [ends[2], ends[4]]


def vit_weights(draw: Draw, depth: int, width: int, patch: int, side: int) -> Tensors:
    w = {
        "cls_token": draw.normal(1, 1, width, scale=0.5),
        "mask_token": draw.normal(1, 1, width),
        "pos_embed": draw.normal(1, 1 + side * side, width, scale=0.5),
        "patch_embed.proj.weight": draw.normal(width, 3, patch, patch, scale=0.1),
        "patch_embed.proj.bias": draw.normal(width, scale=0.3),
        "norm.weight": draw.normal(width, scale=0.2, mean=1),
        "norm.bias": draw.normal(width, scale=0.2),
        "decoder_embed.weight": draw.normal(8, width),
    }
    for i in range(depth):
        for name, outputs, inputs in (("attn.qkv", 3 * width, width), ("attn.proj", width, width),
                                      ("mlp.fc1", 4 * width, width), ("mlp.fc2", width, 4 * width)):
            w[f"blocks.{i}.{name}.weight"] = draw.normal(outputs, inputs, scale=1.5 * inputs**-0.5)
            w[f"blocks.{i}.{name}.bias"] = draw.normal(outputs, scale=0.2)
        for name in ("norm1", "norm2"):
            w[f"blocks.{i}.{name}.weight"] = draw.normal(width, scale=0.2, mean=1)
            w[f"blocks.{i}.{name}.bias"] = draw.normal(width, scale=0.2)
    return w


def vit_levels(w: Tensors, x: Tensor, heads: int, after: tuple[int, int]) -> list[Tensor]:
    """The patches' tokens after so many blocks, as maps."""
    width, patch = w["patch_embed.proj.weight"].shape[0], w["patch_embed.proj.weight"].shape[-1]
    x = F.conv2d(x, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=patch)
    grid = x.shape[2:]
    table = w["pos_embed"][:, 1:]
    side = round(table.shape[1] ** 0.5)
    table = table.reshape(1, side, side, width).permute(0, 3, 1, 2)
    # As facebookresearch/mae does it.
    table = F.interpolate(table, size=grid, mode="bicubic", align_corners=False).flatten(2).transpose(1, 2)
    x = torch.cat([w["cls_token"] + w["pos_embed"][:, :1], x.flatten(2).transpose(1, 2) + table], 1)
    levels = []
    for i in range(after[-1]):
        def linear(x: Tensor, name: str) -> Tensor:
            return F.linear(x, w[f"blocks.{i}.{name}.weight"], w[f"blocks.{i}.{name}.bias"])

        def norm(x: Tensor, name: str) -> Tensor:
            return F.layer_norm(x, (width,), w[f"blocks.{i}.{name}.weight"], w[f"blocks.{i}.{name}.bias"], eps=1e-6)

        qkv = linear(norm(x, "norm1"), "attn.qkv")
        q, k, v = qkv.reshape(1, -1, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(1, -1, width)
        x = x + linear(mixed, "attn.proj")
        x = x + linear(F.gelu(linear(norm(x, "norm2"), "mlp.fc1")), "mlp.fc2")
        if i + 1 in after:
            levels.append(x[:, 1:].transpose(1, 2).reshape(1, width, *grid))
    return levels


def write(folder: Path) -> list[Path]:
    written = []

    def save(name: str, tensors: Tensors, kind: torch.dtype, metadata: dict[str, str] | None = None) -> None:
        stored = {n: (t.to(kind) if t.is_floating_point() else t).contiguous() for n, t in tensors.items()}
        written.append(folder / f"{name}.safetensors")
        # One entry: the order of several is not always the same.
        save_file(stored, written[-1], metadata=metadata or {"format": "pt"})
        written[-1].chmod(0o644)

    def maps(name: str, view: Tensor, levels: list[Tensor]) -> Tensors:
        """Channels last."""
        out = {f"level{i}": level[0].permute(1, 2, 0) for i, level in enumerate(levels)}
        return {f"{name}.{key}": tensor for key, tensor in {"view": view[0].permute(1, 2, 0), **out}.items()}

    draw = Draw("lite")
    timm, package = lite_weights(draw)
    view = draw.view()
    save("lite_timm", timm, torch.bfloat16)
    save("lite_package", package, torch.float16)
    outputs = maps("lite_timm", view, lite_levels(timm, normalised(view, HALF)))
    outputs |= maps("lite_package", view, lite_levels(timm, normalised(view, IMAGENET)))
    draw = Draw("vit")
    vit = vit_weights(draw, depth=3, width=32, patch=8, side=4)
    view = draw.view()
    save("vit", vit, torch.float32, {"num_heads": "2"})
    outputs |= maps("vit", view, vit_levels(vit, normalised(view, IMAGENET), heads=2, after=(1, 2)))
    save("backbone_maps", outputs, torch.float32)
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        FIXTURES.mkdir(parents=True, exist_ok=True)
        write(FIXTURES)
        return
    with tempfile.TemporaryDirectory() as folder:
        differing = [p.name for p in write(Path(folder)) if p.read_bytes() != (FIXTURES / p.name).read_bytes()]
    sys.exit(f"differ: {', '.join(differing)}" if differing else 0)


if __name__ == "__main__":
    main()
