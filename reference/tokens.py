"""From image to tokens and back: patches, positions, visible and hidden places. Nothing here is learned.

Images are [B, C, H, W], tokens [B, N, D]; a mask is [B, N], in image order, 1 = hidden, with the same number of hidden
patches in every image of a batch.
"""

import torch
from torch import Tensor


def patchify(image: Tensor, patch: int) -> Tensor:
    """[B, C, H, W] -> [B, N, patch * patch * C]; a patch's values run over (row, column, channel)."""
    b, c, height, width = image.shape
    x = image.reshape(b, c, height // patch, patch, width // patch, patch)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(b, -1, patch * patch * c)


def unpatchify(tokens: Tensor, patch: int, height: int, width: int) -> Tensor:
    """Undoes `patchify`."""
    b, _, values = tokens.shape
    x = tokens.reshape(b, height // patch, width // patch, patch, patch, values // (patch * patch))
    return x.permute(0, 5, 1, 3, 2, 4).reshape(b, -1, height, width)


def blank(image: Tensor, mask: Tensor, patch: int) -> Tensor:
    """The image with the pixels of hidden patches set to 0.5."""
    b, _, height, width = image.shape
    hidden = mask.bool().reshape(b, 1, height // patch, width // patch)
    return image.masked_fill(hidden.repeat_interleave(patch, 2).repeat_interleave(patch, 3), 0.5)


def sincos(position: Tensor, dim: int) -> Tensor:
    """[N] -> [N, dim]: dim/2 sines, then dim/2 cosines, of frequencies 10000^(-2k/dim)."""
    k = torch.arange(dim // 2, dtype=position.dtype, device=position.device)
    angle = position[:, None] * 10000 ** (-2 * k / dim)
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def sincos_2d(rows: int, columns: int, dim: int, dtype: torch.dtype, device: torch.device | None = None) -> Tensor:
    """[rows * columns, dim], He et al. 2022: the first half of the values from the row, the last from the column."""
    row = torch.arange(rows, dtype=dtype, device=device).repeat_interleave(columns)
    column = torch.arange(columns, dtype=dtype, device=device).repeat(rows)
    return torch.cat([sincos(row, dim // 2), sincos(column, dim // 2)], dim=1)


def sincos_row(rows: int, columns: int, dim: int, dtype: torch.dtype) -> Tensor:
    """[rows * columns, dim] as DiYT publishes it: the row alone, sine and cosine interleaved."""
    row = sincos(torch.arange(rows, dtype=dtype), dim).reshape(rows, 2, dim // 2)
    return row.transpose(1, 2).reshape(rows, dim).repeat_interleave(columns, dim=0)


def gather_visible(tokens: Tensor, mask: Tensor) -> Tensor:
    """[B, N, D] -> [B, N visible, D], in image order."""
    return tokens[~mask.bool()].reshape(tokens.shape[0], -1, tokens.shape[2])


def scatter_visible(visible: Tensor, mask: Tensor, hidden: Tensor) -> Tensor:
    """Undoes `gather_visible`, with `hidden` ([D]) in the hidden places."""
    full = hidden.expand(*mask.shape, -1).clone()
    full[~mask.bool()] = visible.flatten(0, 1).to(full.dtype)
    return full
