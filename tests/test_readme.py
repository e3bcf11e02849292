"""What the README and the pages say is what happens: their snippets run, their commands are real, their links lead."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from folkrnn.command_line import main
from folkrnn.files.places import CONF

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "benchmarks/README.md",
        *ROOT.glob("docs/**/*.md"),
    ]
}
README, GALLERY = PAGES["README.md"], PAGES["docs/gallery.md"]
BASH = re.findall(r"```bash\n(.*?)```", README, re.S)
COMMANDS = [line for line in BASH[2].splitlines() if line.startswith("python run.py")]
FIGURES = list(dict.fromkeys(re.findall(r"`(python run\.py [^`]*)`", GALLERY)))


def commands(text: str) -> list[str]:
    """The commands of a page, in blocks of bash and among words, that are whole: nothing is left out by `…` or `|`."""
    inside = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.S))
    found = [line for line in inside.splitlines() if line.startswith("python run.py")]
    found += re.findall(r"`(python run\.py [^`]*)`", text)
    return [command for command in found if "…" not in command and " | " not in command]


COMPOSED = {
    command: page for page, text in PAGES.items() if page != "CONTRIBUTING.md" for command in reversed(commands(text))
}
"""Every command, with the page that it stands on; recipes have a test of their own."""
FEWER = {"open_": 8, "part6": 8, "part7": 8, "part8": 12, "paper_fig": 8, "latents_2bar": 300}
"""Recipes whose full size takes minutes run here on fewer tunes or melodies."""


def python(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What is called what after the first block of Python in a page."""
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    exec(compile(re.findall(r"```python\n(.*?)```", text, re.S)[0], "page", "exec"), names)
    return names


def test_the_python_snippet_runs(tmp_path, monkeypatch):
    (function,) = re.findall(r"`(lambda value, step: [^`]*)`", README)
    names = python(README, tmp_path, monkeypatch)
    assert {site: rows.shape[1] for site, rows in names["trace"].items()} == {f"l{k}.h": 512 for k in (1, 2, 3)}
    tunes, others = names["tunes"], names["others"]
    assert [tune.tokens for tune in others] != [tune.tokens for tune in tunes]
    assert all(tune.tokens[:2] == ["M:6/8", "K:Cdor"] for tune in tunes + others)
    muted = names["lab"].edit({"l3.h": eval(function)}).trace(tunes[0], "l3.h")["l3.h"]
    assert not muted[:10].any()
    assert muted[-10:].any()
    assert (tmp_path / "posterior.png").stat().st_size > 10_000


def test_the_snippets_on_analyses_and_interventions_run(tmp_path, monkeypatch):
    assert python(PAGES["docs/howto/analysis.md"], tmp_path, monkeypatch)["difference"].shape == (128,)
    names = python(PAGES["docs/howto/intervention.md"], tmp_path, monkeypatch)
    plain, late = (tune.tokens for tune in (names["plain"][0], names["late"][0]))
    bars = [place for place, token in enumerate(plain) if token == "|"]
    assert plain[: bars[1]] == late[: bars[1]]
    assert plain != late


def test_the_first_two_commands_install_with_the_lock_file_and_differ_only_in_what_they_end_with():
    run, test = (block.strip() for block in BASH[:2])
    assert run.endswith("pip install -c requirements.lock -e . && python run.py")
    assert test.endswith('pip install -c requirements.lock -e ".[test]" && pytest -n logical')
    assert (ROOT / "requirements.lock").is_file()


def test_the_readme_is_short():
    assert len(README.splitlines()) < 150


@pytest.mark.parametrize("page", sorted(set(COMPOSED.values())))
def test_every_command_composes(page, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    for command in [command for command, where in COMPOSED.items() if where == page and " -m " not in command]:
        assert main([*shlex.split(command)[2:], "--cfg", "job"], CONF, lambda *_: 0) == 0, capsys.readouterr().err
        assert capsys.readouterr().out, command


@pytest.mark.slow
@pytest.mark.parametrize("command", list(dict.fromkeys(COMMANDS + FIGURES)))
def test_every_command_runs(command, tmp_path):
    fewer = [f"sampling.tunes={count}" for name, count in FEWER.items() if f"experiment={name}" in command]
    draws = ["cut.controls=1"] * ("experiment=part6" in command or "experiment=part7_cuts" in command)
    words = [sys.executable, *shlex.split(command)[1:], *fewer[:1], *draws, f"tracking.folder={tmp_path}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("runs/*/report.html"))


def test_pictures_of_the_gallery_are_made_by_the_commands_beside_them():
    cells = r"!\[[^\]]+\]\((?:docs/)?gallery/(\w+)\.png\)[^|]*?`(python run\.py [^`]+)`"
    shown = dict(re.findall(cells, GALLERY))
    assert dict(re.findall(cells, README)) == shown
    assert {path.stem for path in (ROOT / "docs/gallery").glob("*.png")} == set(shown)
    assert sum(path.stat().st_size for path in (ROOT / "docs/gallery").glob("*.png")) < 1_000_000


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", PAGES[page], flags=re.S)
    for link in re.findall(r"\]\((?!\w+:)([^)\s#]+)(?:#[^)]*)?\)", text):
        assert ((ROOT / page).parent / link).exists(), link
    for name in re.findall(r"experiment=(\w+)", text):
        assert (ROOT / "conf/experiment" / f"{name}.yaml").is_file()
