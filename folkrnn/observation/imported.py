"""Tunes in other forms as ABC: MusicXML, the melody of a MIDI file, a tune of thesession.org (JSON).

Nothing is unpacked to the disk, no entity is expanded, and no more is read than LARGEST.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from folkrnn.errors import UserError
from folkrnn.melodies.read import Unreadable, read_midi

if TYPE_CHECKING:
    from xml.etree import ElementTree

LARGEST = 2**24
"""Bytes that are read, unpacked."""

MOST_NOTES = 20_000

_FIFTHS = [letter + sign for sign in ("b", "", "#") for letter in "FCGDAEB"]
_C = _FIFTHS.index("C")
_SHIFTS = {"major": 0, "ionian": 0, "mixolydian": 1, "dorian": 2, "minor": 3, "aeolian": 3}
_ABC_MODES = {"major": "", "ionian": "", "mixolydian": "mix", "dorian": "dor", "minor": "min", "aeolian": "min"}
_SIGNS = {-2: "__", -1: "_", 0: "=", 1: "^", 2: "^^"}
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}

# Krumhansl and Kessler (1982): how well each degree fits a major and a minor key
_PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}

METERS = {
    "jig": "6/8", "reel": "4/4", "slip jig": "9/8", "hornpipe": "4/4", "polka": "2/4", "slide": "12/8", "waltz": "3/4",
    "barndance": "4/4", "strathspey": "4/4", "three-two": "3/2", "mazurka": "3/4", "march": "4/4",
}  # fmt: skip
"""Meters of thesession.org's kinds of tunes."""


@dataclass(frozen=True)
class _Note:
    """A note or, with no letter, a rest; `length` in eighths."""

    letter: str
    alter: int
    octave: int
    length: Fraction


def as_abc(data: bytes, name: str) -> str | None:
    """Returns the tune in `data` as ABC, None where it is of no form that is known here.

    Of several parts the first is taken, of several voices the first, of a chord the first note; of a MIDI file the
    instrument with the most notes, its upper voice, on a grid of sixteenths, in the key that fits best. Raises
    UserError, naming `name`, where the file is damaged or holds no such tune.
    """
    if data[:4] in (b"MThd", b"RIFF"):
        return _of_midi(data, name)
    if data[:4] == b"PK\3\4":
        return _of_musicxml(_unzipped(data, name), name)
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:200]
    if start.startswith(b"<?xml") or start.startswith((b"<score-partwise", b"<!DOCTYPE score")):
        return _of_musicxml(data, name)
    return _of_json(data, name) if start.startswith(b"{") else None


def _of_json(data: bytes, name: str) -> str:
    """The settings of a tune as thesession.org gives it (`…/tunes/1?format=json`)."""
    try:
        tune = json.loads(data)
        meter = METERS.get(str(tune["type"]).lower())
        settings = [(str(setting["key"]), str(setting["abc"])) for setting in tune["settings"]]
        title = " ".join(str(tune.get("name", "")).split())
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(
            f"{name} is JSON, but no tune of thesession.org (type, settings with key and abc): {error}"
        ) from None
    if meter is None or not settings:
        raise UserError(f"{name}: no meter is known for a {tune['type']}, or it has no setting")
    pieces = []
    for number, (key, abc) in enumerate(settings, 1):
        body = abc.replace("! ", "\n").replace("!\r", "\n").replace("\r", "").replace("\n\n", "\n").rstrip("!")
        body = re.sub(r"^[ \t]*X:.*\n?", "", body, flags=re.MULTILINE)  # of a header of its own, which goes on as it is
        pieces.append(f"X:{number}\nT:{title}\nM:{meter}\nL:1/8\nK:{' '.join(key.split())}\n{body}\n")
    return "\n".join(pieces)


def _unzipped(data: bytes, name: str) -> bytes:
    """The score in a compressed MusicXML file, read where it lies."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            scores = [
                n
                for n in archive.namelist()
                if n.lower().endswith((".xml", ".musicxml")) and not n.startswith("META-INF")
            ]
            if not scores:
                raise UserError(f"{name} is an archive without a MusicXML score")
            with archive.open(scores[0]) as file:
                content = file.read(LARGEST + 1)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{name} is not a whole compressed MusicXML file") from None
    if len(content) > LARGEST:
        raise UserError(f"{name} unpacks to more than {LARGEST // 2**20} MiB, which no tune does")
    return content


def _of_musicxml(data: bytes, name: str) -> str:
    if len(data) > LARGEST:
        raise UserError(f"{name} is larger than {LARGEST // 2**20} MiB, which no tune is")
    try:
        score = fromstring(data, forbid_external=True)
    except DefusedXmlException:
        raise UserError(f"{name} defines XML entities, which MusicXML does not need: not read") from None
    except (ParseError, ValueError, LookupError) as error:
        raise UserError(f"{name} is not a whole XML file: {error}") from None
    part = score.find("part")
    if score.tag != "score-partwise" or part is None:
        raise UserError(f"{name} holds no part of a MusicXML score (score-partwise)")
    try:
        header, body = _part(part)
    except (ValueError, KeyError, ZeroDivisionError, IndexError, AttributeError) as error:
        raise UserError(f"{name}: its MusicXML cannot be read: {str(error) or type(error).__name__}") from None
    title = " ".join((score.findtext("work/work-title") or score.findtext("movement-title") or "").split())
    return f"X:1\nT:{title}\n{header}\n{body}\n"


def _part(part: ElementTree.Element) -> tuple[str, str]:
    """Header and body of the first voice of a part."""
    meter, key, divisions, altered, voice = "", "", Fraction(1), {}, None
    body: list[str] = []
    for measure in part.findall("measure"):
        notes: list[_Note] = []
        for attributes in measure.findall("attributes"):
            if attributes.findtext("divisions"):
                divisions = Fraction(int(attributes.findtext("divisions") or 1))
            if attributes.find("time/beats") is not None and not meter:
                meter = (
                    f"M:{int(attributes.findtext('time/beats') or 4)}/{int(attributes.findtext('time/beat-type') or 4)}"
                )
            if attributes.find("key/fifths") is not None and not key:
                key, altered = _key(
                    int(attributes.findtext("key/fifths") or 0), attributes.findtext("key/mode") or "major"
                )
        for note in measure.findall("note"):
            voice = voice or note.findtext("voice")
            if note.find("grace") is not None or note.find("chord") is not None or note.findtext("voice") != voice:
                continue
            _add(notes, note, Fraction(int(note.findtext("duration") or 0)) * 2 / divisions)
        body.append(_barred(measure, _written(notes, altered), not body))
    if not meter or not key:
        raise ValueError("it has no meter or no key")
    return f"{meter}\nL:1/8\nK:{key}", " ".join(body)


def _add(notes: list[_Note], note: ElementTree.Element, length: Fraction) -> None:
    """Adds a note; one that is tied to the note before it in the bar lengthens that."""
    if len(notes) > MOST_NOTES or not 0 < length < 1000:
        raise ValueError("a note of no or of endless length")
    pitch = note.find("pitch")
    if pitch is None:
        notes.append(_Note("", 0, 0, length))
        return
    found = _Note(
        pitch.findtext("step") or "",
        round(float(pitch.findtext("alter") or 0)),
        int(pitch.findtext("octave") or 4),
        length,
    )
    tied = any(tie.get("type") == "stop" for tie in note.findall("tie"))
    if found.letter not in _STEPS or abs(found.alter) > 2 or not 0 <= found.octave <= 9:
        raise ValueError("a pitch that is none")
    if tied and notes and (notes[-1].letter, notes[-1].octave) == (found.letter, found.octave):
        notes[-1] = _Note(found.letter, found.alter, found.octave, notes[-1].length + length)
    else:
        notes.append(found)


def _barred(measure: ElementTree.Element, music: str, first: bool) -> str:
    """A bar of ABC with the repeat signs and endings of its measure."""
    left, right = "", "|"
    for line in measure.findall("barline"):
        repeat, ending = line.find("repeat"), line.find("ending")
        if repeat is not None and repeat.get("direction") == "forward":
            left = "|:"
        if repeat is not None and repeat.get("direction") == "backward":
            right = ":|"
        if ending is not None and ending.get("type") == "start":
            left = f"[{int((ending.get('number') or '1')[0])}"
    return " ".join(piece for piece in (left, music, right) if piece)


def _key(fifths: int, mode: str) -> tuple[str, dict[str, int]]:
    """The K: of ABC and what the signature does to the letters that it alters."""
    mode = mode.strip().lower()
    if mode not in _SHIFTS or not -7 <= fifths <= 7:
        raise ValueError(f"a key of {fifths} fifths in {mode}: major, minor, dorian and mixolydian have tokens")
    order = "FCGDAEB"
    altered = dict.fromkeys(order[:fifths], 1) if fifths >= 0 else dict.fromkeys(order[fifths:], -1)
    return _FIFTHS[_C + fifths + _SHIFTS[mode]] + _ABC_MODES[mode], altered


def _written(notes: Iterable[_Note], altered: dict[str, int]) -> str:
    """The notes of one bar; an accidental is written where it differs from the signature and the bar so far."""
    now: dict[tuple[str, int], int] = {}
    words = []
    for note in notes:
        length = str(note.length.numerator) if note.length.numerator != 1 or note.length == 1 else ""
        length = (
            "" if note.length == 1 else length + (f"/{note.length.denominator}" if note.length.denominator > 1 else "")
        )
        if not note.letter:
            words.append(f"z{length}")
            continue
        place = (note.letter, note.octave)
        sign = "" if now.get(place, altered.get(note.letter, 0)) == note.alter else _SIGNS[note.alter]
        now[place] = note.alter
        letter = note.letter.lower() if note.octave >= 5 else note.letter
        words.append(f"{sign}{letter}{chr(39) * (note.octave - 5)}{',' * (4 - note.octave)}{length}")
    return " ".join(words)


def _of_midi(data: bytes, name: str) -> str:
    try:
        heard = read_midi(data)
    except Unreadable as error:
        raise UserError(f"{name} is no whole MIDI file: {error}") from None
    tuned = ~heard.drum
    if not tuned.any():
        raise UserError(f"{name} holds no note outside the drums")
    instrument = np.bincount(heard.instrument[tuned]).argmax()
    mine = tuned & (heard.instrument == instrument)
    if mine.sum() > MOST_NOTES:
        raise UserError(f"{name} has {mine.sum():,} notes; melodies of up to {MOST_NOTES:,} are read")
    sixteenths = np.rint(_quarters(heard.start[mine], heard.tempos) * 4).astype(np.int64)
    ends = np.rint(_quarters(heard.end[mine], heard.tempos) * 4).astype(np.int64)
    beats, unit = heard.meters[0][1:] if heard.meters else (4, 4)
    bar = beats * 16 // unit
    if bar < 1 or ends.max() > 100 * MOST_NOTES:
        raise UserError(f"{name}: its meter or its length is that of no tune")
    line = _line(sixteenths, ends, heard.pitch[mine])
    fifths, mode = _likely_key([(pitch, end - start) for start, end, pitch in line if pitch is not None])
    key, altered = _key(fifths, mode)
    first = line[0][0] // bar * bar
    bars: dict[int, list[_Note]] = {}
    for start, end, pitch in line:
        letter, alter, octave = ("", 0, 0) if pitch is None else _spelt(pitch, altered, fifths)
        # a note over a bar line becomes two: the vocabulary has no ties
        cuts = [start, *range(start - (start - first) % bar + bar, end, bar), end]
        for since, until in pairwise(cuts):
            note = _Note(letter, alter, octave, Fraction(until - since, 2))
            bars.setdefault((since - first) // bar, []).append(note)
    body = " | ".join(_written(bars[k], altered) for k in sorted(bars))
    return f"X:1\nT:{' '.join(heard.names[instrument].split())}\nM:{beats}/{unit}\nL:1/8\nK:{key}\n{body} |\n"


def _quarters(seconds: np.ndarray, tempos: Sequence[tuple[float, float]]) -> np.ndarray:
    """Times in quarters."""
    since, pace = (np.array(column) for column in zip(*tempos, strict=True))
    before = np.concatenate([[0.0], np.cumsum(np.diff(since) * pace[:-1] / 60)])
    part = np.maximum(np.searchsorted(since, seconds, side="right") - 1, 0)
    return before[part] + (seconds - since[part]) * pace[part] / 60


def _line(start: np.ndarray, end: np.ndarray, pitch: np.ndarray) -> list[tuple[int, int, int | None]]:
    """The upper voice as (start, end, pitch or None for a rest), without gaps and overlaps."""
    upper = {int(s): (int(e), int(p)) for s, e, p in sorted(zip(start, end, pitch, strict=True), key=lambda n: n[2])}
    onsets = sorted(upper)
    line: list[tuple[int, int, int | None]] = []
    for onset, following in zip(onsets, [*onsets[1:], None], strict=True):
        stop, sounding = upper[onset]
        stop = max(stop, onset + 1) if following is None else min(max(stop, onset + 1), following)
        line.append((onset, stop, sounding))
        if following is not None and following > stop:
            line.append((stop, following, None))
    return line


def _likely_key(notes: Sequence[tuple[int, int]]) -> tuple[int, str]:
    """(fifths, mode) of the major or minor key whose profile correlates best with how long each pitch class sounds."""
    sounding = np.bincount([p % 12 for p, _ in notes], [length for _, length in notes], 12)
    best = max(
        (float(np.corrcoef(np.roll(profile, tonic), sounding)[0, 1]), mode, tonic)
        for mode, profile in _PROFILES.items()
        for tonic in range(12)
    )
    major = (best[2] + (3 if best[1] == "minor" else 0)) % 12
    fifths = major * 7 % 12
    return (fifths if fifths <= 6 else fifths - 12), best[1]


def _spelt(pitch: int, altered: dict[str, int], fifths: int) -> tuple[str, int, int]:
    """Letter, alteration and octave: as in the key where it is there, else by a natural, else on the key's side."""
    choices = [
        (letter, alter) for alter in (0, 1, -1) for letter, step in _STEPS.items() if (step + alter - pitch) % 12 == 0
    ]
    in_key = [(letter, alter) for letter, alter in choices if altered.get(letter, 0) == alter]
    natural = [(letter, alter) for letter, alter in choices if alter == 0]
    side = [(letter, alter) for letter, alter in choices if alter == (1 if fifths >= 0 else -1)]
    letter, alter = (in_key or natural or side or choices)[0]
    return letter, alter, (pitch - alter - _STEPS[letter]) // 12 - 1
