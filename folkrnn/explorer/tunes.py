"""What the page of a folk-rnn holds: the tunes it shows in full, those it searches, and what is known of every unit.

Up to SHOWN tunes are shown with score, sound, distributions and the hidden states of all layers, as 8 bits a value;
gates and cell states come along for as many as there is room. Up to SEARCHED tunes of the run are searched for
passages, from one bit a value, and for where a unit is strongest. What was left out, the page says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, pairwise, product
from typing import Any

import numpy as np

from folkrnn import sites as grammar
from folkrnn.explorer import units as unit_facts
from folkrnn.explorer.pack import Pack
from folkrnn.explorer.sheets import PlayableScore, sheets
from folkrnn.explorer.states import UNIT_RANGE, Moments, bounds, from_bytes, is_on, strongest_places, to_bytes
from folkrnn.findings import Findings
from folkrnn.observation.observation import Observation
from folkrnn.sampling import Transcription
from folkrnn.vocabulary import TYPES, Vocabulary

SHOWN, SEARCHED = 8, 64
LONGEST = 1500
"""Tokens of a tune that are shown; the rest of a longer one is left out."""
ROOM = 2_400_000
"""Bytes for the activations of the tunes that are shown: they compress little, and base64 adds a third."""
SEARCH_ROOM = 1_900_000
"""Bytes for one bit of every unit at every step of the tunes that are searched but not shown."""
LIKELIEST = 12
"""Tokens of each distribution that are kept."""
GATES = ("i", "f", "o", "g", "c", "r", "u", "n")


@dataclass(frozen=True)
class TracedTune:
    """A tune of one side, cut to LONGEST tokens, with what was traced of it."""

    number: int
    transcription: Transcription
    ids: np.ndarray
    activations: Mapping[str, np.ndarray]
    """`[T, units]` by site; `probs` `[T, V]` among them."""


@dataclass(frozen=True)
class Sites:
    """Which activations of a model the page holds."""

    layers: dict[str, slice]
    """The hidden states of each layer, and where its units stand when those of all layers are counted."""
    gates: tuple[str, ...]
    """Gates, candidates and cell states of all layers."""
    sizes: Mapping[str, int]
    """Units by site."""

    @classmethod
    def of(cls, sites: Mapping[str, int]) -> Sites:
        layers = [site.name for site in grammar.parse("l*.h", sites)]
        edges = np.cumsum([0, *(sites[name] for name in layers)]).tolist()
        gates = tuple(name for name in sites if name.count(".") == 1 and name.split(".")[1] in GATES)
        return cls({name: slice(*edge) for name, edge in zip(layers, pairwise(edges), strict=True)}, gates, sites)

    @property
    def units(self) -> int:
        """Units of all layers together."""
        return sum(self.sizes[name] for name in self.layers)


Gated = Mapping[tuple[int, int], Mapping[str, np.ndarray]]
"""Gates and cell states, `[T, units]` by site, of some of the tunes, by side and number."""


def packs_of(observation: Observation, findings: Mapping[str, Findings], heading: Mapping[str, Any]) -> dict[str, Pack]:
    """Returns the packs `core` and `states` of a page on this observation; `heading` is what stands at its top."""
    activations = Sites.of(observation.model.sites)
    searched = _first(observation, how_many_searched(observation, activations.units))
    before = [] if observation.control is None else [observation.control]
    count = how_many([len(t.ids) - 1 for t in searched.transcriptions], activations.units, 1 + len(before))
    core, states = Pack(dict(heading)), Pack()
    engraved = [*(t for control in before for t in control.transcriptions[:count]), *searched.transcriptions]
    with ThreadPoolExecutor(max_workers=1) as beside:  # verovio is another process: it draws while this one traces
        drawing = beside.submit(sheets, [_body(t.ids[:LONGEST], observation.vocabulary) for t in engraved])
        traced = _trace(searched, activations, count, findings, core, states)
        sides = [*(_shown(_first(control, count), activations) for control in before), traced]
        gated = _trace_gates([*before, searched], sides, activations)
        drawn = drawing.result()
    _write_model(observation, activations, gated, core)
    tunes = _write_shown(sides, gated, drawn, core, states)
    others = zip(searched.transcriptions[count:], drawn[len(before) * count + count :], strict=True)
    states.manifest["searched"] = [
        _sheet_entry(f"all/{k}", t, k, t.ids[:LONGEST], sheet, states) for k, (t, sheet) in enumerate(others, count)
    ]
    total = len(observation.transcriptions)
    core.manifest |= {
        "kind": "folkrnn",
        "sides": ["unchanged", "changed"] if before else ["as it is"],
        "shown": count,
        "tunes": tunes,
        "apart": [_apart(tunes[k]["tokens"], tunes[k + count]["tokens"]) for k in range(count)] if before else [],
        "left_out": _left_out(total, len(searched.transcriptions), count, len(gated), len(tunes)),
        "cuts": unit_facts.cuts(observation.effects, findings, len(activations.layers)),
    }
    return {"core": core, "states": states}


def _write_model(observation: Observation, activations: Sites, gated: Gated, core: Pack) -> None:
    """Writes the vocabulary, the layers, and between which values each activation is kept."""
    vocabulary = observation.vocabulary
    ranges = _ranges(activations, gated)
    core.manifest |= {
        "vocabulary": list(vocabulary.tokens),
        "types": [TYPES.index(name) for name in vocabulary.types],
        "type_names": list(TYPES),
        "layers": [
            {"name": name, "first": part.start, "units": activations.sizes[name]}
            for name, part in activations.layers.items()
        ],
        "sites": [
            {"name": name, "low": low, "high": high, "units": activations.sizes[name]}
            for name, (low, high) in ranges.items()
        ],
    }


def _ranges(activations: Sites, gated: Gated) -> dict[str, tuple[float, float]]:
    return {
        name: bounds(name, [one[name] for one in gated.values() if name in one])
        for name in [*activations.layers, *activations.gates]
    }


def _write_shown(
    sides: Sequence[Sequence[TracedTune]], gated: Gated, drawn: Sequence[PlayableScore], core: Pack, states: Pack
) -> list[dict[str, Any]]:
    """Writes the tunes that are shown, side by side; returns an entry for each, the first side's first."""
    ranges = {site["name"]: (site["low"], site["high"]) for site in core.manifest["sites"]}
    count = len(sides[0])
    tunes = []
    for s, k in product(range(len(sides)), range(count)):
        key, tune = f"s{s}/{k}", sides[s][k]
        entry = _entry(key, tune, drawn[s * count + k], core)
        tunes.append(entry | {"side": s, "number": k, "gates": (s, k) in gated})
        for name, value in {**tune.activations, **gated.get((s, k), {})}.items():
            if name in ranges:
                states.arrays[f"{key}/{name}"] = to_bytes(value, *ranges[name]).T
    return tunes


def how_many(lengths: Sequence[int], units: int, sides: int = 1) -> int:
    """Returns how many of the first tunes have room for their hidden states: at least one, at most SHOWN.

    `lengths` are their rows, `units` those of all layers together. Room for the gates of the first is kept where it is
    to be had.
    """
    gates = 5 * units * min(lengths[0], LONGEST)
    room = ROOM - (gates if gates < ROOM / 2 else 0)
    taken, count = 0, 0
    for length in lengths[:SHOWN]:
        taken += sides * units * min(length, LONGEST)
        if count and taken > room:
            break
        count += 1
    return count


def how_many_searched(observation: Observation, units: int) -> int:
    """Returns how many of the first tunes have room for one bit a step of all units: SHOWN or all at least."""
    sizes = np.cumsum([min(len(t.ids) - 1, LONGEST) * units / 8 for t in observation.transcriptions[:SEARCHED]])
    return int(np.clip((sizes <= SEARCH_ROOM).sum(), min(SHOWN, len(sizes)), SEARCHED))


def _first(observation: Observation, count: int) -> Observation:
    """The first tunes of an observation, watched alike."""
    few = list(observation.transcriptions[:count])
    return Observation(observation.model, observation.vocabulary, few, seed=observation.seed)


def _shown(observation: Observation, activations: Sites) -> list[TracedTune]:
    """All tunes of an observation with hidden states and distributions."""
    found = {k: _cut(k, observation, values) for k, values in observation.each([*activations.layers, "probs"])}
    return [found[k] for k in sorted(found)]


def _cut(k: int, observation: Observation, activations: Mapping[str, np.ndarray]) -> TracedTune:
    ids = observation.transcriptions[k].ids[:LONGEST]
    kept = {name: np.array(value[: len(ids) - 1]) for name, value in activations.items()}
    return TracedTune(k, observation.transcriptions[k], ids, kept)


def _trace_gates(
    observations: Sequence[Observation], sides: Sequence[Sequence[TracedTune]], activations: Sites
) -> dict[tuple[int, int], Mapping[str, np.ndarray]]:
    """Returns gates and cell states by side and tune, where they fit into the room that hidden states have left.

    Tunes come in order, of the last side, the observed one, before the other.
    """
    found: dict[tuple[int, int], Mapping[str, np.ndarray]] = {}
    room = ROOM - sum(len(tune.ids) * activations.units for tune in chain(*sides))
    width = sum(activations.sizes[name] for name in activations.gates)
    for k, s in product(range(len(sides[0])), reversed(range(len(sides)))):
        rows = len(sides[s][k].ids) - 1
        if rows * width > room:
            continue
        room -= rows * width
        found[s, k] = {name: value[:rows] for name, value in observations[s].traces(k, activations.gates).items()}
    return found


def _trace(
    searched: Observation,
    activations: Sites,
    count: int,
    findings: Mapping[str, Findings],
    core: Pack,
    states: Pack,
) -> list[TracedTune]:
    """Traces every tune that is searched, once; writes what is known of units, and returns the `count` first tunes."""
    layers = list(activations.layers)
    events = unit_facts.EventSums([searched.tokens(k) for k in range(len(searched.transcriptions))], searched.seed)
    moments, shown, kept = Moments(), [], {}
    for k, traced in searched.each([*layers, "probs"]):
        values = np.concatenate([traced[name] for name in layers], axis=1)
        moments.add(values)
        events.add(k, values)
        kept[k] = to_bytes(values[: LONGEST - 1], *UNIT_RANGE["h"])
        if k < count:
            shown.append(_cut(k, searched, traced))
    for k in range(count, len(kept)):
        states.arrays[f"all/{k}/on"] = np.packbits(is_on(kept[k], moments).T, axis=1, bitorder="little")
    tune, row, value = strongest_places(
        {k: from_bytes(levels, *UNIT_RANGE["h"]) for k, levels in kept.items()}, moments.side
    )
    token, weight = unit_facts.softmax_tokens(searched.model)
    core.arrays |= {
        "unit/mean": moments.mean.astype(np.float32),
        "unit/deviation": moments.deviation.astype(np.float32),
        "unit/side": moments.side,
        "unit/edge": moments.edge,
        "unit/tune": tune,
        "unit/row": row,
        "unit/value": value,
        "softmax/token": token,
        "softmax/weight": weight,
    }
    _write_events(events.events(activations.layers, unit_facts.known_events(findings, layers)), core)
    return sorted(shown, key=lambda one: one.number)


def _write_events(found: unit_facts.Events | None, core: Pack) -> None:
    """Writes which event explains each unit; where no tune is long enough to tell, none does."""
    if found is None:
        core.manifest["variables"] = []
        return
    core.manifest["variables"] = [
        {"name": v.name, "meaning": v.meaning, "answers": [v.categories[k] for k in answers]}
        for v, answers in zip(found.variables, found.answers, strict=True)
    ]
    table = found.table
    core.arrays |= {
        "event/variable": unit_facts.explained(found),
        "event/ratio": table["correlation_ratio"].to_numpy(np.float32),
        "event/excess": table["excess"].to_numpy(np.float32),
        "event/mean": found.means,
    }
    core.manifest["event_category"] = table["category"].astype(str).tolist()
    core.manifest["event_runner_up"] = table["runner_up"].astype(str).tolist()


def _entry(key: str, tune: TracedTune, sheet: PlayableScore, core: Pack) -> dict[str, Any]:
    """What the page knows of a shown tune; its arrays go into `core`."""
    probs = tune.activations["probs"].astype(np.float64)
    top = np.argsort(-probs, axis=1, kind="stable")[:, :LIKELIEST]
    following = probs[np.arange(len(probs)), tune.ids[1:]]
    terms = probs * np.log(np.where(probs > 0, probs, 1.0))
    core.arrays |= {
        f"{key}/top": top.astype(np.uint16),
        f"{key}/top_probability": np.take_along_axis(probs, top, 1).astype(np.float32),
        f"{key}/probability": following.astype(np.float32),
        f"{key}/rank": (probs > following[:, None]).sum(1).astype(np.uint16),
        f"{key}/entropy": -terms.sum(1).astype(np.float32),
    }
    return _sheet_entry(key, tune.transcription, tune.number, tune.ids, sheet, core)


def _sheet_entry(
    key: str, transcription: Transcription, k: int, ids: np.ndarray, sheet: PlayableScore, pack: Pack
) -> dict[str, Any]:
    """What score, sound and matches need of a tune; its arrays go into `pack`."""
    pack.arrays |= {f"{key}/bars": sheet.bars, f"{key}/notes": sheet.notes, f"{key}/path": sheet.path}
    return {
        "key": key,
        "title": transcription.title or f"No. {k + 1}",
        "tokens": ids.tolist(),
        "cut": len(transcription.ids) > len(ids),
        "picture": sheet.picture,
        "mark": sheet.mark,
        "note": sheet.note,
        "eighth": sheet.eighth,
    }


def _apart(one: Sequence[int], other: Sequence[int]) -> int:
    """The first token that two tunes do not share."""
    return next((t for t, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _body(ids: np.ndarray, vocabulary: Vocabulary) -> list[str]:
    """Tokens without `<s>` and `</s>`."""
    tokens = vocabulary.decode(ids[1:])
    return tokens[:-1] if len(ids) and ids[-1] == vocabulary.end else tokens


def _left_out(total: int, searched: int, shown: int, gated: int, tunes: int) -> list[str]:
    """What the page lacks, for its reader."""
    told = []
    if total > shown:
        told.append(f"{shown} of the run's {total} tunes are shown in full")
    if total > searched:
        told.append(f"passages are sought in the first {searched}")
    if gated < tunes:
        told.append(f"gates and cell states come with {('none', 'one')[gated] if gated < 2 else gated} of them")
    return told
