"""Real ABC to folk-rnn tokens: any key to root C, lengths in eighths, repeats in the five measure tokens.

The rules are those of facts sheet section 4.4b, which reproduce the published tokens of the same tunes.
"""

from __future__ import annotations

from folkrnn.notation.abc import AbcTune
from folkrnn.notation.barlines import LONE_COLON
from folkrnn.notation.keys import read_key
from folkrnn.notation.meters import read_meter
from folkrnn.notation.rejection import REASONS, Rejection, Unfit
from folkrnn.notation.transcribe import Transcription, transcribe
from folkrnn.vocabulary import V2, Vocabulary, token_type

__all__ = ["REASONS", "Rejection", "tokenise"]


def tokenise(tune: AbcTune, vocabulary: Vocabulary = V2) -> list[str] | Rejection:
    """Returns the tokens of `tune`, meter and mode first, without `<s>` and `</s>`; or why there are none.

    Never raises, whatever the text; takes time in proportion to its length.
    """
    try:
        return _tokenise(tune, vocabulary)
    except Unfit as unfit:
        return unfit.rejection


def _tokenise(tune: AbcTune, vocabulary: Vocabulary) -> list[str]:
    if tune.unit <= 0:
        raise Unfit("unit", "L:" + " ".join(tune.fields.get("L", []))[:20])
    voices = {words.split()[0] for words in tune.fields.get("V", []) if words.strip()}
    if len(voices) > 1:
        raise Unfit("several_voices", " and ".join(sorted(voices))[:40])
    state = Transcription(vocabulary, read_key(tune.key), read_meter(tune.meter), tune.unit)
    transcribe(tune.body, state)
    if state.chord is not None:
        raise Unfit("chord", "[ without ]")
    if LONE_COLON in state.tokens:
        raise Unfit("sign", "a colon without its bar")
    if not any(token_type(token) == "pitch" and token != "z" for token in state.tokens):
        raise Unfit("no_notes", tune.title[:40])
    header = [state.meter, state.key.token]
    missing = [token for token in (*header, *state.tokens) if token not in vocabulary.index]
    if missing:
        raise Unfit("meter" if missing[0].startswith("M:") else "sign", missing[0])
    return header + state.tokens
