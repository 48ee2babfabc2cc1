"""Writes the golden fixtures of the Rust crate and FIXTURES.md, their list. README.md says what they hold.

    python fixtures.py            write
    python fixtures.py --check    write elsewhere, compare byte for byte, and check the reference itself

Weights and inputs are 32-bit numbers from a seeded generator; the mathematics runs in 64 bit and is rounded at the end,
so the files do not depend on the machine and hold the exact answer rather than PyTorch's own rounding.
"""

import argparse
import dataclasses
import json
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import checks
import layers
import losses
import model
import tokens
from diyt import Diyt
from draws import Places
from filters import begin_with_filters
from model import Config, Light
from retrieve import contrast, means, retrieve
from weights import crate_layout

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "crates/blemish-train/tests/fixtures"
Tensors = dict[str, Tensor]


class Writer:
    """Draws the numbers of one fixture, and writes it."""

    def __init__(self, folder: Path, name: str):
        self.path = folder / name
        self.random = np.random.default_rng(list(name.encode()))

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        return torch.from_numpy((scale * self.random.standard_normal(shape)).astype(np.float32)).double()

    def image(self, *shape: int) -> Tensor:
        """Values in [0, 1] that, like pixels, are multiples of 1/255."""
        return torch.from_numpy((self.random.integers(0, 256, shape) / 255).astype(np.float32)).double()

    def fill(self, module: nn.Module) -> nn.Module:
        """Gives every parameter a value that matters: no zero biases, no unit scales, DyT well into saturation."""
        module.double()
        for name, p in module.named_parameters():
            kind = name.rpartition(".")[2]
            if kind == "alpha":
                p.data = 0.7 + self.normal(*p.shape, scale=0.2)
            elif kind == "gamma":
                p.data = 1 + self.normal(*p.shape, scale=0.2)
            elif p.dim() > 1 and kind not in ("learnable", "learnable_pos_embed", "mask_token"):
                p.data = self.normal(*p.shape, scale=p[0].numel() ** -0.5)
            else:
                p.data = self.normal(*p.shape, scale=0.2)
            p.data = p.data.float().double()
        return module

    def save(self, tensors: Tensors, **config: object) -> None:
        # One entry only: safetensors does not keep the order of several.
        metadata = {"config": json.dumps(config, sort_keys=True)}
        save_file({k: v.detach().float().contiguous() for k, v in tensors.items()}, self.path, metadata)


def prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def layer(folder: Path, name: str, build: Callable[[], nn.Module], inputs: dict[str, tuple[int, ...]],
          call: Callable[..., Tensor | Tensors] | None = None, **config: object) -> None:
    """One layer: inputs, weights, outputs, and the gradients of sum(functional * output) over all outputs."""
    w = Writer(folder, f"{name}.safetensors")
    module = w.fill(build())
    given = {k: w.normal(*shape).requires_grad_() for k, shape in inputs.items()}
    out = (call or (lambda m, **kw: m(**kw)))(module, **given)
    outputs = out if isinstance(out, dict) else {"y": out}
    functional = {k: w.normal(*v.shape) for k, v in outputs.items()}
    sum((functional[k] * v).sum() for k, v in outputs.items()).backward()
    w.save(
        prefixed("input", given) | prefixed("weight", crate_layout(module)) | prefixed("output", outputs)
        | prefixed("functional", functional) | prefixed("grad.input", {k: v.grad for k, v in given.items()})
        | prefixed("grad.weight", crate_layout(module, gradient=True)), **config)


def write_layers(folder: Path) -> None:
    one = {"x": (2, 5, 12)}
    layer(folder, "dyt", lambda: layers.DyT(12, 0.1), one)
    layer(folder, "layer_norm", lambda: layers.LayerNorm(12), one)
    layer(folder, "mlp", lambda: layers.Mlp(12, 20), one)
    layer(folder, "attention", lambda: layers.Attention(12, 3), one, num_heads=3)
    both = {"x": (2, 5, 12), "context": (2, 7, 16)}
    layer(folder, "cross_attention", lambda: layers.CrossAttention(12, 16, 3), both, num_heads=3)
    for norm in ("dyt", "layer_norm"):
        layer(folder, f"encoder_layer_{norm}", lambda: layers.EncoderLayer(12, 3, 24, norm), one, num_heads=3)
        layer(folder, f"decoder_layer_{norm}", lambda: layers.DecoderLayer(12, 16, 3, 24, norm), both, num_heads=3)
    layer(folder, "aggregation", lambda: model.Aggregation(12), {f"tap{k}": (2, 5, 12) for k in range(3)},
          lambda m, **taps: m(list(taps.values())))

    def stem(m: nn.Module, image: Tensor) -> Tensors:
        out, levels = m(image)
        return {"tokens": out} | {f"level{k + 1}": level for k, level in enumerate(levels)}

    def head(m: nn.Module, grid: Tensor, **levels: Tensor) -> Tensor:
        return m(grid, list(levels.values()))

    layer(folder, "patch_embed_linear", lambda: model.LinearPatchEmbed(3, 16, 4), {"image": (2, 3, 16, 32)},
          lambda m, image: m(image)[0])
    layer(folder, "conv_stem", lambda: model.ConvStem(3, (4, 6, 8), 12), {"image": (2, 3, 16, 32)}, stem)
    grid = {"grid": (2, 1, 2, 12)}
    levels = {"level1": (2, 8, 16, 4), "level2": (2, 4, 8, 6), "level3": (2, 2, 4, 8)}
    layer(folder, "pyramid_head", lambda: model.PyramidHead(12, (4, 6, 8), 3, True), grid | levels, head)
    layer(folder, "pyramid_head_no_skips", lambda: model.PyramidHead(12, (4, 6, 8), 1, False), grid, head)
    layer(folder, "linear_head", lambda: model.LinearHead(4, 3, 16), {"grid": (1, 2, 1, 4)}, head)


def write_arithmetic(folder: Path) -> None:
    """What has no weights: patches, positions, masks."""
    w = Writer(folder, "patchify.safetensors")
    image = w.image(2, 3, 8, 12)
    w.save({"input.image": image, "output.patches": tokens.patchify(image, 4)}, patch_size=4)

    w = Writer(folder, "pos_embed.safetensors")
    w.save({
        "sincos_2d.3x5x16": tokens.sincos_2d(3, 5, 16, torch.float64),
        "sincos_2d.4x4x24": tokens.sincos_2d(4, 4, 24, torch.float64),
        "sincos_row.4x4x16": tokens.sincos_row(4, 4, 16, torch.float64),
        "sincos_row.3x3x512": tokens.sincos_row(3, 3, 512, torch.float64),
    })

    w = Writer(folder, "mask.safetensors")
    image, mask, full = w.image(2, 3, 8, 12), some_mask(2, 6, 4), w.normal(2, 6, 5)
    visible, token = tokens.gather_visible(full, mask), w.normal(5)
    w.save({"input.image": image, "input.mask": mask, "input.tokens": full, "input.mask_token": token,
            "output.blanked": tokens.blank(image, mask, 4), "output.visible": visible,
            "output.scattered": tokens.scatter_visible(visible, mask, token)}, patch_size=4)


def some_mask(images: int, patches: int, hidden: int) -> Tensor:
    """[images, patches]: exactly `hidden` ones in each row, neighbouring rows unlike."""
    first = np.random.default_rng([patches, hidden]).permutation(patches) < hidden
    return torch.tensor(np.array([np.roll(first, i) for i in range(images)])).double()


LIGHT = Config(image_size=(32, 32), in_channels=3, patch_embed="conv_stem", stem_dims=(4, 6, 8), embed_dim=16,
               depth=3, num_heads=2, mlp_ratio=2.0, norm="dyt", decoder_embed_dim=12, decoder_depth=2,
               decoder_num_heads=3, decoder_mlp_ratio=2.0, head="pyramid", output="residual")
COMBINATIONS = {
    "stem_pyramid_residual": {},
    "stem_pyramid_absolute_logit": dict(image_size=(32, 48), in_channels=1, output="absolute", defect_logit=True,
                                        depth=4),
    "stem_linear_residual": dict(image_size=(32, 48), in_channels=1, head="linear", norm="layer_norm"),
    "linear_linear_absolute": dict(image_size=(16, 32), patch_embed="linear", head="linear", output="absolute",
                                   embed_dim=12, decoder_depth=1),
    "linear_pyramid_residual": dict(image_size=(48, 32), in_channels=1, patch_embed="linear", norm="layer_norm",
                                    mlp_ratio=1.5),
}


def write_light(folder: Path) -> None:
    for name, changes in COMBINATIONS.items():
        config = dataclasses.replace(LIGHT, **changes)
        w = Writer(folder, f"light_{name}.safetensors")
        light = w.fill(Light(config))
        patches = config.image_size[0] * config.image_size[1] // 256
        image, mask = w.image(2, config.in_channels, *config.image_size), some_mask(2, patches, patches * 2 // 3)
        tensors = {"input.image": image, "input.mask": mask} | prefixed("weight", crate_layout(light))
        tensors |= run_both(light, image, mask)
        if not changes:
            functional = w.normal(*image.shape)
            tensors["functional.reconstruction"] = functional
            for case, given in {"unmasked": None, "masked": mask}.items():
                x = image.clone().requires_grad_()
                light.zero_grad()
                (functional * light(x, given)["reconstruction"]).sum().backward()
                tensors[f"{case}.grad.input.image"] = x.grad
            tensors |= prefixed("masked.grad.weight", crate_layout(light, gradient=True))
        w.save(tensors, **dataclasses.asdict(config))


def run_both(network: nn.Module, image: Tensor, mask: Tensor) -> Tensors:
    """All outputs, without and with the mask; makes sure that 32-bit PyTorch finds them too."""
    out = {}
    for case, given in {"unmasked": (), "masked": (mask,)}.items():
        with torch.no_grad():
            exact = network(image, *given)
            single = network.float()(image.float(), *(m.float() for m in given))
            network.double()
        for name, value in exact.items():
            checks.close(single[name], value, 1e-5)
        out |= prefixed(case, exact)
    return out


def write_diyt(folder: Path) -> None:
    sizes = dict(image_size=64, patch_size=16, embed_dim=16, depth=3, num_heads=4, mlp_ratio=1.0,
                 decoder_embed_dim=8, decoder_depth=2, decoder_num_heads=4, decoder_mlp_ratio=2.0)
    w = Writer(folder, "diyt.safetensors")
    diyt = w.fill(Diyt(**sizes)).eval()
    image, mask = w.image(2, 3, 64, 64), some_mask(2, 16, 12)
    w.save({"input.image": image, "input.mask": mask} | run_both(diyt, image, mask), **sizes)
    state = diyt.float().state_dict()
    torch.save(state, folder / "diyt.pth")
    with mock.patch.object(torch.serialization, "location_tag", return_value="cuda:0"):  # as if trained on a GPU
        torch.save({"epoch": 7, "model_state_dict": state, "loss": 0.25}, folder / "diyt_wrapped.pth")


class Hostile:
    """Unpickled by the letter, it runs a shell command that leaves a file behind."""

    def __reduce__(self):
        return os.system, ("echo > blemish_pickle_was_run",)


def write_hostile(folder: Path) -> None:
    state = {"encoder_norm.alpha": torch.tensor([0.5]), "encoder_norm.beta": Hostile()}
    torch.save(state, folder / "hostile.pth")
    (folder / "hostile_bare.pth").write_bytes(pickle.dumps(state["encoder_norm.beta"], protocol=2))


def write_losses(folder: Path) -> None:
    w = Writer(folder, "losses.safetensors")
    tensors = {}
    for case, channels, (height, width), hidden in (("rgb", 3, (16, 32), 1), ("grey", 1, (32, 16), 1)):
        target = w.image(2, channels, height, width)
        prediction = (0.7 * target + 0.15 + w.normal(*target.shape, scale=0.1)).float().double()
        mask = some_mask(2, height * width // 256, hidden)
        tensors |= {f"{case}.prediction": prediction, f"{case}.target": target, f"{case}.mask": mask,
                    f"{case}.ssim_map": losses.ssim_map(prediction, target)}
        for name, loss in {"mse": losses.mse, "masked_patch_mse": losses.masked_patch_mse, "ssim": losses.ssim,
                           "pretrain_loss": losses.pretrain_loss}.items():
            x = prediction.clone().requires_grad_()
            value = loss(x, target, mask) if name in ("masked_patch_mse", "pretrain_loss") else loss(x, target)
            value.backward()
            tensors |= {f"{case}.{name}": value.reshape(1), f"{case}.grad.{name}": x.grad}
    w.save(tensors)


def write_retrieve(folder: Path) -> None:
    """A level of three scenes, of stride 4: a large defect, one within a place, none."""
    w = Writer(folder, "retrieve.safetensors")
    first = w.normal(3, 8, 8, 6)
    reference = (first + w.normal(3, 8, 8, 6, scale=0.5)).float().double()
    good = (first + w.normal(3, 8, 8, 6, scale=0.7)).float().double()
    defect, near = torch.zeros(3, 1, 32, 32).double(), [False, True, True]
    defect[0, 0, 5:14, 9:20] = 1
    defect[1, 0, 17, 22] = 1
    places = Places(torch.tensor([0, 9, 10, 37, 63]), torch.tensor([3, 18, 33, 56]))
    tensors = {"input.first": first, "input.reference": reference, "input.good": good, "input.defect": defect,
               "input.near": torch.tensor(near), "input.taken": places.taken, "input.others": places.others}
    for name, loss in {"retrieve": lambda a, b, g: retrieve([a], [b], [g], defect, near),
                       "contrast": lambda a, b, g: contrast([a], [b], defect, [places], 0.1)}.items():
        photos = {"first": first, "reference": reference, "good": good}
        photos = {of: x.clone().requires_grad_() for of, x in photos.items()}
        value = loss(*map(means, photos.values()))
        value.backward()
        tensors |= {name: value.reshape(1)}
        tensors |= {f"grad.{name}.{of}": x.grad for of, x in photos.items() if x.grad is not None}
    w.save(tensors)


def write_filters(folder: Path) -> None:
    """A stem that is a little wider than the plain filters, in the crate's layout; all weights were 0.5, all biases 0.25."""
    widths = (3, 18, 24, 30)
    convolutions = [nn.Conv2d(a, b, 3) for a, b in zip(widths, widths[1:])]
    for convolution in convolutions:
        nn.init.constant_(convolution.weight, 0.5)
        nn.init.constant_(convolution.bias, 0.25)
    begin_with_filters(convolutions)
    tensors = {}
    for i, convolution in enumerate(convolutions):
        tensors[f"stem.convs.{i}.weight"] = convolution.weight.detach().permute(2, 3, 1, 0).flatten(0, 2)
        tensors[f"stem.convs.{i}.bias"] = convolution.bias.detach()
    Writer(folder, "filters.safetensors").save(tensors)


def write_all(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for write in (write_layers, write_arithmetic, write_light, write_diyt, write_hostile, write_losses,
                  write_retrieve, write_filters):
        write(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; compare, and check the reference")
    if not parser.parse_args().check:
        write_all(FIXTURES)
        (HERE / "FIXTURES.md").write_text(checks.listing(FIXTURES))
        return
    checks.check_reference()
    with tempfile.TemporaryDirectory() as folder:
        write_all(Path(folder))
        checks.same_files(Path(folder), FIXTURES)


if __name__ == "__main__":
    main()
