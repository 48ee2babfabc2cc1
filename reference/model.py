"""This project's masked autoencoder, `Light`, in plain PyTorch: clarity before speed.

Written from the facts alone and without a look at the Rust code, so that agreement means something. Images are
[B, C, H, W], tokens [B, N, D], feature maps [B, h, w, c] (channels last); masks as in `tokens.py`.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layers import DecoderLayer, EncoderLayer, build_norm
from tokens import blank, gather_visible, patchify, scatter_visible, sincos_2d, unpatchify


def tap_depths(depth: int) -> list[int]:
    """After how many layers the encoder is tapped."""
    return [depth // 3, 2 * depth // 3, depth]


class Conv3x3(nn.Conv2d):
    """3 x 3 convolution of a channels-last map, padding 1."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__(inputs, outputs, 3, stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class ConvStem(nn.Module):
    """[B, C, H, W] -> tokens at stride 16, and the levels at strides 2, 4, 8 for the pyramid head."""

    def __init__(self, channels: int, dims: tuple[int, ...], embed_dim: int):
        super().__init__()
        widths = [channels, *dims, embed_dim]
        self.convs = nn.ModuleList(Conv3x3(a, b, stride=2) for a, b in zip(widths, widths[1:]))

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        x, levels = image.permute(0, 2, 3, 1), []
        for conv in self.convs[:-1]:
            x = F.gelu(conv(x))
            levels.append(x)
        return self.convs[-1](x).flatten(1, 2), levels


class LinearPatchEmbed(nn.Module):
    """A linear map of the flattened patch; no levels."""

    def __init__(self, channels: int, patch: int, embed_dim: int):
        super().__init__()
        self.patch = patch
        self.proj = nn.Linear(patch * patch * channels, embed_dim)

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self.proj(patchify(image, self.patch)), []


class PosEmbed(nn.Module):
    """A learnable table plus the fixed 2-D sine-cosine."""

    def __init__(self, rows: int, columns: int, dim: int):
        super().__init__()
        self.grid = (rows, columns)
        self.learnable = nn.Parameter(torch.zeros(1, rows * columns, dim))

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """On another grid the learnable table is resampled bilinearly."""
        table = self.learnable
        if grid != self.grid:
            table = table.unflatten(1, self.grid).permute(0, 3, 1, 2)
            table = F.interpolate(table, size=grid, mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)
        return x + table + sincos_2d(*grid, x.shape[-1], table.dtype, x.device)


class Aggregation(nn.Module):
    """Joins the taps' visible tokens into one feature of the encoder's width."""

    def __init__(self, dim: int, taps: int = 3):
        super().__init__()
        self.taps = nn.ModuleList(nn.Linear(dim, dim) for _ in range(taps))
        self.combine = nn.Linear(taps * dim, dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, taps: list[Tensor]) -> Tensor:
        return self.proj(self.combine(torch.cat([linear(x) for linear, x in zip(self.taps, taps)], -1)))


def pixel_shuffle(x: Tensor) -> Tensor:
    """[B, h, w, 4c] -> [B, 2h, 2w, c]: output (2y + dy, 2x + dx, i) is input channel (dy * 2 + dx) * c + i."""
    b, h, w, _ = x.shape
    return x.reshape(b, h, w, 2, 2, -1).permute(0, 1, 3, 2, 4, 5).reshape(b, 2 * h, 2 * w, -1)


class LinearHead(nn.Module):
    def __init__(self, dim: int, channels: int, patch: int):
        super().__init__()
        self.patch = patch
        self.proj = nn.Linear(dim, patch * patch * channels)

    def forward(self, grid: Tensor, levels: list[Tensor]) -> Tensor:
        return unpatchify(self.proj(grid.flatten(1, 2)), self.patch, *(self.patch * n for n in grid.shape[1:3]))


class PyramidHead(nn.Module):
    """Doubles the grid four times; joins the stem's level, where there is one, on the first three."""

    def __init__(self, dim: int, dims: tuple[int, ...], channels: int, skips: bool):
        super().__init__()
        widths = [dim, *reversed(dims)]
        self.up = nn.ModuleList(nn.Linear(a, 4 * b) for a, b in zip(widths, widths[1:]))
        self.fuse = nn.ModuleList(Conv3x3(c * (1 + skips), c, stride=1) for c in widths[1:])
        self.out = nn.Linear(widths[-1], 4 * channels)

    def forward(self, grid: Tensor, levels: list[Tensor]) -> Tensor:
        return self.pixels(self.maps(grid, levels, len(self.up))[-1])

    def maps(self, grid: Tensor, levels: list[Tensor], count: int) -> list[Tensor]:
        """The `count` coarsest maps, at strides 8, 4, 2."""
        x, maps = grid, []
        for i, (up, fuse) in enumerate(zip(self.up[:count], self.fuse)):
            joined = [pixel_shuffle(up(x)), *([levels[-1 - i]] if levels else [])]
            x = F.gelu(fuse(torch.cat(joined, -1)))
            maps.append(x)
        return maps

    def pixels(self, finest: Tensor) -> Tensor:
        return pixel_shuffle(self.out(finest)).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Config:
    """The fields and their names are those of the crate's model configuration."""

    image_size: tuple[int, int]
    in_channels: int
    patch_embed: str  # linear | conv_stem
    stem_dims: tuple[int, int, int]
    embed_dim: int
    depth: int
    num_heads: int
    mlp_ratio: float
    norm: str  # dyt | layer_norm
    decoder_embed_dim: int
    decoder_depth: int
    decoder_num_heads: int
    decoder_mlp_ratio: float
    head: str  # linear | pyramid
    output: str  # absolute | residual
    defect_logit: bool = False  # pyramid only: one more channel beside the reconstruction
    patch_size: int = 16


class Light(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.config = c
        grid = [n // c.patch_size for n in c.image_size]
        dim, width = c.embed_dim, c.decoder_embed_dim
        hidden, decoder_hidden = int(dim * c.mlp_ratio), int(width * c.decoder_mlp_ratio)
        if c.patch_embed == "conv_stem":
            self.stem = ConvStem(c.in_channels, c.stem_dims, dim)
        else:
            self.patch_embed = LinearPatchEmbed(c.in_channels, c.patch_size, dim)
        self.pos_embed = PosEmbed(*grid, dim)
        self.encoder = nn.ModuleList(EncoderLayer(dim, c.num_heads, hidden, c.norm) for _ in range(c.depth))
        self.encoder_norm = build_norm(c.norm, dim, 0.5)
        self.aggregation = Aggregation(dim)
        self.decoder_embed = nn.Linear(dim, width)
        self.mask_token = nn.Parameter(torch.zeros(width))
        self.decoder_pos_embed = PosEmbed(*grid, width)
        self.decoder = nn.ModuleList(
            DecoderLayer(width, dim, c.decoder_num_heads, decoder_hidden, c.norm) for _ in range(c.decoder_depth)
        )
        self.decoder_norm = build_norm(c.norm, width, 0.5)
        if c.head == "pyramid":
            skips = c.patch_embed == "conv_stem"
            self.head = PyramidHead(width, c.stem_dims, c.in_channels + c.defect_logit, skips)
        else:
            self.head = LinearHead(width, c.in_channels, c.patch_size)

    def forward(self, image: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """The reconstruction, the defect logit where there is one, and what lies between, by name."""
        inner = self.tokens(image, mask)
        return self.outputs(inner, self.head(inner["grid"], inner["levels"]))

    def forward_compared(self, image: Tensor, count: int) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Without a mask, by a pyramid head: what `forward` gives, and the maps of `compared`."""
        inner = self.tokens(image)
        maps = self.head.maps(inner["grid"], inner["levels"], len(self.head.up))
        return self.outputs(inner, self.head.pixels(maps[-1])), compared(inner, maps[:count])

    def compared(self, image: Tensor, count: int) -> list[Tensor]:
        """The maps that pre-training compares, [B, h, w, c]: the middle tap, the head's `count` coarsest ones, and the
        stem's levels at their strides."""
        inner = self.tokens(image)
        return compared(inner, self.head.maps(inner["grid"], inner["levels"], count))

    def tokens(self, image: Tensor, mask: Tensor | None = None) -> dict:
        """All that comes before the head. Images may have another size than the tables are stored for."""
        c = self.config
        grid = (image.shape[2] // c.patch_size, image.shape[3] // c.patch_size)
        if mask is None:
            mask = torch.zeros(image.shape[0], grid[0] * grid[1], device=image.device)
        seen = blank(image, mask, c.patch_size)
        tokens, levels = (self.stem if c.patch_embed == "conv_stem" else self.patch_embed)(seen)
        x, after = gather_visible(self.pos_embed(tokens, grid), mask), []
        for layer in self.encoder:
            x = layer(x)
            after.append(x)
        encoded = self.encoder_norm(x)
        taps = [after[depth - 1] for depth in tap_depths(c.depth)]
        aggregated = self.aggregation(taps)
        x = self.decoder_pos_embed(scatter_visible(self.decoder_embed(encoded), mask, self.mask_token), grid)
        for layer in self.decoder:
            x = layer(x, aggregated)
        decoded = self.decoder_norm(x)
        whole = taps[1].shape[1] == grid[0] * grid[1]
        return {
            "seen": seen, "levels": levels, "encoded": encoded, "aggregated": aggregated, "decoded": decoded,
            "grid": decoded.unflatten(1, grid), "middle": taps[1].unflatten(1, grid) if whole else None,
        }

    def outputs(self, inner: dict, out: Tensor) -> dict[str, Tensor]:
        c = self.config
        reconstruction = out[:, : c.in_channels] + (inner["seen"] if c.output == "residual" else 0)
        logit = {"defect_logit": out[:, c.in_channels :]} if c.defect_logit else {}
        passed = {name: inner[name] for name in ("encoded", "aggregated", "decoded")}
        return {**passed, "reconstruction": reconstruction, **logit}


def compared(inner: dict, maps: list[Tensor]) -> list[Tensor]:
    return [inner["middle"], *maps, *reversed(inner["levels"][-len(maps):])]
