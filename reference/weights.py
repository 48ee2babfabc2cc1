"""Parameters in the crate's layout and names, and files of pre-trained weights as `blemish` reads and writes them."""

import dataclasses
import json
import os
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from model import Config, Light

Tensors = dict[str, Tensor]

# What the crate's configuration of a network says beside `Config`: this reference has one way for each.
FIXED = {"dyt_alpha": 0.5, "sinusoid": "two_d", "decoder_pos_embed": True, "aggregation_keys": "visible"}
# What the names of projections, and of the tensors of the decoder that corrects distances to references, begin with.
PROJECTION, DECODER = "projection.", "references."
# The preset `light`, for images in colour.
LIGHT = Config(image_size=(256, 256), in_channels=3, patch_embed="conv_stem", stem_dims=(24, 48, 96), embed_dim=192,
               depth=6, num_heads=6, mlp_ratio=2.0, norm="dyt", decoder_embed_dim=128, decoder_depth=1,
               decoder_num_heads=4, decoder_mlp_ratio=2.0, head="pyramid", output="residual", defect_logit=True)


def crate_layout(module: nn.Module, gradient: bool = False) -> Tensors:
    """Parameters (or their gradients) as the crate stores them: Linear [in, out], convolution [9 * in, out]."""
    out = {}
    for prefix, part in module.named_modules():
        for name, p in part.named_parameters(prefix, recurse=False):
            value = p.grad if gradient else p
            if isinstance(part, nn.Linear) and value.dim() == 2:
                value = value.T
            elif isinstance(part, nn.Conv2d) and value.dim() == 4:
                value = value.permute(2, 3, 1, 0).flatten(0, 2)
            out[name] = value
    return out


def load_crate_layout(module: nn.Module, tensors: Tensors) -> None:
    """Undoes `crate_layout`: sets every parameter of `module`."""
    own = dict(module.named_parameters())
    odd = sorted(own.keys() ^ tensors.keys())
    assert not odd, f"parameters that only one side has: {odd[:5]}"
    for prefix, part in module.named_modules():
        for name, p in part.named_parameters(prefix, recurse=False):
            value = tensors[name]
            if isinstance(part, nn.Linear) and p.dim() == 2:
                value = value.T
            elif isinstance(part, nn.Conv2d) and p.dim() == 4:
                value = value.unflatten(0, (3, 3, -1)).permute(3, 2, 0, 1)
            assert value.numel() == p.numel(), f"{name} has shape {list(value.shape)}, not {list(p.shape)}"
            p.data.copy_(value.reshape(p.shape))


def in_crate_names(tensors: Tensors) -> Tensors:
    """A whole model's parameters: the crate calls the pyramid head `pyramid`, and its tables are [N, D]."""
    return {
        "pyramid" + name.removeprefix("head") if name.startswith("head.") else name:
        value.squeeze(0) if name.endswith("learnable") else value
        for name, value in tensors.items()
    }


def write_pretrained(path: Path, network: Light, origin: dict, added: Tensors | None = None) -> None:
    """The file that `blemish` reads as pre-trained weights, in bf16; whole or not at all."""
    tensors = {name: value.detach().cpu().bfloat16().contiguous()
               for name, value in {**in_crate_names(crate_layout(network)), **(added or {})}.items()}
    for name, value in tensors.items():
        if not value.isfinite().all():
            raise ValueError(f"{name} holds a value that is not finite")
    shape = dataclasses.asdict(network.config)
    image_size, channels = shape.pop("image_size"), shape.pop("in_channels")
    network_of = {"model": {**shape, **FIXED}, "image_size": image_size, "channels": channels}
    header = {"pretrained": 1, **network_of, "origin": origin}
    part = path.with_name(path.name + ".part")
    save_file(tensors, part, {"blemish": json.dumps(header, separators=(",", ":"))})
    part.chmod(0o644)
    replace(part, path)


def read_pretrained(path: Path) -> tuple[Light, dict]:
    """A file of pre-trained weights as a network, and where it came from. The layers of the comparison, projections and
    decoder are left out."""
    with safe_open(path, "pt") as file:
        metadata = (file.metadata() or {}).get("blemish")
        if metadata is None:
            raise ValueError(f"{path} holds no pre-trained weights of blemish")
        header = json.loads(metadata)
        names = [name for name in file.keys() if not name.startswith(("comparison.", PROJECTION, DECODER))]
        tensors = {name: file.get_tensor(name).float() for name in names}
    shape = {name: value for name, value in header["model"].items() if name != "comparison"}
    other = {name: shape.pop(name) for name in FIXED if name in shape}
    assert {**FIXED, **other} == FIXED, f"{path} is of a network that this reference has not: {other}"
    lists = {name: tuple(value) for name, value in shape.items() if isinstance(value, list)}
    config = Config(tuple(header["image_size"]), header["channels"], **{**shape, **lists})
    network = Light(config)
    named = {"head" + name.removeprefix("pyramid") if name.startswith("pyramid.") else name: value
             for name, value in tensors.items()}
    load_crate_layout(network, named)
    return network, header["origin"]


def read_added(path: Path, prefix: str | tuple[str, ...]) -> Tensors:
    """What a file of pre-trained weights holds beside the network under names that begin so; nothing where it has none."""
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name).float() for name in file.keys() if name.startswith(prefix)}


def replace(part: Path, path: Path) -> None:
    """Puts a complete file in the place of another one; after a crash either the old or the new one is there."""
    with open(part, "rb") as file:
        os.fsync(file.fileno())
    os.replace(part, path)
