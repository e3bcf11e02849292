"""What a model family is: how its models are trained, played and observed, and how what was seen is filed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from folkrnn.analysis import Analysis
from folkrnn.datasets.dataset import Dataset
from folkrnn.errors import UserError
from folkrnn.interventions.composition import Interventions
from folkrnn.interventions.intervention import RunContext
from folkrnn.models.model import Model
from folkrnn.observation.observed import Observed, ObservedInput
from folkrnn.parallel.shards import processes
from folkrnn.tracking import TrackedRun
from folkrnn.vocabulary import Vocabulary
from folkrnn.weights.folder import Weights

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from folkrnn.report.page import ReportEntry
    from folkrnn.training.fit import Fitted

M = TypeVar("M", bound=Model)
D = TypeVar("D", bound=Dataset)
G = TypeVar("G", bound=ObservedInput)
"""What may be observed in the place of what the model makes."""
Seen = TypeVar("Seen", bound=Observed)
"""An observation, as a family makes it."""


class Family(ABC, Generic[M, D, G, Seen]):
    """One family of models. What has a body here holds for a family that says nothing else.

    A package offers it as `FAMILY`: `folkrnn.families.NAME`, or `YOURS.NAME` of an extension, where NAME is the
    `family` of its models. Nobody else needs to know it.
    """

    data: type[D]
    """What its datasets are."""
    effect: ClassVar[str | None] = None
    """The analysis that compares interventions with their control, where there is one."""
    playable: ClassVar[bool] = False
    """Whether `mlflow.pyfunc` can play its trained models."""
    explorable: ClassVar[bool] = False
    """Whether `explore.html` can show what it observes."""

    @abstractmethod
    def fit(
        self, config: DictConfig, weights: Weights[M], corpus: D, checkpoints: Path, tracked: TrackedRun | None
    ) -> Fitted:
        """Returns the model trained as `recipe=` and `trainer=` say; where `tracked` is None nothing is filed."""

    @abstractmethod
    def observe(
        self,
        config: DictConfig,
        model: M,
        weights: Weights[M],
        corpus: D,
        inputs: Sequence[G],
        interventions: Interventions[M],
    ) -> Seen:
        """Returns what the model does after all interventions, with what it does without them as its control.

        `model` is that of `weights`, on the device where it is observed.
        """

    @abstractmethod
    def file_observation(self, tracked: TrackedRun, observation: Seen, settings: DictConfig) -> None:
        """Files what was observed; `settings` are `observation.*`."""

    def check_training(self, config: DictConfig) -> None:
        """Raises UserError for a recipe or trainer that cannot train, before anything slow starts."""

    def inputs(self, config: DictConfig, vocabulary: Vocabulary | None) -> list[G]:
        """Returns what to observe in the place of what the model makes, having checked all settings of playing.

        Raises UserError for what cannot be read or played.
        """
        if "musicxml" in config.files:
            raise UserError("files=[musicxml] is for folk-rnn")
        for key, value in {"transcription": config.transcription, **config.sampling}.items():
            if key in ("transcription", "prime", "replay") and value:
                raise UserError(f"{key}= is for folk-rnn; this model observes what dataset= holds")
        processes(config.trainer.accelerator, config.trainer.devices)
        return []

    def check_room(
        self, config: DictConfig, model: M, inputs: Sequence[G], analyses: Mapping[str, Analysis[Seen]]
    ) -> None:
        """Raises UserError for an analysis that would hold more at once than `observation.limit_gib`."""

    def in_one_vocabulary(
        self, config: DictConfig, weights: Weights[M], corpus: D, fresh: bool
    ) -> tuple[Weights[M], D, dict[str, Any]]:
        """Returns weights and corpus over the same tokens, made so where they are not, and the settings that change.

        `fresh` weights may still take another shape. Raises UserError where they cannot be.
        """
        return weights, corpus, {}

    def run_context_of(self, config: DictConfig, vocabulary: Vocabulary | None) -> RunContext:
        """Returns what interventions may know of the run before anything was observed."""
        return RunContext(vocabulary, config.seed, config.sampling.temperature, config.sampling.max_tokens)

    def in_a_line(self, corpus: D) -> str:
        """Returns what a corpus holds, in a line of its card."""
        return f"{len(corpus):,} entries"

    def dataset_card(self, corpus: D) -> str:
        """Returns the dataset card in Markdown: sizes, what was left out and why, terms."""
        lines = [
            f"# Dataset {corpus.name}",
            "",
            f"{self.in_a_line(corpus)}; digest `{corpus.digest}`.",
            "",
            "| quantity | value |",
            "|---|---|",
            *(f"| {name.replace('_', ' ')} | {value:g} |" for name, value in corpus.profile().items()),
            "",
            "| left out | count | because |",
            "|---|---|---|",
            *(f"| {reason} | {count} | {why} |" for reason, count, why, *_ in corpus.reasons()),
            "",
            "## Terms",
            "",
            *(f"- **{name}**: {terms}" for name, terms in corpus.terms.items()),
        ]
        return "\n".join(lines) + "\n"

    def remarks(self, config: DictConfig, vocabulary: Vocabulary | None) -> list[str]:
        """Returns what was changed in what the user gave to make sense of it, a line each."""
        return []

    def observed(self, observation: Seen) -> str:
        """Returns how much was observed, in words: 64 tunes. Empty: that is not said."""
        return ""

    def file_tunes(self, tracked: TrackedRun, observation: Seen, formats: Sequence[str]) -> None:
        """Files all that the model made as an archive of each of these formats, midi or musicxml."""

    def report_entries(self, tracked: TrackedRun, observation: Seen) -> list[ReportEntry]:
        """Returns the tunes that the report shows, and files their scores and sound."""
        return []


def trainer_settings(config: DictConfig) -> dict[str, Any]:
    """Returns the keys `trainer.*` that the training takes."""
    from folkrnn.training.fit import TrainerSettings

    return {name: config.trainer[name] for name in TrainerSettings.__dataclass_fields__ if name in config.trainer}
