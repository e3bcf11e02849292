"""What an analysis is: a question asked of an observation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from folkrnn.observation.observed import Observed

if TYPE_CHECKING:
    from folkrnn.findings import Findings, Main

Seen = TypeVar("Seen", bound=Observed, contravariant=True)
"""An observation, as a family makes it."""


class Analysis(ABC, Generic[Seen]):
    """One entry of `analysis=`: a dataclass, whose fields are its settings, that says what it found when it is called.

    `Analysis[Observation]` takes that of a folk-rnn, `Analysis[LatentObservation]` that of a MusicVAE; of your own
    family, its own.

    What stands here holds for one that says nothing else.
    """

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)
    """The model families that it looks into."""
    sites: Sequence[str] = ()
    """The sites that it reads (`l*.h`): a model without them is refused before anything slow starts."""
    pairs_of_steps: ClassVar[bool] = False
    """Whether it holds, for each of its sites, a number for every two steps of a tune."""
    of_interventions: ClassVar[bool] = False
    """Whether it compares an intervention with the model as it is, and is refused where there is none."""
    repeated_on: ClassVar[tuple[str, ...]] = ("untrained", "shuffled")
    """The controls (`control=`) that change what it looks at; on others it is not repeated."""

    main: ClassVar[Mapping[str, Main]] = {}
    """The numbers that answer its question in brief, by their names in `Findings.metrics`, the foremost first.

    `l*.h/share` is that of the last layer; what an observation does not have is left out. Empty: the first few metrics.
    """

    @abstractmethod
    def __call__(self, observation: Seen) -> Findings:
        """Returns what it found in an observation of one of its families."""


def main_of(declared: Mapping[str, Main], metrics: Mapping[str, float]) -> dict[str, Main] | None:
    """Returns those of the declared main numbers that were found, by their whole names; None where there are none."""
    found: dict[str, Main] = {}
    for pattern, main in declared.items():
        for name in _last(pattern, metrics):
            beside = next(iter(_last(main.beside, metrics)), "")
            found[name] = replace(main, beside=beside, of=main.of if beside else "")
    return found or None


def _last(pattern: str, names: Iterable[str]) -> list[str]:
    """The last name that matches, in a list, as names count layers upwards; none where none does."""
    return [name for name in names if fnmatchcase(name, pattern)][-1:]
