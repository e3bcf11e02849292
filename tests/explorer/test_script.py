"""The page's own script and style: checked types, colours that everybody can read."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2] / "folkrnn" / "explorer"
STYLE = (HERE / "explorer.css").read_text()
ON_PAPER = ("ink", "soft", "accent", "blue")


def colours(selector: str) -> dict[str, str]:
    """The custom properties of a rule that are colours."""
    block = re.search(rf"{selector} \{{(.*?)\n\}}", STYLE, re.S)
    assert block is not None
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block[1]))


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.1)."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [":root", ":root.dark"])
@pytest.mark.parametrize("ground", ["paper", "card", "tint"])
@pytest.mark.parametrize("text", ON_PAPER)
def test_text_stands_out_as_wcag_aa_asks(theme, ground, text):
    found = colours(theme)
    assert contrast(found[text], found[ground]) >= 4.5


@pytest.mark.parametrize("theme", [":root", ":root.dark"])
def test_text_on_what_is_marked_or_pressed_stands_out_too(theme):
    found = colours(theme)
    assert contrast(found["ink"], found["mark"]) >= 4.5
    assert contrast(found["paper"], found["accent"]) >= 4.5
    assert contrast(found["paper"], found["ink"]) >= 4.5


@pytest.mark.slow
def test_the_script_has_consistent_types(tmp_path):
    tsc = shutil.which("tsc")
    if tsc is None:
        pytest.skip("no TypeScript here: .ci/install_typescript installs it")
    options = "--checkJs --allowJs --noEmit --strict --target es2023 --lib es2023,dom,dom.iterable --types".split()
    done = subprocess.run(
        [tsc, *options, "", "explorer.js"], cwd=HERE, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
