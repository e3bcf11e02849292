"""Transcriptions printed in the source documents, as inputs for replays and teacher-forced traces."""

from __future__ import annotations

from folkrnn.errors import UserError, did_you_mean
from folkrnn.files.places import content, file_named
from folkrnn.vocabulary import V2, Vocabulary, remap

TUNES: dict[str, str] = {
    # "What do these 5,599,881 parameters mean?", Fig. 1; also parts 8 and 9 of the blog: 108 tokens with markers
    "fig1": """M:6/8 K:Cmaj |: C D E G, 2 A, | C D E A, 2 G, | C D E G, 2 G, | C 3 A, 3 | C D E G, 2 A, | C D E G 3 |
        A A G A 2 B | c 3 C 3 :| |: C D E G 2 A | G 3 E 2 D | C D E C 2 D | E C A, G, 2 G, | C D E G 2 A | G 3 A 3 |
        G C 2 D E D | C 3 C 3 :|""",
    # "Making sense of the folk-rnn v2 model, part 5": 144 body tokens
    "swing_swang_swung": """M:4/4 K:Cmaj B, | G, C C 2 G, C E C | G, C E G F D B, D | G, C C 2 G, C E G |
        F E D E C E A, B, | G, C C 2 G, C E C | G, C E F G 3 A | B c d B c B G F | D E F D C 3 :| |: D |
        E C C 2 D B, G, A, | B, C D E F 2 D F | E C C 2 D E F D | G ^F G A B 2 A B | G c c B c 2 B c | d e d c B d c B |
        G E F D G F D F | E C B, D C 3 :|""",
    # what v2 writes for seed 42 at temperature 1 (facts sheet section 3.5): 216 tokens
    "seed42": """M:4/4 K:Cdor c 3 d c 2 B G | G F F 2 G B c d | c 3 d c B G A | B G G F G 2 f e | d 2 c d c B G A |
        B G F G B F G F | G B c d c d e f | g b f d e 2 e f | d B B 2 B 2 d c | B G G 2 B G F B | d B B 2 c d e f |
        g 2 f d g f d c | d g g 2 f d B c | d B B 2 B G B c | d f d c B 2 d B | c B B G F B G B | d 2 c d d 2 f d |
        g e c d e 2 f g | f d d B c 2 d B | d c c B G B B c | d 2 c d d 2 f d | c d c B c 2 d f | g b b 2 g a b d' |
        c' d' b g f d d f |""",
}


V2_BLOB = "6ac1708b3532be8a2f53b53dda4a97ec77f46791"
"""Git's id of the published pickle of folk-rnn v2 (facts sheet, notes on the sources)."""

DATA_V2_TUNES = 23_636
"""Transcriptions in v2's data, repeated ones counted (paper; facts sheet section 4.2)."""


def is_v2(blob: str) -> bool:
    """Whether weights read from the file of this git id are those of folk-rnn v2."""
    return blob == V2_BLOB


def is_data_v2(transcriptions: int) -> bool:
    """Whether a corpus of so many transcriptions, those left out counted, is the one that v2 was trained on."""
    return transcriptions == DATA_V2_TUNES


def ids_of(name: str, vocabulary: Vocabulary) -> list[int]:
    """Returns the token ids (without markers) of a published tune, or of the tokens in a file of that path.

    A published tune is put into the words of the vocabulary. Raises UserError for a name that is neither, and for a
    tune with tokens that have no counterpart there, naming them.
    """
    if name in TUNES:
        return vocabulary.encode(remap(TUNES[name].split(), V2, vocabulary))
    file = file_named(name)
    if file is None:
        raise UserError(
            f"{name!r} is no published tune{did_you_mean(name, TUNES)} and no file; there are {', '.join(TUNES)}"
        )
    words = content("sampling.replay", file).decode(errors="replace").split()
    return vocabulary.encode([word for word in words if word not in ("<s>", "</s>")])
