"""Generated scenes from `crates/blemish-train/examples/scenes.rs`, which says how a record is laid out: read from
processes that run beside the training, or from a file that one has written."""

import os
import queue
import shlex
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

KIND, MAGIC = b"BLMSCEN", b"BLMSCEN4"
HEADER = struct.Struct("<8sQQIII")
# Steps that a source prepares ahead.
AHEAD = 2


@dataclass
class Record:
    """The scenes of a step, three photos of each or, with more references, more."""

    seed: int
    step: int
    side: int
    grey: np.ndarray  # [S] bool
    surface: np.ndarray  # [S] bool
    image: np.ndarray  # [S, side, side, 3] u8, perhaps defective
    clean: np.ndarray  # [S, side, side, 3] u8, without its defect
    references: np.ndarray  # [R, S, side, side, 3] u8, good photos
    good: np.ndarray  # [S, side, side, 3] u8, another good photo
    mask: np.ndarray  # [S, side, side] u8, 1 where defective


def read_record(file: BinaryIO) -> Record | None:
    """The next record; nothing at the end."""
    header = file.read(HEADER.size)
    if not header:
        return None
    seed, step, scenes, side, references = parse(header)
    body = np.empty(body_size(scenes, side, references), np.uint8)
    if file.readinto(body) != len(body):
        raise ValueError("the scenes end within a record")
    photo = 3 * scenes * side * side
    sizes = [scenes, scenes, photo, photo, references * photo, photo]
    grey, surface, *photos, mask = np.split(body, np.cumsum(sizes))
    shape = (scenes, side, side)
    image, clean, others, good = (each.reshape(-1, *shape, 3) for each in photos)
    return Record(seed, step, side, grey.astype(bool), surface.astype(bool), image[0], clean[0], others, good[0],
                  mask.reshape(shape))


def parse(header: bytes) -> tuple[int, int, int, int, int]:
    if len(header) < HEADER.size or not header.startswith(MAGIC):
        earlier = header.startswith(KIND)
        raise ValueError("these scenes are of another version of `--example scenes`: build it anew, write them anew"
                         if earlier else "these are no scenes of `--example scenes`")
    return HEADER.unpack(header)[1:]


def body_size(scenes: int, side: int, references: int) -> int:
    return scenes * (2 + (10 + 3 * references) * side * side)


class Generators:
    """Processes of `command`, each of which writes every so manieth step."""

    def __init__(self, command: str, seed: int, batch_size: int, workers: int, side: int | None = None,
                 references: int = 1):
        self.command = [*shlex.split(command), "--seed", str(seed), "--batch-size", str(batch_size)]
        self.command += ["--references", str(references)]
        self.command += ["--side", str(side)] if side else []
        self.workers = workers

    def records(self, first: int) -> Iterator[Record]:
        """Those of the steps `first`, `first + workers`, ..."""
        command = [*self.command, "--first", str(first), "--every", str(self.workers)]
        # Several processes need no threads of their own; none is to get the Ctrl-C of the terminal.
        alone = {"RAYON_NUM_THREADS": "1"} if self.workers > 1 else {}
        try:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, env={**os.environ, **alone}, start_new_session=True)
        except OSError as error:
            how = "cargo build --release -p blemish-train --example scenes"
            raise ValueError(f"the generator of scenes cannot be started ({error}); it is built by: {how}") from error
        try:
            step = first
            while (record := read_record(process.stdout)) is not None:
                if record.step != step:
                    raise ValueError(f"the generator gave step {record.step} instead of {step}")
                yield record
                step += self.workers
            raise ValueError(f"the generator of scenes ended with status {process.wait()}: {shlex.join(command)}")
        finally:
            process.kill()
            process.wait()


class Recorded:
    """A file of records, taken in order and, where they do not suffice, again from the beginning."""

    def __init__(self, path: Path, workers: int):
        self.path, self.workers, self.places = path, workers, []
        size = path.stat().st_size
        with open(path, "rb") as file:
            while header := file.read(HEADER.size):
                _, _, scenes, side, references = parse(header)
                self.places.append(file.tell() - HEADER.size)
                if file.seek(body_size(scenes, side, references), 1) > size:
                    raise ValueError(f"{path} ends within a record")
        if not self.places:
            raise ValueError(f"{path} is empty")

    def records(self, first: int) -> Iterator[Record]:
        with open(self.path, "rb") as file:
            step = first
            while True:
                file.seek(self.places[step % len(self.places)])
                yield read_record(file)
                step += self.workers


def is_recorded(source: str) -> bool:
    """Whether `source` names a file of records rather than a command."""
    path = Path(source)
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(KIND)) == KIND


class Prepared:
    """What `prepare(record, step)` gives for the steps from `first` on, in order. Each worker of the source has a thread
    that makes it: numpy and reading let the others work meanwhile."""

    def __init__(self, source: Generators | Recorded, first: int, prepare: Callable[[Record, int], object]):
        self.stopped = threading.Event()
        self.queues = [queue.Queue(AHEAD) for _ in range(source.workers)]
        self.threads = [threading.Thread(target=self._work, args=(source, first + k, prepare, out), daemon=True)
                        for k, out in enumerate(self.queues)]
        for thread in self.threads:
            thread.start()
        self.next = 0

    def _work(self, source: Generators | Recorded, step: int, prepare: Callable, out: queue.Queue) -> None:
        records = source.records(step)
        try:
            for record in records:
                self._put(out, prepare(record, step))
                step += source.workers
                if self.stopped.is_set():
                    return
        except Exception as error:  # raised again where the step is taken
            self._put(out, error)
        finally:
            records.close()

    def _put(self, out: queue.Queue, item: object) -> None:
        while not self.stopped.is_set():
            try:
                return out.put(item, timeout=0.2)
            except queue.Full:
                continue

    def take(self) -> object:
        item = self.queues[self.next % len(self.queues)].get()
        self.next += 1
        if isinstance(item, Exception):
            raise item
        return item

    def stop(self) -> None:
        """Ends the generators."""
        self.stopped.set()
        for thread in self.threads:
            thread.join(timeout=10)
