"""The report: one file that holds everything and asks the network for nothing."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from folkrnn import style
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings, Main
from folkrnn.notation.audio import record
from folkrnn.notation.bars import flaws
from folkrnn.notation.midi import to_midi
from folkrnn.notation.score import engrave, to_abc
from folkrnn.report.page import JobEntry, JudgedClaim, Report, ReportEntry, Section, number, render, write_report

TOKENS = "M:6/8 K:Cdor |: C E G c B G | ^F 3 ] C 3 :|".split()
VOID = {"meta", "link", "img", "br", "hr", "input"}


def drawing(points: int) -> Figure:
    figure = style.figure(3.4, 2.0)
    random = np.random.default_rng(0)
    figure.subplots().scatter(random.random(points), random.random(points))
    return Figure(figure, f"{points} points, <none> special")


@pytest.fixture(scope="module")
def report() -> Report:
    sound = record(TOKENS).mp3
    tunes = [
        ReportEntry(
            title, TOKENS, to_abc(TOKENS, title), score.svg, "", sound, to_midi(TOKENS), [str(flaws(TOKENS)[0])]
        )
        for title, score in zip(("First & <b>last</b>", ""), engrave([TOKENS, TOKENS]), strict=True)
    ]
    units = pd.DataFrame({"unit": range(512), "share": np.linspace(0, 1, 512), "token": ["</s>"] * 512})
    by_meter = pd.DataFrame({"bars": [102064, 5]}, index=pd.Index(["4/4", "6/8"], name="meter"))
    sections = [
        Section(
            "posterior", Findings({"entropy": 1.23456}, {"few": drawing(30), "many": drawing(5000)}, {"units": units})
        ),
        Section("tune_statistics", Findings({"bars": 12345.0, "missing": float("nan")}, tables={"by_meter": by_meter})),
    ]
    facts = {"model": "folkrnn <3 × 512>", "seed": "42"}
    claims = [
        JudgedClaim("5d-1", "Part 5", "80 % < 0.07.", 0.8, 0.34, "0.3 to 0.4", None, "value > 0.5", "does not hold"),
        JudgedClaim("5d-2", "Part 5", "<s> is low.", "<s>", "<s> 16", "", 2.0, "found(value, published) == 1", "holds"),
        JudgedClaim("9a-1", "Part 9", "Pairs.", 5671, None, "", None, "value > 0", "n/a", "run with analysis=gramians"),
    ]
    command = "python run.py seed=42"
    said = ["It counts (0.9; shuffled tokens: 0.1)."]
    told = {"command": command, "warnings": ["one thing failed"]}
    return Report("A run", facts, said, (), (), tunes, sections, claims, **told)


@pytest.fixture(scope="module")
def html(report: Report) -> str:
    return render(report)


class Page(HTMLParser):
    """Elements with their attributes, the text outside scripts, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_every_element_is_closed(html: str):
    assert Page(html).open == []


def test_nothing_is_asked_of_the_network(html: str):
    page = Page(html)
    addresses = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "srcset", "action", "poster", "data") and value
    ]
    assert len(addresses) > 10
    assert {address[0] for address in addresses} <= {"#", "d"}
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert "@import" not in html
    assert "url(" not in re.sub(r"url\(#", "", html)


def test_the_policy_forbids_the_network_and_allows_our_own_script(html: str):
    (policy,) = (m["content"] for m in Page(html).all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    script = html[html.index("<script>") + 8 : html.index("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


def test_titles_and_facts_are_text_not_markup(html: str):
    assert "First &amp; &lt;b&gt;last&lt;/b&gt;" in html
    assert "<b>last" not in html
    assert "folkrnn &lt;3 × 512&gt;" in html


def test_sound_and_midi_are_inside(html: str, report: Report):
    page = Page(html)
    sounds = [audio["src"] for audio in page.all("audio")]
    assert sounds == [f"data:audio/mpeg;base64,{base64.b64encode(tune.mp3).decode()}" for tune in report.tunes]
    downloads = {a["download"]: a.get("href") for a in page.all("a") if "download" in a}
    assert {name.rpartition(".")[2] for name in downloads} == {"mp3", "mid", "abc"}
    assert {name.rpartition(".")[0] for name in downloads} == {"01 First b last b", "02 tune"}
    midi = downloads["01 First b last b.mid"]
    assert midi is not None
    assert base64.b64decode(midi.partition(",")[2]) == report.tunes[0].midi


def test_scores_and_text_of_tunes_are_shown(html: str, report: Report):
    page = Page(html)
    assert all(tune.svg in html for tune in report.tunes)
    assert len([a for a in page.all("svg") if a.get("viewbox")]) >= 2
    assert "6/8 · Cdor · 16 tokens" in page.text
    assert "unmatched ] (token 12)" in page.text
    assert " ".join(TOKENS) in page.text
    assert "CEG cBG | ^F3 C3 :|" in page.text
    assert "Tune 2" in page.text


def test_ids_are_unique(html: str):
    ids = [attributes["id"] for _, attributes in Page(html).elements if "id" in attributes]
    own = [
        name for name in ids if name and not re.match(r"E[0-9A-F]{3}-", name)
    ]  # glyphs are the same wherever defined
    assert len(own) == len(set(own))


def test_few_points_stay_a_drawing_and_many_become_a_picture(html: str):
    images = [image["src"] or "" for image in Page(html).all("img")]
    assert [image.partition(";")[0] for image in images] == ["data:image/svg+xml", "data:image/png"]
    assert len(images[1]) < 200_000


def test_figures_and_tables_are_numbered_through_with_captions(html: str):
    text = Page(html).text
    assert "Figure 1. 30 points, <none> special" in text
    assert "Figure 2. 5000 points, <none> special" in text
    assert "Table 1. units: the first 25 of 512 rows" in text
    assert "Table 2. by meter" in text


def test_a_tune_without_a_score_shows_its_abc_open(report: Report):
    without = dataclasses.replace(report.tunes[0], svg="", notes=["not engraved (verovio died)"])
    html = render(dataclasses.replace(report, tunes=[without, report.tunes[1]]))
    assert html.count("<details open><summary>ABC") == 1
    assert "not engraved (verovio died)" in html


def test_long_tables_are_cut_and_indices_that_say_something_are_kept(html: str):
    assert html.count("<td>&lt;/s&gt;</td>") == 25
    assert '<th scope="col">meter</th><th scope="col" class="number">bars</th>' in html
    assert '<td>4/4</td><td class="number">102,064</td>' in html


def test_what_was_found_comes_before_the_tunes_and_numbers_come_last_and_folded(html: str):
    places = [
        html.index(text) for text in ("It counts (0.9;", 'id="tunes"', 'id="figure-1"', 'id="claims"', 'id="numbers"')
    ]
    assert places == sorted(places)
    assert html.index('id="table-1"') > html.index('id="numbers"')
    assert "<details open" not in html[html.index('id="numbers"') :]


def test_a_section_begins_with_its_main_numbers_and_their_intervals():
    metrics = {"kept": 0.5, "kept_low": 0.4, "kept_high": 0.6, "other": 1.0}
    found = Findings(metrics, main={"kept": Main("{:%} is kept")})
    html = render(Report("A run", sections=[Section("effect", found)]))
    text = Page(html).text
    assert text.index("kept 0.5000 0.4000 to 0.6000") < text.index("Effect: 2 numbers") < text.index("other 1")
    assert "kept_low" not in html


def test_pages_and_jobs_are_linked():
    section = Section("effect", Findings(pages={"before_after": "<p>"}))
    jobs = [
        JobEntry("cut_random fraction=0.1", "FINISHED", link="../a/report.html"),
        JobEntry("seed=2", "KILLED", "by SIGKILL"),
    ]
    page = Page(render(Report("A sweep", sections=[section], jobs=jobs)))
    links = {a["href"] for a in page.all("a")}
    assert {"pages/effect_before_after.html", "../a/report.html"} <= links
    assert "seed=2 killed: by SIGKILL" in page.text


def test_claims_stand_under_their_document_with_both_numbers_and_a_verdict(html: str):
    page = html[html.index('id="claims"') :]
    assert "1 hold, 1 do not, 1 could not be judged" in page
    assert page.index("Part 5") < page.index("5d-1") < page.index("Part 9") < page.index("9a-1")
    for text in ("0.8000", "0.3400", "0.3 to 0.4", "does not hold", "&lt;s&gt; is low.", "run with analysis=gramians"):
        assert text in page


def test_a_report_without_claims_does_not_speak_of_them():
    assert "claims" not in render(Report("A run")).split("</style>")[1]


def test_command_and_warnings_are_shown(html: str):
    text = Page(html).text
    assert "python run.py seed=42" in text
    assert "one thing failed" in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (5599881, "5,599,881"),
        (24.0, "24"),
        (np.int64(7), "7"),
        (np.float32(0.5), "0.5000"),
        (0.88712, "0.8871"),
        (-1.5, "−1.500"),
        (123456.7, "123,457"),
        (0.00012345, "0.0001234"),
        (3.1e-7, "3.100·10⁻⁷"),
        (1e20, "1.000·10²⁰"),
        (float("nan"), "n/a"),
        (None, "n/a"),
        (float("-inf"), "−∞"),
        (True, "yes"),
        (np.bool_(False), "no"),
        ("K:Cmaj", "K:Cmaj"),
        (pd.NA, "n/a"),
    ],
)
def test_numbers_are_shown_as_readers_like_them(value: object, shown: str):
    assert number(value) == shown


def test_an_empty_report_is_a_page(tmp_path: Path):
    write_report(tmp_path / "report.html", Report("Nothing"))
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert "Nothing" in page.text


def test_the_same_report_gives_the_same_page(report: Report, html: str):
    assert render(report) == html


def test_a_report_that_cannot_be_made_leaves_the_old_one(tmp_path: Path):
    path = tmp_path / "report.html"
    write_report(path, Report("Old"))
    old = path.read_text()
    with pytest.raises(AttributeError):
        write_report(path, Report("New", sections=[Section("broken", Findings(tables={"no table": 3}))]))  # type: ignore[dict-item]
    assert path.read_text() == old
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_a_report_that_finds_no_room_is_refused_in_one_line(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*report\.html .*: free some space there") as refusal:
        write_report(tmp_path / "file" / "report.html", Report("A run"))
    assert "\n" not in str(refusal.value)
