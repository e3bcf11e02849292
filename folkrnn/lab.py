"""A model in a notebook: let it write, trace it, edit it, look at and listen to what it wrote.

lab = folkrnn.load()
tunes = lab.generate(8, seed=1, prime="M:6/8 K:Cdor")
trace = lab.trace(tunes[0], "l*.h")
with lab.edit({"l3.h[60,97]": 0}) as cut:
    cut.generate(8, seed=1)
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from folkrnn import sites as grammar
from folkrnn.errors import UserError, did_you_mean
from folkrnn.interventions import composition
from folkrnn.interventions.intervention import EffectRecord, Intervention, RunContext
from folkrnn.interventions.writes import Write, with_hooks
from folkrnn.melodies import grid
from folkrnn.melodies.labels import labels
from folkrnn.models.hooks import OUT, Step
from folkrnn.models.model import Model
from folkrnn.notation.audio import record
from folkrnn.notation.midi import to_midi
from folkrnn.notation.score import engrave, to_abc
from folkrnn.notation.tokenise import prime_tokens
from folkrnn.observation.observation import Observation
from folkrnn.sampling import Sampling, Transcription, generate, input_tune
from folkrnn.vocabulary import Vocabulary
from folkrnn.weights import downloads, sources
from folkrnn.weights.folder import PARAMETERS, Weights

if TYPE_CHECKING:
    import music21

Change = float | Callable[[Tensor, Step], Tensor]
"""What takes the place of values `[B, units]`: a number, or what a function makes of them and of the step."""

CONTROL = 16
"""Tunes of the unchanged model that an intervention measures units on, where it selects by what they do."""

_RUN = re.compile(r"(?:runs:/)?([0-9a-f]{32})(?:/.*)?")


def load(source: str | Path | None = None) -> Lab:
    """Returns the lab of a model: the shipped folk-rnn, or what `source` names.

    A model that ships (`folkrnn_small`, `musicvae_2bar`), published weights (`folkrnn_v2`), a path (a weights folder,
    a checkpoint, a pickle of folk-rnn, a Magenta tar), an MLflow run (its id) or a registered model (`name@alias`).
    Raises UserError for what is none of these.
    """
    return Lab(_weights("folkrnn" if source is None else str(source)))


def _weights(source: str) -> Weights:
    shipped = sorted(place.parent.name for place in sources.SHIPPED.glob(f"*/{PARAMETERS}"))
    if source in shipped:
        return sources.pretrained(source)
    if source in downloads.SOURCES:
        return downloads.downloaded(source)
    path = Path(source).expanduser()
    if path.exists():
        kinds = {".pkl": sources.pickle, ".pickle": sources.pickle, ".tar": sources.magenta}
        return kinds.get(path.suffix, sources.checkpoint)(str(path))
    run = _RUN.fullmatch(source)
    if run or "@" in source or source.startswith("models:/"):
        from folkrnn.tracking.models import weights  # MLflow takes seconds to import

        return weights(run=run[1]) if run else weights(name=source.removeprefix("models:/"))
    names = [*shipped, *downloads.SOURCES]
    raise UserError(
        f"load({source!r}): no such file, run or model{did_you_mean(source, names)}; there are {', '.join(names)}, "
        "paths, ids of MLflow runs, and registered models as name@alias"
    )


@dataclass(frozen=True)
class Lab:
    """A model and what is done with it. An edit makes another lab; the model of this one stays as it is."""

    weights: Weights
    edits: tuple[str, ...] = ()
    """What was edited, in words."""
    effects: list[EffectRecord] = field(default_factory=list)
    """What is known of the interventions."""
    edited: Model | None = None

    @property
    def model(self) -> Any:
        """The model after all edits."""
        return self.weights.model if self.edited is None else self.edited

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens of a folk-rnn; raises UserError for a MusicVAE."""
        if self.weights.vocabulary is None:
            raise UserError("a MusicVAE has no tokens; this is for a folk-rnn")
        return self.weights.vocabulary

    @property
    def sites(self) -> dict[str, int]:
        """Every site that can be traced and edited, and its number of units."""
        return self.model.sites

    def __repr__(self) -> str:
        edited = f", edited: {', '.join(self.edits)}" if self.edits else ""
        return f"<Lab of {self.weights.source}: {self.model.shape}{edited}>"

    def generate(
        self,
        count: int = 1,
        seed: int = 1,
        *,
        prime: str = "",
        temperature: float = 1.0,
        max_tokens: int = 1000,
    ) -> list[Any]:
        """Returns `count` tunes that begin with `prime` (ABC or tokens), or melodies of a MusicVAE.

        Tune n draws with the n-th random stream of `seed`: with an edit it differs only by the edit.
        """
        if self.weights.vocabulary is None:
            z = self.model.prior(count, seed)
            classes = self.model.generate(z, temperature=temperature, seed=seed).numpy().astype(np.uint8)
            return [NotebookMelody(one, number) for number, one in enumerate(classes)]
        words = tuple(prime_tokens(prime, self.vocabulary)) if prime else ()
        sampling = Sampling(count, temperature, words, max_tokens)
        written = generate(self.model, self.vocabulary, sampling, seed)
        return [NotebookTune(one, self.vocabulary, number) for number, one in enumerate(written)]

    def read(self, text: str) -> NotebookTune:
        """Returns the tune that a text names, in ABC or tokens, to be traced like one that the model wrote."""
        words = prime_tokens(text, self.vocabulary)
        return NotebookTune(input_tune(self.vocabulary.encode(words), self.vocabulary), self.vocabulary)

    def trace(
        self, tune: NotebookTune | NotebookMelody | str, sites: str | Sequence[str] = "l*.h"
    ) -> dict[str, np.ndarray]:
        """Returns the activations while the model reads a tune, `[T, units]` by site; latents of a melody are `[Z]`.

        Row t is the state after reading token t (0 is `<s>`), which decides token t + 1. Raises UserError for a site
        that the model lacks.
        """
        tune = self.read(tune) if isinstance(tune, str) else tune
        if isinstance(tune, NotebookMelody):
            melody = torch.from_numpy(tune.classes.astype(np.int64)).to(self.model.device)
            found = self.model.trace(melody, sites, numbers=[tune.number])
        else:
            ids = torch.from_numpy(tune.ids[:-1]).to(self.model.device)
            found = self.model.trace(ids, sites, tunes=[tune.number])
        return {name: value.cpu().numpy() for name, value in found.items()}

    def edit(self, change: Mapping[str, Change] | Intervention) -> Lab:
        """Returns the lab of the model with sites edited while it runs, or after an intervention.

        `change` maps sites (`l3.h[60,97]`, `l*.c`, `dec.l1.h`, `z`) to numbers, or to functions of the value
        `[B, units]` and the step (see `folkrnn.models.hooks.Step`: `step.position.bar`, `step.position.step`, …). What
        is in force already stays, and comes first. Works with `with` and without.
        """
        if not isinstance(change, Mapping):
            return self._after(change)
        hooks = [hook for site, made in change.items() for hook in self._writes(site, made)]
        words = tuple(f"{site} = {_named(made)}" for site, made in change.items())
        edited = with_hooks(self.model, self.weights.vocabulary, hooks)
        return replace(self, edits=(*self.edits, *words), edited=edited)

    def observe(self, tunes: Sequence[NotebookTune]) -> Observation:
        """Returns these tunes as analyses take them: `Posterior()(lab.observe(tunes))`."""
        return Observation(self.model, self.vocabulary, [tune.transcription for tune in tunes])

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        """An edit needs no undoing: the model of the lab that it was made of is another."""

    def _writes(self, pattern: str, change: Change) -> list[Write]:
        widths = {name: width for name, width in self.sites.items() if name != "probs"}
        found = grammar.parse(pattern, widths | {OUT: widths[self.model.top]})
        device = self.model.device
        make = change if callable(change) else _constant(float(change))
        return [
            Write("", site.name, make, _always, None if site.units is None else torch.tensor(site.units, device=device))
            for site in found
        ]

    def _after(self, intervention: Intervention) -> Lab:
        name = type(intervention).__name__
        plain = Lab(self.weights)
        context = RunContext(self.weights.vocabulary, control=plain.control, latents=plain.latents)
        composition.check({name: intervention}, self.weights.model, context)
        resolved = composition.resolve({name: intervention}, self.weights.model, context)
        edited, effects = composition.apply(resolved, self.model, context)
        return replace(self, edits=(*self.edits, name), effects=[*self.effects, *effects], edited=edited)

    def control(self) -> list[np.ndarray]:
        """Token ids of the tunes that interventions measure units on: written by the model without edits."""
        return [tune.ids for tune in self.generate(CONTROL)]

    @torch.no_grad()
    def latents(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Classes, μ and σ of the melodies that interventions on latents go by: drawn by the model without edits."""
        classes = np.stack([melody.classes for melody in self.generate(CONTROL)])
        mu, sigma = self.model.encode(torch.from_numpy(classes.astype(np.int64)).to(self.model.device))
        return classes, mu.cpu().numpy(), sigma.cpu().numpy()


def _constant(number: float) -> Callable[[Tensor, Step], Tensor]:
    return lambda value, _: torch.full_like(value, number)


def _always(_: object) -> None:
    return None


def _named(change: Change) -> str:
    return getattr(change, "__name__", "a function") if callable(change) else f"{change:g}"


@dataclass(frozen=True, repr=False)
class NotebookTune:
    """A tune that a model wrote or reads."""

    transcription: Transcription
    """How each token came about."""
    vocabulary: Vocabulary
    number: int = 0
    """Of those that were written together, from 0: which random stream it drew with."""

    @property
    def ids(self) -> np.ndarray:
        """Token ids `[N]` from `<s>` on."""
        return self.transcription.ids

    @cached_property
    def tokens(self) -> list[str]:
        """Meter, mode and body, without `<s>` and `</s>`."""
        return self.transcription.tokens(self.vocabulary)

    @property
    def abc(self) -> str:
        """The tune in ABC 2.1."""
        return to_abc(self.tokens, f"No. {self.number + 1}", self.number + 1)

    def __repr__(self) -> str:
        words = self.tokens
        more = " …" if len(words) > 18 else ""
        return f"<Tune {self.number}: {' '.join(words[:18])}{more} ({len(words)} tokens)>"

    def midi(self) -> bytes:
        """Returns a standard MIDI file, repeats played out."""
        return to_midi(self.tokens)

    def music21(self) -> music21.stream.Stream:
        """Returns the tune as music21 reads its ABC."""
        from music21 import converter

        return converter.parse(self.abc, format="abc")

    def play(self) -> NotebookView:
        """Returns a player, which a notebook shows."""
        return NotebookView(_player(tuple(self.tokens)))

    def _repr_html_(self) -> str:
        """Score and player."""
        (score,) = engrave([self.tokens])
        note = f"<small>{escape(score.note)}</small>" if score.note else ""
        drawing = score.svg or f"<pre>{escape(self.abc)}</pre>"
        return f'<div style="background:#fff;color:#000;padding:8px">{drawing}{note}</div>{_player(tuple(self.tokens))}'


@dataclass(frozen=True, repr=False)
class NotebookMelody:
    """A melody on MusicVAE's grid of sixteenths."""

    classes: np.ndarray
    """`[T]`, see `folkrnn.melodies.grid`."""
    number: int = 0
    """Of those that were written together, from 0."""

    @property
    def tokens(self) -> list[str]:
        """A label for each step: the note that begins, `·` for nothing new, `off`."""
        return list(labels(self.classes)[1:])

    def __repr__(self) -> str:
        return f"<Melody {self.number}: {' '.join(self.tokens[:32])}{' …' if len(self.classes) > 32 else ''}>"

    def midi(self) -> bytes:
        """Returns a standard MIDI file."""
        return grid.melody_to_midi(self.classes)

    def music21(self) -> music21.stream.Stream:
        """Returns the melody as music21 reads its MIDI."""
        from music21 import converter

        return converter.parseData(self.midi(), format="midi")


@dataclass(frozen=True, repr=False)
class NotebookView:
    """What a notebook shows."""

    html: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return "<a player: shown in a notebook>"


@lru_cache(maxsize=64)
def _player(tokens: tuple[str, ...]) -> str:
    sound = base64.b64encode(record(tokens).mp3).decode()
    return f'<audio controls src="data:audio/mpeg;base64,{sound}"></audio>'
