"""What is filed while training runs: what short memories cost, and after each validation activations and tunes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from folkrnn.datasets.corpus import Corpus
from folkrnn.datasets.module import TuneBatches
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.ngram import baselines
from folkrnn.notation.bars import share_of_full_bars
from folkrnn.notation.score import to_abc
from folkrnn.observation.nats import by_repetition, token_nats
from folkrnn.observation.summary import Summary, summarise
from folkrnn.sampling import Sampling, generate
from folkrnn.training.language_model import LanguageModelTraining

WATCHED = 64
"""Validation tunes whose activations are summarised."""

WRITTEN = 16
"""Tunes that the model writes after each validation; fewer would not take less time."""

LONGEST = 95
"""Percentile of the validation tunes' lengths at which those tunes are cut."""

Metrics = Mapping[str, float]


class ActivationCurves(Callback):
    """Files baselines when training starts, and after each validation what the model does and writes.

    `file_metrics(metrics, step)` gets `baseline/uniform`, `baseline/unigram`, `baseline/2gram` … `baseline/5gram`
    (nats per token of the validation tunes, fitted on the training tunes) once, and each time `validation/below_5gram`
    (nats per token), `validation/new_nats` and `validation/copied_nats` (nats per token in bars that are new to their
    tune and in bars that stood in it before), `validation/tunes_full_bars` and `validation/tunes_ended` (shares);
    `file_summary(summary, step)` gets the activations on the first validation tunes; `file_tune(abc, step)` one of the
    tunes written. Those are cut at the length that LONGEST % of the validation tunes do not exceed, and drawn from the
    same streams each time, so that successive ones differ by the parameters alone.
    """

    def __init__(
        self,
        corpus: Corpus,
        sites: Sequence[str],
        seed: int,
        file_metrics: Callable[[Metrics, int], None],
        file_summary: Callable[[Summary, int], None],
        file_tune: Callable[[str, int], None],
    ) -> None:
        self.corpus, self.sites, self.seed = corpus, list(sites), seed
        self.file_metrics, self.file_summary, self.file_tune = file_metrics, file_summary, file_tune

    def on_train_start(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        batches = getattr(trainer, "datamodule", None)
        assert isinstance(batches, TuneBatches)
        self.validation = [self.corpus.ids[i] for i in batches.validation]
        if not trainer.is_global_zero:
            return
        longest = np.percentile([len(ids) - 2 for ids in self.validation], LONGEST)
        self.sampling = Sampling(tunes=WRITTEN, max_tokens=max(3, int(longest)))
        training = [self.corpus.ids[i] for i in batches.training]
        self.baselines = baselines(training, self.validation, len(self.corpus.vocabulary))
        if trainer.global_step == 0:
            self.file_metrics({f"baseline/{name}": value for name, value in self.baselines.items()}, 0)

    def on_validation_epoch_end(self, trainer: pl.Trainer, module: LanguageModelTraining) -> None:
        if not trainer.is_global_zero:
            return
        step = trainer.global_step
        self.file_summary(summarise(module.model, self.validation[:WATCHED], self.sites), step)
        tunes = generate(module.model, self.corpus.vocabulary, self.sampling, self.seed)
        tokens = [tune.tokens(self.corpus.vocabulary) for tune in tunes]
        bars = share_of_full_bars(tokens)
        shares = {"validation/tunes_ended": sum(tune.ended for tune in tunes) / len(tunes)}
        if "all" in bars:  # a model that knows nothing may write no bar at all
            shares["validation/tunes_full_bars"] = bars["all"].share
        self.file_metrics(shares | self._repetition(module.model), step)
        self.file_tune(to_abc(tokens[0], f"after {step} updates", 1), step)

    def _repetition(self, model: FolkRNN) -> dict[str, float]:
        """Returns nats per token in bars that are new to their tune and in bars that stood in it before."""
        costs = token_nats(model, self.validation, self.corpus.vocabulary.end)
        sums = by_repetition(costs, self.validation, self.corpus.vocabulary).sum(0)
        if not sums[1] or not sums[3]:
            return {}
        return {"validation/new_nats": sums[0] / sums[1], "validation/copied_nats": sums[2] / sums[3]}

    def on_train_epoch_end(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            below = self.baselines["5gram"] - float(trainer.callback_metrics["validation/loss"])
            self.file_metrics({"validation/below_5gram": below}, trainer.global_step)
