"""The transformer's layers: norms, MLP, attention, encoder layer, decoder layer. Tokens are [B, N, D]."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DyT(nn.Module):
    """Zhu et al. 2025, "Transformers without Normalization"."""

    def __init__(self, dim: int, alpha: float):
        super().__init__()
        self.alpha = nn.Parameter(torch.full((1,), alpha))
        self.gamma = nn.Parameter(torch.ones(dim))
        self.beta = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma * torch.tanh(self.alpha * x) + self.beta


class LayerNorm(nn.Module):
    """Over the last dimension, population variance, epsilon 1e-5 inside the root."""

    def __init__(self, dim: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))
        self.beta = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return self.gamma * centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() + self.beta


def build_norm(kind: str, dim: int, alpha: float = 0.1) -> nn.Module:
    """`alpha` is DyT's starting value: 0.1 in layers, 0.5 in the final norms."""
    return {"dyt": lambda: DyT(dim, alpha), "layer_norm": lambda: LayerNorm(dim)}[kind]()


class Mlp(nn.Module):
    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """softmax(q k^T / sqrt(D / heads)) v; head h owns the h-th run of D / heads values."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    weights = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2)


class Attention(nn.Module):
    """Self-attention; `qkv` gives the queries, then the keys, then the values."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(attend(*self.qkv(x).chunk(3, -1), self.heads))


class CrossAttention(nn.Module):
    """Queries from `x` (width `dim`); `kv` gives the keys, then the values, from `context` (width `context_dim`)."""

    def __init__(self, dim: int, context_dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(context_dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return self.proj(attend(self.q(x), *self.kv(context).chunk(2, -1), self.heads))


class EncoderLayer(nn.Module):
    def __init__(self, dim: int, heads: int, hidden: int, norm: str):
        super().__init__()
        self.norm1 = build_norm(norm, dim)
        self.attn = Attention(dim, heads)
        self.norm2 = build_norm(norm, dim)
        self.mlp = Mlp(dim, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class DecoderLayer(nn.Module):
    def __init__(self, dim: int, context_dim: int, heads: int, hidden: int, norm: str):
        super().__init__()
        self.norm1 = build_norm(norm, dim)
        self.attn = Attention(dim, heads)
        self.norm2 = build_norm(norm, dim)
        self.cross_attn = CrossAttention(dim, context_dim, heads)
        self.norm3 = build_norm(norm, dim)
        self.mlp = Mlp(dim, hidden)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        x = x + self.cross_attn(self.norm2(x), context)
        return x + self.mlp(self.norm3(x))
