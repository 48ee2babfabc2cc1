"""A blemish model file as the independent PyTorch model of `reference/`, with the same weights."""

import json
import sys
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "reference"))

import diyt  # noqa: E402
import layers  # noqa: E402
import model as light  # noqa: E402


def load(path: Path) -> tuple[nn.Module, dict]:
    """The model, ready for unmasked passes of `[B, C, H, W]`, and the run configuration from the file."""
    with safe_open(path, "pt") as file:
        config = json.loads(file.metadata()["blemish"])["config"]
        weights = {name: file.get_tensor(name) for name in file.keys() if not name.startswith("calibration.")}
    published = config["model"]["sinusoid"] == "row"
    net = (build_diyt if published else build_light)(config, weights)
    net = net.eval().to(memory_format=torch.channels_last)
    with torch.no_grad():
        # Fills the cache of sinusoids with real numbers: an exporter's first pass would leave its stand-ins there.
        net(torch.zeros(1, config["data"]["channels"], *input_size(config)))
    return net, config


def build_light(config: dict, weights: dict[str, Tensor]) -> nn.Module:
    fields = {k: v for k, v in config["model"].items() if k in light.Config.__dataclass_fields__}
    fields |= {"image_size": input_size(config), "in_channels": config["data"]["channels"]}
    net = light.Light(light.Config(**fields))
    state = {}
    for name, wanted in net.state_dict().items():
        # The crate calls its pyramid head `pyramid`, the reference calls both heads `head`.
        theirs = name.replace("head.", "pyramid.", 1) if f"pyramid.{name[5:]}" in weights else name
        value = weights.pop(theirs)
        if wanted.ndim == 4:  # [9 * in, out] -> [out, in, 3, 3]
            value = value.reshape(3, 3, -1, value.shape[1]).permute(3, 2, 0, 1)
        elif value.ndim == 2 and name.endswith(".weight"):
            value = value.T
        elif name.endswith("learnable"):
            value = value[None]
        state[name] = value.contiguous()
    assert not weights, f"not in the reference: {sorted(weights)}"
    net.load_state_dict(state)
    return net


def build_diyt(config: dict, weights: dict[str, Tensor]) -> nn.Module:
    m, [side, _] = config["model"], input_size(config)
    names = ("patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "decoder_embed_dim", "decoder_depth",
             "decoder_num_heads", "decoder_mlp_ratio")
    net = diyt.Diyt(image_size=side, **{name: m[name] for name in names})
    p, dim = m["patch_size"], m["embed_dim"]
    state = {
        "patch_embed.proj.weight": weights.pop("patch_embed.proj.weight").T.reshape(dim, p, p, 3).permute(0, 3, 1, 2),
        "patch_embed.learnable_pos_embed": weights.pop("pos_embed.learnable")[None],
        "mask_token": weights.pop("mask_token")[None, None],
        "feature_aggregator.combiner.weight": weights.pop("aggregation.combine.weight").T[:, :, None, None],
        "feature_aggregator.combiner.bias": weights.pop("aggregation.combine.bias"),
    }
    renamed = {"aggregation.taps": "feature_aggregator.projection_layers", "aggregation.proj": "aggregated_feature_proj",
               "head.proj": "decoder_pred", ".attn.proj": ".attn.out_proj", ".cross_attn.proj": ".cross_attn.out_proj",
               ".qkv.weight": ".in_proj_weight", ".qkv.bias": ".in_proj_bias"}
    for i in range(m["decoder_depth"]):
        at = f"decoder.{i}.cross_attn"
        bias = [weights.pop(f"{at}.q.bias"), weights.pop(f"{at}.kv.bias")]
        k, v = weights.pop(f"{at}.kv.weight").T.chunk(2)
        state |= {f"{at}.in_proj_bias": torch.cat(bias), f"{at}.q_proj_weight": weights.pop(f"{at}.q.weight").T,
                  f"{at}.k_proj_weight": k, f"{at}.v_proj_weight": v}
    for name, value in weights.items():
        for ours, theirs in renamed.items():
            name = name.replace(ours, theirs)
        state[name] = value.T if value.ndim == 2 else value
    net.load_state_dict({name: value.contiguous() for name, value in state.items()})
    return net


def input_size(config: dict) -> tuple[int, int]:
    """Height and width of what the model takes."""
    view = config["data"].get("view")
    return tuple(view["size"] if view else config["data"]["image_size"])


def tuned_for_unmasked_passes() -> None:
    """Takes out of the reference what only masked passes need, and puts PyTorch's own fused attention in.

    The reference is written to be read. As it stands it would gather and scatter tokens of which none is hidden, draw the
    sinusoid anew in every pass, and multiply attention out: a handicap that no user's model has.
    """
    for module in (light, diyt):
        module.gather_visible = lambda tokens, mask: tokens
        module.scatter_visible = lambda visible, mask, hidden: visible
    light.blank = lambda image, mask, patch: image
    light.sincos_2d, diyt.sincos_row = cache(light.sincos_2d), cache(diyt.sincos_row)

    def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    layers.attend = attend


class Outputs(nn.Module):
    """The model with a tensor for its answer: reconstruction and, where there is one, defect logit, `[B, C or C + 1, H, W]`."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        out = self.net(images)
        parts = [out[name] for name in ("reconstruction", "defect_logit") if name in out]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)
