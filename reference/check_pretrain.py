"""Holds what `pretrain.py` trains and writes against the crate: by the fixtures that its tests read, and by values that
its tests work out by hand."""

import json
import math
import tempfile
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

import losses
from checks import close
from draws import Places
from model import Config, Light, PosEmbed
from objective import COMPARED, weights
from retrieve import MARGIN, SOFT_MAXIMUM, SOFTNESS, contrast, ranking
from weights import DECODER, PROJECTION, load_crate_layout, read_added, read_pretrained, write_pretrained

FIXTURES = Path(__file__).resolve().parents[1] / "crates/blemish-train/tests/fixtures"


def off(got: Tensor, wanted: Tensor) -> float:
    """The largest difference over the largest value wanted."""
    return float((got - wanted).abs().max() / wanted.abs().max())


def check_pretrain(path: Path) -> None:
    """Fails at the first thing that differs; `path` is a file of pre-trained weights."""
    with torch.no_grad():
        for check in (check_file, check_forward, check_fixtures):
            print(f"{check.__name__}: {check(path)}")
    print(f"check_losses: {check_losses()}")


def check_file(path: Path) -> str:
    """What is read and written again has the same tensors, and the same header but for its order."""
    network, origin = read_pretrained(path)
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / "again.safetensors"
        write_pretrained(again, network, origin, read_added(path, (PROJECTION, DECODER)))
        kept, written = ({name: v for name, v in load_file(file).items() if not name.startswith("comparison.")}
                         for file in (path, again))
        headers = []
        for file in (path, again):
            with safe_open(file, "pt") as opened:
                headers.append(json.loads(opened.metadata()["blemish"]))
                headers[-1]["model"].pop("comparison", None)
    assert kept.keys() == written.keys(), f"names differ: {sorted(kept.keys() ^ written.keys())}"
    for name, value in kept.items():
        assert value.dtype == written[name].dtype and torch.equal(value, written[name]), f"{name} differs"
    assert headers[0] == headers[1], f"headers differ: {headers}"
    return f"{len(kept)} tensors, {sum(v.numel() for v in kept.values()):,} numbers and the header are the same"


def check_forward(path: Path) -> str:
    """The ways through the network give the same, and bf16 nearly so; a table on another grid is the crate's."""
    network, _ = read_pretrained(path)
    image = torch.rand(2, 3, 128, 160, generator=torch.Generator().manual_seed(1))
    plain = network(image)
    output, maps = network.forward_compared(image, COMPARED)
    for name, value in plain.items():
        close(output[name], value, 0)
    for a, b in zip(maps, network.compared(image, COMPARED)):
        close(a, b, 0)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(image)
    error = max(off(rounded[name], plain[name]) for name in ("reconstruction", "defect_logit"))
    assert error < 0.05, f"bf16 is off by {error}"
    # Halving a grid takes means of four neighbours.
    table = PosEmbed(4, 6, 8)
    table.learnable.copy_(torch.randn(1, 24, 8, generator=torch.Generator().manual_seed(2)))
    mean = table.learnable.reshape(2, 2, 3, 2, 8).mean((1, 3)).reshape(1, 6, 8)
    none = PosEmbed(2, 3, 8)(torch.zeros(1, 6, 8), (2, 3))
    close(table(torch.zeros(1, 6, 8), (2, 3)) - none, mean, 1e-5)
    return f"bf16 is off by {error:.1e} of the largest value"


def check_fixtures(_: Path) -> str:
    """Read as pre-training reads weights, the fixtures that the crate's engine and model are held to give the same."""
    worst, count = 0.0, 0
    for path in sorted(FIXTURES.glob("light_*.safetensors")):
        with safe_open(path, "pt") as file:
            shape = json.loads(file.metadata()["config"])
        tensors = load_file(path)
        network = Light(Config(**{name: tuple(v) if isinstance(v, list) else v for name, v in shape.items()}))
        given = {name.removeprefix("weight."): v for name, v in tensors.items() if name.startswith("weight.")}
        load_crate_layout(network, given)
        for case, mask in (("unmasked", None), ("masked", tensors["input.mask"])):
            for name, value in network(tensors["input.image"], mask).items():
                wanted = tensors[f"{case}.{name}"]
                close(value, wanted, 1e-5)
                worst = max(worst, off(value, wanted))
                count += 1
    return f"{count} outputs, off by {worst:.1e} of the largest value at most"


def check_losses() -> str:
    """The values that the tests of `blemish-train/src/loss` and `src/pretrain` work out."""
    logit, target = torch.tensor([0.0, 2.0, -1.0, 3.0]), torch.tensor([1.0, 0.0, 0.0, 1.0])
    for gamma in (0.0, 2.0):
        truth = [1 / (1 + math.exp(z if t == 0 else -z)) for z, t in zip(logit.tolist(), target.tolist())]
        wanted = sum((1 - p) ** gamma * -math.log(p) for p in truth) / 4
        close(losses.focal_with_logits(logit, target, gamma), torch.tensor(wanted), 1e-6)
    # Distances 0.9, 0.73, 0.67 and, of the defective place, 2.5; of the good photo 0.5 at most; the unit does not count.
    first, other, good = (torch.tensor(v).reshape(1, 1, 2, 2) for v in (
        [1.9, 2.27, 4.67, 6.5], [1.0, 1, 3, 4], [1.5, 4 / 3, 4 / 3, 1]))
    defect = torch.zeros(1, 1, 32, 32)
    defect[..., 16:20, 16:26] = 1
    limit = SOFT_MAXIMUM * math.log(sum(math.exp(math.log(d) / SOFT_MAXIMUM) / 2 for d in (0.9, 0.5)))
    wanted = math.log1p(math.exp((limit + MARGIN - math.log(2.5)) / SOFTNESS))
    for near in (False, True):
        close(ranking(first, other, good, defect, [near]), torch.tensor(wanted), 1e-5)
    # Two scenes of one place.
    first, other = (torch.tensor(v).reshape(2, 2, 1, 1) for v in ([1.0, 0, 0, 2], [3.0, 0, 0.6, 0.8]))
    only = [Places(torch.tensor([0]), torch.tensor([0]))]
    wanted = sum(math.log1p(math.exp((other - own) / 0.5)) for own, other in ((1.0, 0.6), (0.8, 0.0))) / 2
    close(contrast([first], [other], torch.zeros(2, 1, 16, 16), only, 0.5), torch.tensor(wanted), 1e-5)
    # Variances 0, 0.04 and 4.
    images = torch.tensor([[0.5] * 4, [0.3, 0.7, 0.3, 0.7], [-2.0, 2.0, -2.0, 2.0]]).reshape(3, 1, 2, 2)
    close(weights(images).flatten(), torch.tensor([1.0, 1.0, math.sqrt(0.1)]), 1e-6)
    return "focal loss, ranking, contrast and the weights of images are those worked out by hand"
