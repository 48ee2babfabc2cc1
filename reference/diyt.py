"""The published DiYT masked autoencoder: its parameter names, its sizes by default, and its output.

Kept as published on purpose: the sinusoid knows the row only, the decoder knows no position, and hidden places take
part in the aggregation as zeros. Dropout (0.1, training only) is left out. Images are [B, C, H, W], tokens [B, N, D];
masks as in `tokens.py`.
"""

import torch
from torch import Tensor, nn

from layers import DyT, Mlp
from model import tap_depths
from tokens import gather_visible, scatter_visible, sincos_row, unpatchify


class PatchEmbed(nn.Module):
    def __init__(self, grid: int, patch: int, dim: int):
        super().__init__()
        self.grid = grid
        self.proj = nn.Conv2d(3, dim, patch, patch)
        self.learnable_pos_embed = nn.Parameter(torch.zeros(1, grid * grid, dim))

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.proj(image).flatten(2).transpose(1, 2)
        return tokens + self.learnable_pos_embed + sincos_row(self.grid, self.grid, tokens.shape[-1], tokens.dtype)


class EncoderLayer(nn.Module):
    def __init__(self, dim: int, heads: int, hidden: int):
        super().__init__()
        self.norm1 = DyT(dim, 0.1)
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm2 = DyT(dim, 0.1)
        self.mlp = Mlp(dim, hidden)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class DecoderLayer(nn.Module):
    def __init__(self, dim: int, context_dim: int, heads: int, hidden: int):
        super().__init__()
        self.norm1 = DyT(dim, 0.1)
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm2 = DyT(dim, 0.1)
        self.cross_attn = nn.MultiheadAttention(dim, heads, kdim=context_dim, vdim=context_dim, batch_first=True)
        self.norm3 = DyT(dim, 0.1)
        self.mlp = Mlp(dim, hidden)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        x = x + self.cross_attn(self.norm2(x), context, context, need_weights=False)[0]
        return x + self.mlp(self.norm3(x))


class FeatureAggregator(nn.Module):
    """The taps on the full grid, each through its own linear map, joined by a 1 x 1 convolution."""

    def __init__(self, grid: int, dim: int, taps: int = 3):
        super().__init__()
        self.grid = grid
        self.projection_layers = nn.ModuleList(nn.Linear(dim, dim) for _ in range(taps))
        self.combiner = nn.Conv2d(taps * dim, dim, 1)

    def forward(self, taps: list[Tensor], mask: Tensor) -> Tensor:
        zeros = taps[0].new_zeros(taps[0].shape[-1])
        full = [linear(scatter_visible(tap, mask, zeros)) for linear, tap in zip(self.projection_layers, taps)]
        maps = torch.cat(full, -1).transpose(1, 2).unflatten(2, (self.grid, self.grid))
        return self.combiner(maps).flatten(2).transpose(1, 2)


class Diyt(nn.Module):
    """Square RGB images only; the defaults are the published sizes: 29,784,360 parameters."""

    def __init__(self, image_size=256, patch_size=16, embed_dim=512, depth=16, num_heads=8, mlp_ratio=1.0,
                 decoder_embed_dim=256, decoder_depth=2, decoder_num_heads=8, decoder_mlp_ratio=2.0):
        super().__init__()
        self.image_size, self.patch_size = image_size, patch_size
        grid, width = image_size // patch_size, decoder_embed_dim
        self.patch_embed = PatchEmbed(grid, patch_size, embed_dim)
        self.encoder = nn.ModuleList(
            EncoderLayer(embed_dim, num_heads, int(embed_dim * mlp_ratio)) for _ in range(depth)
        )
        self.encoder_norm = DyT(embed_dim, 0.5)
        self.feature_aggregator = FeatureAggregator(grid, embed_dim)
        self.aggregated_feature_proj = nn.Linear(embed_dim, embed_dim)
        self.decoder_embed = nn.Linear(embed_dim, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.decoder = nn.ModuleList(
            DecoderLayer(width, embed_dim, decoder_num_heads, int(width * decoder_mlp_ratio))
            for _ in range(decoder_depth)
        )
        self.decoder_norm = DyT(width, 0.5)
        self.decoder_pred = nn.Linear(width, patch_size * patch_size * 3)

    def forward(self, image: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """The reconstruction [B, 3, H, W] and what lies between, by name."""
        tokens = self.patch_embed(image)
        if mask is None:
            mask = tokens.new_zeros(tokens.shape[:2])
        x, after = gather_visible(tokens, mask), []
        for layer in self.encoder:
            x = layer(x)
            after.append(x)
        encoded = self.encoder_norm(x)
        taps = [after[depth - 1] for depth in tap_depths(len(self.encoder))]
        aggregated = self.aggregated_feature_proj(self.feature_aggregator(taps, mask))
        x = scatter_visible(self.decoder_embed(encoded), mask, self.mask_token[0, 0])
        for layer in self.decoder:
            x = layer(x, aggregated)
        decoded = self.decoder_norm(x)
        reconstruction = unpatchify(self.decoder_pred(decoded), self.patch_size, self.image_size, self.image_size)
        return {"encoded": encoded, "aggregated": aggregated, "decoded": decoded, "reconstruction": reconstruction}
