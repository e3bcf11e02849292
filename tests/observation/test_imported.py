import io
import json
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from folkrnn.errors import UserError
from folkrnn.notation.midi import to_midi
from folkrnn.observation import imported
from folkrnn.observation.imported import as_abc
from folkrnn.observation.input_tunes import read_transcriptions
from folkrnn.vocabulary import V2

TUNE = "M:6/8 K:Cmaj C D E G 2 A | c 3 B A G | E F G A B c | d 2 B G 3 | e d c B A G | C 3 C 3 |"


def tokens(path):
    (tune,) = read_transcriptions(str(path), V2)
    return " ".join(tune.tokens(V2))


def note(step, duration, octave=4, alter=None, more=""):
    altered = f"<alter>{alter}</alter>" if alter else ""
    pitch = f"<pitch><step>{step}</step>{altered}<octave>{octave}</octave></pitch>"
    return f"<note>{pitch}<duration>{duration}</duration><voice>1</voice>{more}</note>"


def musicxml(*measures, fifths=2, mode="major", title="The Rambler"):
    head = (
        f"<attributes><divisions>2</divisions><key><fifths>{fifths}</fifths><mode>{mode}</mode></key>"
        "<time><beats>6</beats><beat-type>8</beat-type></time></attributes>"
    )
    bars = "".join(f"<measure>{head if k == 0 else ''}{notes}</measure>" for k, notes in enumerate(measures))
    work = f"<work><work-title>{title}</work-title></work>"
    return f'<?xml version="1.0"?><score-partwise>{work}<part id="P1">{bars}</part></score-partwise>'.encode()


D_JIG = (
    '<barline location="left"><repeat direction="forward"/></barline>'
    + note("D", 1) + note("F", 1, alter=1) + note("A", 2) + note("F", 1) + note("C", 1, 5, 1),
    "<note><rest/><duration>3</duration><voice>1</voice></note>"
    + note("D", 1, 5, more='<tie type="start"/>') + note("D", 2, 5, more='<tie type="stop"/>')
    + '<barline location="right"><repeat direction="backward"/></barline>',
)  # fmt: skip
D_JIG_TOKENS = "M:6/8 K:Cmaj |: C E G 2 _E B | z 3 c 3 :|"


def test_a_melody_written_as_midi_comes_back(tmp_path):
    (tmp_path / "x.mid").write_bytes(to_midi(TUNE.split()))
    assert tokens(tmp_path / "x.mid") == TUNE


def test_musicxml_is_read_with_its_key_repeats_ties_and_rests(tmp_path):
    (tmp_path / "x.musicxml").write_bytes(musicxml(*D_JIG))
    assert tokens(tmp_path / "x.musicxml") == D_JIG_TOKENS
    (tune,) = read_transcriptions(str(tmp_path / "x.musicxml"), V2)
    assert tune.title == "The Rambler"


def test_compressed_musicxml_is_read_where_it_lies(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.mxl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", "<container/>")
        archive.writestr("../score.xml", musicxml(*D_JIG))
    assert tokens(tmp_path / "x.mxl") == D_JIG_TOKENS
    assert [path.name for path in tmp_path.iterdir()] == ["x.mxl"]


@pytest.mark.parametrize(
    ("fifths", "mode", "key"),
    [(0, "dorian", "K:Ddor"), (-3, "minor", "K:Cmin"), (2, "mixolydian", "K:Amix"), (-1, "major", "K:F")],
)
def test_keys_are_named_by_signature_and_mode(fifths, mode, key):
    assert f"\n{key}\n" in as_abc(musicxml(note("C", 6), fifths=fifths, mode=mode), "x")


SESSION = {
    "name": "Cooley's",
    "type": "reel",
    "settings": [{"key": "Edorian", "abc": "|:D2|EBBA B2 EB|! B2 AB dBAG:|"}, {"key": "Eminor", "abc": "EBBA B2 EB|"}],
}


def test_a_tune_of_thesession_org_is_read_from_a_file_and_as_pasted(tmp_path):
    text = json.dumps(SESSION)
    (tmp_path / "tune.json").write_text(text)
    tunes = read_transcriptions(str(tmp_path / "tune.json"), V2)
    assert [tune.tokens(V2)[:2] for tune in tunes] == [["M:4/4", "K:Cdor"], ["M:4/4", "K:Cmin"]]
    assert tunes[0].title == "Cooley's"
    assert [t.tokens(V2) for t in read_transcriptions(text, V2)] == [t.tokens(V2) for t in tunes]


ENTITIES = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><score-partwise><part>&a;</part></score-partwise>'


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (ENTITIES, "entities"),
        (b"<?xml version='1.0'?><score-partwise>", "not a whole XML"),
        (b"<?xml version='1.0'?><html/>", "no part"),
        (musicxml("", fifths=30), "30 fifths"),
        (musicxml("", mode="locrian"), "locrian"),
        (musicxml(note("H", 2)), "pitch"),
        (musicxml(note("C", 0)), "no or of endless length"),
        (b"MThd\0\0", "no whole MIDI"),
        (to_midi(TUNE.split())[:-30], "no whole MIDI"),
        (b'{"a": 1}', "no tune of thesession"),
        (b'{"type": "ballad", "settings": []}', "ballad"),
        (b"{" * 100, "no tune of thesession"),
        (b"PK\3\4 cut short", "not a whole compressed"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(data, says):
    with pytest.raises(UserError, match=says) as refusal:
        as_abc(data, "x")
    assert "\n" not in str(refusal.value)


def test_an_archive_that_unpacks_to_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(imported, "LARGEST", 1000)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.xml", b" " * 10_000)
    with pytest.raises(UserError, match="unpacks to more"):
        as_abc(packed.getvalue(), "x")


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
HOSTILE = {
    "a billion laughs": f'<!DOCTYPE score-partwise [<!ENTITY l0 "ha">{LAUGHS}]><score-partwise>&l11;</score-partwise>',
    "a file of this machine": '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><score-partwise>&f;</score-partwise>',
    "an address": '<!DOCTYPE x [<!ENTITY % d SYSTEM "http://example.invalid/x.dtd">%d;]><score-partwise/>',
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_entities_are_refused_in_any_encoding_also_in_an_archive(text, encoding):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.xml", f'<?xml version="1.0" encoding="{encoding}"?>{text}'.encode(encoding))
    with pytest.raises(UserError, match="defines XML entities"):
        as_abc(packed.getvalue(), "x")


def test_the_doctype_of_musicxml_itself_is_no_entity():
    doctype = (
        b'<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 3.1 Partwise//EN" "http://example.invalid/p.dtd">'
    )
    head, score = musicxml(*D_JIG).split(b"?>", 1)
    assert as_abc(head + b"?>" + doctype + score, "x") == as_abc(musicxml(*D_JIG), "x")


def test_what_is_of_no_known_form_is_left_to_others():
    assert as_abc(b"X:1\nK:C\nCDE|", "x") is None


WHOLE = [to_midi(TUNE.split()), musicxml(*D_JIG), json.dumps(SESSION).encode()]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(WHOLE), st.data())
def test_damage_is_read_or_refused(whole, data):
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        as_abc(bytes(changed), "x")
    except UserError as refusal:
        assert "\n" not in str(refusal)
