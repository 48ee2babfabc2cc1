"""Repeats `blemish pretrain` in PyTorch, for a GPU: the network `light`, trained on generated scenes.

    cargo build --release -p blemish-train --example scenes
    python reference/pretrain.py --out runs/gpu --minutes 10
    python reference/pretrain.py --out runs/gpu --resume
    python reference/pretrain.py --check weights/light.safetensors

RUN/light.safetensors is read by `blemish train --set network.init=FILE`, `--features FILE`, `blemish inspect FILE`,
`blemish pretrain --init FILE` and `--evaluate FILE`. checkpoint.pt is for --resume; metrics.jsonl has a line per 20
steps.

Scenes come from the Rust generator: from as many processes of it as there are cores, or from a file that it has written
(`target/release/examples/scenes --batch-size 64 --steps 2000 > scenes.bin`, then `--scenes scenes.bin`). A file that is
too short is taken again from the beginning, in other light and with other masks. Scenes and sizes are those that
`blemish pretrain` draws of the same seed and batch size, rounded to 8 bits; the light is drawn here.

Loss, its weights, optimiser, warm-up and moving average are those of `blemish pretrain`. What differs:
- A step has 64 scenes instead of 8 (--batch-size).
- With --minutes the learning rate falls with the clock instead of the steps, so that a run ends in time at any speed.
- On CUDA the network computes in bf16 (autocast).

With --steps, a run on a CPU that was stopped and resumed gives the same weights as one that was not.
"""

import argparse
import os
import shlex
import signal
import sys
import tomllib
from pathlib import Path

import torch
from safetensors import SafetensorError

from check_pretrain import check_pretrain
from model import Light
from objective import Objective
from scenes import Generators, Recorded, is_recorded
from trainer import CHECKPOINT, METRICS, OBJECTIVE, WEIGHTS_FILE, Settings, Trainer, initialise
from weights import LIGHT, read_pretrained

ROOT = Path(__file__).resolve().parents[1]
GENERATOR = ROOT / "target/release/examples/scenes"
# What is settled when a run begins.
OF_A_NEW_RUN = ("seed", "batch_size", "side", "learning_rate", "precision", "init")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, metavar="DIR", help="folder of the run; is made if needed")
    what.add_argument("--check", type=Path, metavar="FILE", help="train nothing; hold network, losses and files to "
                      "the crate's fixtures and this file of pre-trained weights")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, help="how many steps")
    length.add_argument("--minutes", type=float, help="as many steps as fit into so many minutes from now on")
    parser.add_argument("--scenes", help=f"command of the generator, or a file that it has written ({GENERATOR})")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes of the generator (one a core)")
    parser.add_argument("--batch-size", type=int, help="scenes a step at 128 pixels, fewer of larger ones (64)")
    parser.add_argument("--side", type=int, help="side of all photos, a multiple of 16 (128, 192 or 256, drawn by step)")
    parser.add_argument("--seed", type=int, help="of weights, scenes, light and masks (0)")
    parser.add_argument("--learning-rate", type=float, help="its peak (0.001)")
    parser.add_argument("--precision", choices=("bf16", "f32"), help="of the network's products (bf16 on CUDA)")
    parser.add_argument("--init", type=Path, metavar="FILE", help="weights of an earlier run to start from")
    parser.add_argument("--device", help="such as cuda or cpu (CUDA where there is one)")
    parser.add_argument("--save-every", type=float, default=3.0, help="minutes between checkpoints (3)")
    parser.add_argument("--commit", help="the commit of the program, noted in the weights' file")
    parser.add_argument("--resume", action="store_true", help="go on where a run was interrupted, with its own "
                        "settings; --steps or --minutes give it another length")
    args = parser.parse_args()
    given = [name for name in OF_A_NEW_RUN if getattr(args, name) is not None]
    if args.resume and given:
        parser.error(f"--resume goes on with the run's own settings: leave out {', '.join(given)}")
    if args.out and not args.resume and args.steps is None and args.minutes is None:
        parser.error("say how long: --steps N or --minutes MINUTES")
    for name in ("steps", "minutes", "workers", "batch_size", "learning_rate", "save_every"):
        if getattr(args, name) is not None and not getattr(args, name) > 0:
            parser.error(f"--{name.replace('_', '-')} must be above 0")
    if args.side is not None and (args.side % 16 or not 32 <= args.side <= 1024):
        parser.error("--side must be a multiple of 16, 32 to 1024")
    return args


def new_run(args: argparse.Namespace, device: torch.device, note: dict) -> Trainer:
    given = {name: getattr(args, name) for name in ("seed", "batch_size", "side", "learning_rate")}
    precision = args.precision or ("bf16" if device.type == "cuda" else "f32")
    settings = Settings(**{name: v for name, v in given.items() if v is not None}, bf16=precision == "bf16")
    if args.init:
        network, origin = read_pretrained(args.init)
        if network.config != LIGHT:
            sys.exit(f"{args.init} is not of the network light for 256 x 256 pixels in colour")
        note["commands"].insert(0, origin.get("command", f"(not recorded: {args.init})"))
    else:
        network = Light(LIGHT)
        initialise(network, settings.seed)
    return Trainer(args.out, settings, network, device, note)


def main() -> None:
    args = parse()
    if args.check:
        return check_pretrain(args.check)
    taken = [name for name in (CHECKPOINT, WEIGHTS_FILE, METRICS) if (args.out / name).exists()]
    if args.resume and CHECKPOINT not in taken:
        sys.exit(f"{args.out} holds no run to resume: there is no {CHECKPOINT}")
    if taken and not args.resume:
        sys.exit(f"{args.out} holds a run already ({', '.join(taken)}): go on with --resume, or name another folder")
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    torch.backends.cudnn.benchmark = True
    checkpoint = torch.load(args.out / CHECKPOINT, map_location="cpu", weights_only=True) if args.resume else {}
    commands = [*checkpoint.get("commands", []), shlex.join(["python", *sys.argv])]
    note = {
        "commands": commands, "commit": args.commit,
        "version": tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"],
        "source": args.scenes or checkpoint.get("source") or str(GENERATOR),
    }
    if args.resume:
        if checkpoint.get("objective") != OBJECTIVE:
            sys.exit(f"{args.out / CHECKPOINT} is of another version of this script, which trains on other images: begin anew, "
                     "or start from its weights (--init)")
        settings = {**checkpoint["settings"], "objective": Objective(**checkpoint["settings"]["objective"])}
        run = Trainer(args.out, Settings(**settings), Light(LIGHT), device, note)
        run.load(checkpoint)
    else:
        run = new_run(args, device, note)
    run.progress.set_length(args.steps, args.minutes)

    s = run.settings
    if is_recorded(note["source"]):
        source = Recorded(Path(note["source"]), args.workers)
    else:
        source = Generators(note["source"], s.seed, s.batch_size, args.workers, s.side)
    args.out.mkdir(parents=True, exist_ok=True)
    stop = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: stop.append(number))
    print(f"{sum(p.numel() for p in run.network.parameters()):,} parameters on {device}, "
          f"{'bf16' if s.bf16 else 'f32'}; {run.progress.step} steps are done", file=sys.stderr)
    if not run.train(source, args.save_every, stop):
        sys.exit(f"stopped after {run.progress.step} steps; go on with --resume")
    print(args.out / WEIGHTS_FILE)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, SafetensorError) as error:
        sys.exit(f"error: {error}")
