"""Writing into activations while the model runs: held at a value, shifted, noisy, or taken from another transcription.

Any activation of any layer can be written, for chosen units, at the rows of a window, of a folk-rnn as of a MusicVAE
(its latents too); besides, `out` is the top layer's h as the softmax layer alone sees it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, cast, get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from folkrnn import sites as grammar
from folkrnn.datasets.published_tunes import TUNES
from folkrnn.errors import UserError
from folkrnn.files.places import content, file_named
from folkrnn.interventions.choice import parted, selector
from folkrnn.interventions.intervention import EffectRecord, Intervention, RunContext
from folkrnn.interventions.rng import normals_at
from folkrnn.interventions.selectors import Chosen, Selector
from folkrnn.interventions.statistics import read_tunes
from folkrnn.interventions.windows import ALWAYS, Window, window
from folkrnn.interventions.writes import Make, Write, with_hooks
from folkrnn.models.engine import InputTunes
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.hooks import OUT, Step, unhooked
from folkrnn.models.musicvae import MusicVAE
from folkrnn.models.traces import Trace
from folkrnn.notation.tokenise import prime_tokens

How = Literal["value", "mean", "add", "noise", "patch"]

Traced = FolkRNN | MusicVAE
"""Models whose activations are traced."""

LATENTS = ("mu", "sigma", "z")

MELODIES = 256
"""Melodies read at once."""

_NOISE = 11
"""Purpose of the random numbers of noise, plus the place of the site."""


@dataclass(frozen=True)
class WriteActivation(Intervention[Traced]):
    """What `how` says, into some units of some sites.

    `value` holds them at a number, `mean` at their mean over the unchanged model's tunes, `add` adds a number, `noise`
    adds normal noise of this standard deviation, `patch` takes the rows of another transcription read by the model.
    """

    families: ClassVar[tuple[str, ...]] = ("folkrnn", "musicvae")

    how: How
    sites: tuple[str, ...]
    value: float = 0.0
    select: Selector | None = None
    """Of units in the layers of the sites; None: those in the brackets of a site, or all."""
    transcription: str | None = None
    """What is patched in: the name of a published tune, tokens, ABC or a file."""
    source: int = 0
    """Where no transcription is given, the number of the control's tune that is patched in."""
    offset: int = 0
    """Row t takes row t + offset of the other transcription; where there is none, nothing is patched."""
    window: Window = ALWAYS
    chosen: dict[str, np.ndarray] | None = field(default=None, compare=False)
    """Units of each site, once they are resolved."""
    means: dict[str, np.ndarray] = field(default_factory=dict, compare=False)

    def check(self, model: Traced, context: RunContext) -> None:
        if self.how not in get_args(How):
            raise UserError(f"how={self.how}: activations can be written by {', '.join(get_args(How))}")
        if not np.isfinite(self.value) or (self.how == "noise" and self.value < 0):
            raise UserError(f"value is {self.value:g}; it must be finite, and for noise not below 0")
        places = self._places(model)
        if context.vocabulary is None:
            self._check_melodies(places)
        elif self.select is not None:
            self.select.check(cast("FolkRNN", model), context)
            if bare := [site.name for site in places if not _layer(site.name, model)]:
                raise UserError(
                    f"{bare[0]} has no units of a layer to select; name places in it instead, as in {bare[0]}[0,1], "
                    "and leave select, units and fraction null"
                )
        if self.how == "patch" and self.transcription is not None and context.vocabulary is not None:
            _ids(self.transcription, context)
        self.window.check(context.vocabulary, context.max_tokens)

    def _check_melodies(self, places: Sequence[grammar.Site]) -> None:
        if self.select is not None:
            raise UserError("the units of a MusicVAE are named in the brackets of a site, as in dec.l2.h[60,97]")
        if self.transcription is not None:
            raise UserError("a MusicVAE is patched from a melody that it observes; give its number as source=")
        if self.how in ("noise", "patch") and any(site.name == "x" for site in places):
            raise UserError(f"x of a MusicVAE are whole melodies, which take no {self.how}; dec.x are their steps")

    def resolved(self, model: Traced, context: RunContext) -> WriteActivation:
        base = unhooked(model)
        select = None if self.select is None else self.select.choose(cast("FolkRNN", base), context)
        chosen = self._units(base, select)
        means = _means(base, context, list(chosen)) if self.how == "mean" else {}
        return replace(self, select=select, chosen=chosen, means=means)

    def matched(self, seed: int) -> WriteActivation | None:
        if self.chosen is None or not isinstance(self.select, Chosen):
            return None
        return replace(self, select=self.select.like(seed), chosen=None)

    def fixes(self, model: Traced, context: RunContext) -> frozenset[tuple[str, int]]:
        if self.how in ("add", "noise") or (self.select is not None and self.chosen is None):
            return frozenset()
        units = self.chosen if self.chosen is not None else self._units(model, None)
        return frozenset(
            (model.top if site == OUT else site, int(unit)) for site, some in units.items() for unit in some
        )

    def edit(self, model: Traced, context: RunContext) -> tuple[Traced, EffectRecord]:
        base = unhooked(model)
        if self.chosen is None:
            return self.resolved(base, context).edit(model, context)
        rows = self.window.rows(context.vocabulary, base.device)
        writes = []
        for place, (site, units) in enumerate(self.chosen.items()):
            index = torch.from_numpy(units).to(base.device)
            every = len(units) == _width(base, site)
            make = self._make(base, context, site, index, place)
            if len(units) and make is not None:
                writes.append(Write("", site, make, rows, None if every else index))
        frames = [pd.DataFrame({"site": site, "unit": units}) for site, units in self.chosen.items()]
        effect = EffectRecord("", {"units": float(sum(map(len, self.chosen.values())))}, {"units": pd.concat(frames)})
        return (with_hooks(model, context.vocabulary, writes) if writes else model), effect

    def _places(self, model: Traced) -> list[grammar.Site]:
        available = {name: width for name, width in model.sites.items() if name != "probs"} | {
            OUT: model.sites[model.top]
        }
        return grammar.parse(self.sites, available)

    def _units(self, model: Traced, chosen: Chosen | None) -> dict[str, np.ndarray]:
        found = {}
        for site in self._places(model):
            units = np.arange(_width(model, site.name)) if site.units is None else np.array(sorted(site.units))
            if chosen is not None:
                units = np.intersect1d(units, chosen.units.get(_layer(site.name, model), np.array([], int)))
            found[site.name] = np.union1d(found.get(site.name, np.array([], int)), units).astype(int)
        return found

    def _make(self, model: Traced, context: RunContext, site: str, units: Tensor, place: int) -> Make | None:
        """What is written; None where it would change nothing."""
        if self.how == "value":
            return lambda part, _: torch.full_like(part, self.value)
        if self.how == "mean":
            mean = torch.from_numpy(self.means[site]).float().to(model.device)[units]
            return lambda part, _: mean
        if self.how == "add":
            return (lambda part, _: part + self.value) if self.value else None
        if self.how == "noise":
            width = _width(model, site)

            def noisy(part: Tensor, step: Step) -> Tensor:
                noise = normals_at(step.position, width, context.seed, _NOISE + place)
                return part + self.value * (noise if part.shape[1] == width else noise[:, units])

            return noisy if self.value else None
        rows = self._other(model, context, site)[:, units]
        first = -1 if site in LATENTS else 0

        def patched(part: Tensor, step: Step) -> Tensor:
            row = step.position.step - first + self.offset
            there = (row >= 0) & (row < len(rows))
            return torch.where(there.unsqueeze(1), rows[row.clamp(0, len(rows) - 1)], part)

        return patched

    def _melody(self, model: MusicVAE, context: RunContext, site: str) -> Tensor:
        """The activations of the other melody, `[T, units]`; `[1, Z]` of latents."""
        melodies = context.melodies[0]
        if not 0 <= self.source < len(melodies):
            raise UserError(f"source is {self.source}; the melodies observed are 0 to {len(melodies) - 1}")
        melody = torch.from_numpy(melodies[self.source].astype(np.int64)).to(model.device)
        found = model.trace(melody, [model.top if site == OUT else site], numbers=[self.source])
        (value,) = found.values()
        if site in LATENTS:
            return value.unsqueeze(0)
        return value.repeat_interleave(len(melody) // len(value), dim=0)  # a conductor's step lasts a segment

    def _other(self, model: Traced, context: RunContext, site: str) -> Tensor:
        """The activation of the other transcription, `[T, units]`, by the very steps that generation takes."""
        if not model.reads_tokens:
            return self._melody(cast("MusicVAE", model), context, site)
        model = cast("FolkRNN", model)
        if self.transcription is not None:
            ids = np.array(_ids(self.transcription, context))
        else:
            tunes = context.control()
            if not 0 <= self.source < len(tunes):
                raise UserError(f"source is {self.source}; the control has tunes 0 to {len(tunes) - 1}")
            ids = tunes[self.source]
        tokens = torch.from_numpy(ids[:-1]).to(model.device)
        name = model.top if site == OUT else site
        trace = Trace({name: model.sites[name]}, 1, len(tokens), model.device)
        with torch.no_grad():
            model.engine().run(InputTunes(tokens[None], known=False), [trace])
        return trace.activations[name][0]


def clamp(
    sites: str | list[str] = "l*.h", value: float | str = 0.0, add: bool = False, **settings: Any
) -> WriteActivation:
    """Returns activations held at a number or their `mean`, or with a number added.

    Further settings say which units (see `choice.selector`; by default those in the brackets of a site, or all) and
    when (`where.window`), here and below.
    """
    if isinstance(value, str) and value not in ("mean", "zero"):
        raise UserError(f"value={value}: activations are held at a number, at zero or at their mean")
    if add and value == "mean":
        raise UserError("add=true adds a number; value=mean is none")
    how = "mean" if value == "mean" else "add" if add else "value"
    number = 0.0 if isinstance(value, str) else float(value)
    return WriteActivation(how, _listed(sites), number, **_chosen(sites, settings))


def noise(sites: str | list[str] = "l*.h", deviation: float = 0.1, **settings: Any) -> WriteActivation:
    """Returns activations with normal noise added."""
    return WriteActivation("noise", _listed(sites), deviation, **_chosen(sites, settings))


def patch(
    sites: str | list[str] = "l*.h",
    transcription: str | None = None,
    source: int = 0,
    offset: int = 0,
    **settings: Any,
) -> WriteActivation:
    """Returns activations that take the values they have while the model reads another transcription."""
    of = {"transcription": transcription, "source": source, "offset": offset}
    return WriteActivation("patch", _listed(sites), 0.0, **of, **_chosen(sites, settings))


def _chosen(sites: str | list[str], settings: dict[str, Any]) -> dict[str, Any]:
    """The selector (None where nothing says which units) and the window that settings describe."""
    choice, when = parted(settings)
    if not (choice := {name: value for name, value in choice.items() if value is not None}):
        return {"select": None, "window": window(**when)}
    select = "indices" if "units" in choice else "random"
    named = [re.match(r"l(\d+)\.", name) for name in _listed(sites)]
    layers = sorted({int(match[1]) for match in named if match}) if all(named) else "all"
    return {"select": selector(**({"select": select, "layer": layers} | choice)), "window": window(**when)}


def _listed(sites: str | list[str]) -> tuple[str, ...]:
    return (sites,) if isinstance(sites, str) else tuple(sites)


def _width(model: Traced, site: str) -> int:
    return model.sites[model.top if site == OUT else site]


def _layer(site: str, model: Traced) -> int:
    """The layer of a site; `out` is the top one's. Activations over tokens have none: 0."""
    if site == OUT:
        return model.depth
    return int(site[1 : site.index(".")]) if site[0] == "l" and "." in site else 0


def _means(model: Traced, context: RunContext, sites: list[str]) -> dict[str, np.ndarray]:
    names = {site: model.top if site == OUT else site for site in sites}
    totals = {site: np.zeros(1) for site in sites}
    rows = dict.fromkeys(sites, 0)
    for activations in _read(model, context, sorted(set(names.values()))):
        for site, name in names.items():
            rows[site] += len(activations[name])
            totals[site] = totals[site] + activations[name].sum(0, dtype=np.float64)
    if not all(rows.values()):
        raise UserError("there are no tunes to take means over")
    return {site: total / rows[site] for site, total in totals.items()}


def _read(model: Traced, context: RunContext, sites: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
    """The activations `[rows, units]` of the unchanged model over its tunes, or over the melodies that are observed."""
    if model.reads_tokens:
        tunes = read_tunes(cast("FolkRNN", model), context.control(), sites)
        yield from (activations for _, activations in tunes)
        return
    for some in np.array_split(classes := context.melodies[0], -(-len(classes) // MELODIES)):
        traced = model.trace(torch.from_numpy(some.astype(np.int64)).to(model.device), sites)
        yield {name: value.flatten(0, -2).cpu().numpy() for name, value in traced.items()}


def _ids(text: str, context: RunContext) -> list[int]:
    """Token ids, with markers, of the transcription that the text names."""
    vocabulary = context.words
    if text in TUNES:
        words = TUNES[text].split()
    else:
        file = file_named(text)
        tune = text if file is None else content("transcription", file).decode(errors="replace")
        words = prime_tokens(tune, vocabulary)
    if not words:
        raise UserError(f"transcription={text} holds no tokens to patch from")
    return [vocabulary.start, *vocabulary.encode(words), vocabulary.end]
