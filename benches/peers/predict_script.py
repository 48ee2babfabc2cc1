"""Scores a folder of images with PyTorch and torchvision, as their user would write it.

    predict_script.py MODEL FOLDER      one line of JSON per image
"""

import json
import os
import sys
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms.functional import gaussian_blur

import weights


class Folder(Dataset):
    def __init__(self, folder: str, size: tuple[int, int], channels: int):
        self.paths = sorted(Path(folder).glob("*.png"))
        self.mode = "RGB" if channels == 3 else "L"
        self.transform = transforms.Compose([transforms.Resize(size), transforms.ToTensor()])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int):
        with Image.open(self.paths[i]) as image:
            return self.transform(image.convert(self.mode)), str(self.paths[i])


def normalised(images: torch.Tensor) -> torch.Tensor:
    """Brightness and contrast taken out, as the model was trained."""
    grey = images.mean(1).flatten(1)
    median = grey.median(1, keepdim=True).values
    gain = 0.4 / (grey - median).abs().sqrt().mean(1).square().clamp_min(0.004)
    gain, median = gain[:, None, None, None], median[:, :, None, None]
    return 0.5 + (images - median) * gain


@torch.inference_mode()
def main(path: str, folder: str, threshold: float = 0.9) -> None:
    weights.tuned_for_unmasked_passes()
    net, config = weights.load(Path(path))
    data = Folder(folder, weights.input_size(config), config["data"]["channels"])
    for images, paths in DataLoader(data, batch_size=16, num_workers=os.cpu_count()):
        images = normalised(images) if config["data"]["normalize"] == "robust" else images
        out = net(images.contiguous(memory_format=torch.channels_last))
        maps = gaussian_blur(torch.sigmoid(out["defect_logit"]), 17, config["network"]["smooth_sigma"])
        for name, score in zip(paths, maps.flatten(1).amax(1).tolist()):
            verdict = "defective" if score >= threshold else "good"
            print(json.dumps({"path": name, "score": score, "threshold": threshold, "verdict": verdict}))


main(*sys.argv[1:])
