"""A long-lived process that answers commands: the Rust side or one peer."""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]


class Missing(Exception):
    """The peer is not installed, or cannot do this."""


class Child:
    def __init__(self, name: str, argv: list[str], threads: int):
        counts = {name: str(threads) for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        self.name, self.threads = name, threads
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE if not VERBOSE else None,
            text=True, env=os.environ | counts,
        )
        if self.process.stderr:
            os.set_blocking(self.process.stderr.fileno(), False)

    def send(self, op: str, **arguments) -> None:
        self.drain()
        self.process.stdin.write(json.dumps({"op": op, **arguments}, default=str) + "\n")
        self.process.stdin.flush()

    def receive(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise Missing(f"{self.name} ended: {self.drain()[-300:]}")
        answer = json.loads(line)
        if "missing" in answer:
            raise Missing(f"{self.name}: {answer['missing']}")
        return answer

    def ask(self, op: str, **arguments) -> dict:
        self.send(op, **arguments)
        return self.receive()

    def seconds(self, op: str, **arguments) -> list[float]:
        return self.ask(op, **arguments)["seconds"]

    def drain(self) -> str:
        """What stands in standard error; read, so that a full pipe never stops the process."""
        try:
            return (self.process.stderr.read() if self.process.stderr else "") or ""
        except (OSError, TypeError):
            return ""

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


VERBOSE = "--verbose" in sys.argv


class Starter:
    """Starts children: `rust` is the built benchmark, `python` an interpreter with the peers, or None."""

    def __init__(self, rust: Path, python: str | None):
        self.rust, self.python = rust, python

    def ours(self, threads: int) -> Child:
        return Child("blemish", [str(self.rust), "--commands"], threads)

    def peer(self, name: str, threads: int) -> Child:
        if self.python is None:
            raise Missing("no Python with the peers")
        return Child(name, [self.python, str(HERE / "peers/worker.py"), name, str(threads)], threads)
