"""What an analysis is: a question asked of an observation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from folkrnn.findings import Findings


class Analysis:
    """One entry of `analysis=`: a dataclass, whose fields are its settings, that says what it found when it is called.

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

    def __call__(self, observation: Any) -> Findings:
        """Returns what it found in an Observation (of a MusicVAE: a LatentObservation)."""
        raise NotImplementedError
