"""`transcription=…`: tunes to observe that the model did not write: tokens, ABC, or a file (MusicXML and MIDI too)."""

from __future__ import annotations

from folkrnn.datasets.published_tunes import TUNES, ids_of
from folkrnn.errors import UserError
from folkrnn.files.places import content, file_named
from folkrnn.notation.abc import read_abc
from folkrnn.notation.changes import changes
from folkrnn.notation.tokenise import Rejection, prime_changes, prime_tokens, tokenise
from folkrnn.observation.imported import LARGEST, as_abc
from folkrnn.sampling import Transcription, input_tune
from folkrnn.vocabulary import Vocabulary

LONGEST_TUNE = 20_000
"""Tokens of the longest tune that is observed; the longest of folk-rnn's data has 1,952."""


def read_transcriptions(text: str, vocabulary: Vocabulary) -> list[Transcription]:
    """Returns the tunes that `text` names: a published tune, a file, folk-rnn tokens, or ABC (several tunes if many).

    Raises UserError where it holds none, or where a tune has no expression in the vocabulary (with the reason).
    """
    if text in TUNES:
        return [input_tune(ids_of(text, vocabulary), vocabulary, text)]
    text = _content(text)
    if len(text) > LARGEST:
        raise UserError(f"transcription= has {len(text):,} characters, more than the {LARGEST:,} that are read")
    tunes = list(read_abc(text))
    if len(tunes) < 2 and not any(line.startswith("X:") for line in text.splitlines()):
        tokens = prime_tokens(text, vocabulary)
        if not tokens:
            raise UserError("transcription= is empty; give ABC, tokens or a file")
        if len(tokens) > LONGEST_TUNE:
            raise UserError(f"transcription= has {len(tokens):,} tokens; tunes of up to {LONGEST_TUNE:,} are observed")
        return [input_tune(vocabulary.encode(tokens), vocabulary)]
    found = []
    for tune in tunes:
        tokens = tokenise(tune, vocabulary)
        if isinstance(tokens, Rejection):
            raise UserError(f"transcription=: tune {tune.number} ({tune.title or 'untitled'}) has no tokens: {tokens}")
        found.append(input_tune(vocabulary.encode(tokens), vocabulary, tune.title))
    return found


def changes_of(text: str, vocabulary: Vocabulary) -> list[str]:
    """Returns what becomes of the tunes that `text` names on the way into tokens, a line for each that changes."""
    if text in TUNES:
        return []
    text = _content(text)
    tunes = list(read_abc(text))
    if len(tunes) < 2 and not any(line.startswith("X:") for line in text.splitlines()):
        found = prime_changes(text, vocabulary)
        return ["; ".join(found)] if found else []
    told = {tune.title or f"tune {tune.number}": changes(tune) for tune in tunes}
    return [f"{title}: {'; '.join(found)}" for title, found in told.items() if found]


def _content(text: str) -> str:
    """The content of the file that `text` names, or `text` itself."""
    if text.lstrip().startswith("{"):
        return as_abc(text.encode(), "transcription=") or text
    file = file_named(text)
    if file is None:
        return text
    if file.stat().st_size > LARGEST:
        raise UserError(f"transcription={text} is larger than {LARGEST // 2**20} MiB, which no book of tunes is")
    data = content("transcription", file)
    if (abc := as_abc(data, f"transcription={text}")) is not None:
        return abc
    if b"\0" in data:
        raise UserError(f"transcription={text} is a binary file: neither ABC, tokens, MusicXML nor MIDI")
    if not data.strip():
        raise UserError(f"transcription={text} is an empty file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")
