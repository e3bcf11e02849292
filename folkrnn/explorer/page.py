"""The page as one HTML file that asks the network for nothing: style, script, library and data are inside."""

from __future__ import annotations

import base64
import hashlib
import html as escaping
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from folkrnn.errors import UserError
from folkrnn.explorer import melodies, plots, tunes
from folkrnn.explorer.pack import Pack, packs, to_text
from folkrnn.findings import Findings
from folkrnn.observation.observed import Observed

if TYPE_CHECKING:
    import jinja2

PACKS: Mapping[str, Callable[..., dict[str, Pack]]] = {"folkrnn": tunes.packs_of, "musicvae": melodies.packs_of}
"""What the page on an observation holds, by the family of its model."""


@dataclass(frozen=True)
class Page:
    """An explorer, ready to be saved; a notebook shows it when it is the last value of a cell."""

    html: str

    @property
    def packs(self) -> dict[str, Pack]:
        """What the page holds as numbers and arrays, read back from its text."""
        return packs(self.html)

    def save(self, path: str | Path) -> Path:
        """Writes the page, all of it or nothing; returns where. Raises OSError where that cannot be written."""
        place = Path(path)
        draft = place.with_name(f".{place.name}.{os.getpid()}")
        try:
            draft.write_text(self.html, encoding="utf-8")
            draft.replace(place)
        finally:
            draft.unlink(missing_ok=True)
        return place

    def _repr_html_(self) -> str:
        """The page in a frame of its own, as a notebook asks for it."""
        inside = escaping.escape(self.html, quote=True)
        return f'<iframe srcdoc="{inside}" style="width: 100%; height: 56rem; border: 0" title="explorer"></iframe>'


def explore(
    observation: Observed,
    findings: Mapping[str, Findings] = {},
    title: str = "",
    facts: Mapping[str, str] = {},
) -> Page:
    """Returns the page on an observation, in a notebook or for a run.

    `findings` are those of the run's analyses, whose tables the page then shows (`unit_events`, `effect`); `facts` are
    named lines for its head, such as the weights. Nothing is drawn at random: the same observation gives the same page.
    Raises UserError for an observation of a family that has no page.
    """
    kind = observation.model.family
    if kind not in PACKS:
        raise UserError(f"the explorer has pages of {' and '.join(PACKS)}; this model is of the family {kind}")
    facts = dict(facts) or {"model": observation.model.shape}
    heading = {"title": title or "What the network does", "facts": facts}
    made = PACKS[kind](observation, findings, heading)
    script = _text("explorer.js")
    filled = _template().render(
        kind=kind,
        title=heading["title"],
        facts=facts,
        style=_raw(_text("explorer.css")),
        script=_raw(script),
        script_digest=f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        plots=_raw(plots.as_script(plots.plots(kind))),
        bokeh=_raw(plots.bokeh_script()),
        packs={name: _raw(to_text(pack)) for name, pack in made.items()},
    )
    return Page(filled)


@cache
def _template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(_text("page.html.jinja"))


def _text(name: str) -> str:
    return resources.files("folkrnn.explorer").joinpath(name).read_text("utf-8")


def _raw(text: str) -> Any:
    """Text that is not to be escaped: our own style and script, base64."""
    import markupsafe

    return markupsafe.Markup(text)
