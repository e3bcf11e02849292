"""What a run is about, as far as claims depend on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from folkrnn.datasets.published_tunes import is_data_v2, is_v2

if TYPE_CHECKING:
    from folkrnn.weights.folder import Weights


@dataclass(frozen=True)
class Circumstances:
    """What a run is about, as far as claims depend on it."""

    settings: Mapping[str, Any]
    """The resolved configuration, flat (`cut.fraction`); also `tune` and `intervention`, see the package."""
    layers: int = 3
    cell: str = "lstm"
    learned: bool = False
    """Whether the initial parameters are known, so that what training added can be told."""
    is_v2: bool = False
    """Whether the weights are those of the published folk-rnn v2."""
    is_data_v2: bool = False
    """Whether the data are those that v2 was trained on."""
    ran: frozenset[str] = frozenset()
    """Analyses that have an answer."""
    failed: frozenset[str] = frozenset()
    """Analyses that were asked for and failed."""


def circumstances(
    config: Mapping[str, Any], weights: Weights, transcriptions: int, ran: Iterable[str], failed: Iterable[str]
) -> Circumstances:
    """Returns the circumstances of a run from its resolved configuration and the size of its data.

    `transcriptions` counts those left out, too.
    """
    settings = dict(_flat(config)) | {
        "tune": config["transcription"] or config["sampling"]["replay"],
        "intervention": list(config["intervention"]),
        "control": config["control"]["name"],
        "sizes": weights.model.stacked,
        "magenta": weights.source.partition(":")[0] if config["weights"]["name"].startswith("magenta") else "",
    }
    return Circumstances(
        settings,
        layers=weights.model.depth,
        cell=weights.model.cell,
        learned=weights.initial is not None,
        is_v2=is_v2(weights.blob),
        is_data_v2=is_data_v2(transcriptions),
        ran=frozenset(ran),
        failed=frozenset(failed),
    )


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in nested.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
