"""verovio at arm's length: one child process for a batch, a time limit for each piece, a new child after a death."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_START_LIMIT = 60.0


@dataclass(frozen=True)
class Answer:
    """What verovio made of a piece: a picture, or why there is none."""

    svg: str = ""
    refusal: str = ""


def engrave_encodings(
    pieces: Sequence[str], seconds: float = 20.0, options: Mapping[str, Any] = MappingProxyType({})
) -> list[Answer]:
    """Returns verovio's answer to each piece of MEI (or any format that it knows), in order.

    `options` are verovio's. A piece that kills verovio, or takes longer than `seconds`, is refused with that reason;
    the rest go to a new child.
    """
    answers: list[Answer] = []
    while len(answers) < len(pieces):
        with _child() as (process, lines):
            hello = _next_line(lines, _START_LIMIT)
            if not hello.get("ready"):
                reason = hello.get("refusal") or "verovio does not start"
                return answers + [Answer(refusal=reason)] * (len(pieces) - len(answers))
            for number in range(len(answers), len(pieces)):
                answer = _ask(process, lines, request(pieces[number], number + 1, options), seconds)
                answers.append(answer or Answer(refusal=_cause(process, seconds)))
                if answer is None:
                    break
    return answers


@contextmanager
def _child() -> Iterator[tuple[subprocess.Popen[str], queue.Queue[str]]]:
    """A running child and the lines that it writes; an empty line says that it has closed its output."""
    paths = os.pathsep.join([str(_PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-m", "folkrnn.notation._verovio_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": paths},
    )
    lines: queue.Queue[str] = queue.Queue()
    reader = threading.Thread(target=_read_lines, args=(process, lines), daemon=True)
    reader.start()
    try:
        yield process, lines
    finally:
        process.kill()
        process.wait()
        reader.join()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                _close(pipe)


def _read_lines(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put("")


def _close(pipe: IO[str]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        return  # what was not yet written to a child that died does not matter


def _next_line(lines: queue.Queue[str], seconds: float) -> dict[str, str]:
    """The next answer; {} when the child has ended or the time is up."""
    try:
        line = lines.get(timeout=seconds)
    except queue.Empty:
        return {}
    return json.loads(line) if line else {}


def request(piece: str, seed: int, options: Mapping[str, Any]) -> str:
    """Returns what a child is sent to draw a piece."""
    return json.dumps({"data": piece, "seed": seed, "options": dict(options)})


def _ask(process: subprocess.Popen[str], lines: queue.Queue[str], line: str, seconds: float) -> Answer | None:
    """verovio's answer, None when it died or was too slow."""
    assert process.stdin is not None
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    fields = _next_line(lines, seconds)
    return Answer(**fields) if fields else None


def _cause(process: subprocess.Popen[str], seconds: float) -> str:
    try:
        code = process.wait(timeout=0.5)
    except subprocess.TimeoutExpired:
        return f"verovio gave no answer in {seconds:g} s"
    return f"verovio died of signal {-code}" if code < 0 else f"verovio ended with exit code {code}"
