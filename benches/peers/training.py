"""The second stage's training step, as a user of PyTorch would write it: the same loss, clipping and fused AdamW."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runtimes import autocast


class Training:
    def __init__(self, net: nn.Module, config: dict, dtype: str):
        self.net, self.settings, self.dtype = net.train(), config["train"], dtype
        decayed = [p for name, p in net.named_parameters() if name.endswith("weight") and p.ndim > 1]
        kept = {id(p) for p in decayed}
        others = [p for p in net.parameters() if id(p) not in kept]
        groups = [{"params": decayed, "weight_decay": self.settings["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-5, fused=True)

    def loss(self, images: Tensor, target: Tensor, defect: Tensor) -> Tensor:
        with autocast(self.dtype):
            out = self.net(images)
        loss = F.mse_loss(out["reconstruction"].float(), target)
        if "defect_logit" not in out:
            return loss
        margin = out["defect_logit"].float() * (2 * defect - 1)
        focal = torch.sigmoid(-margin) ** self.settings["focal_gamma"] * F.softplus(-margin)
        return loss + self.settings["locate_weight"] * focal.mean()

    def gradient_norm(self) -> float:
        return float(nn.utils.get_total_norm([p.grad for p in self.net.parameters() if p.grad is not None]))

    def step(self, images: Tensor, target: Tensor, defect: Tensor) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(images, target, defect)
        loss.backward()
        if self.settings["clip_norm"] > 0:
            nn.utils.clip_grad_norm_(self.net.parameters(), self.settings["clip_norm"])
        self.optimizer.step()
        return loss.item()
