"""What is filed while a MusicVAE trains: what it writes back freely, and how many latents carry music."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from folkrnn.datasets.melody_batches import MelodyBatches, tensors
from folkrnn.melodies.grid import FIRST_ON, HOLD, melody_to_midi
from folkrnn.models.musicvae import MusicVAE
from folkrnn.observation.music_neurons import RULES, neuron_table
from folkrnn.observation.summary import Summary, summarise_activations
from folkrnn.training.autoencoder import AutoencoderTraining

WATCHED = 1024
"""Validation melodies that are encoded and written back after each validation, drawn once from all of them."""

EXCITED = 0.1
"""|μ| above which a latent is excited (facts on MusicVAE, section 6)."""

SUMMARISED = 64
"""Of those, how many are traced for the summary of activations."""

Metrics = Mapping[str, float]


def exactness(written: Tensor, melodies: Tensor) -> dict[str, float]:
    """Returns the share of `steps` of `melodies [B, T]` that `written [B, T]` has exactly, and of `onsets`.

    An onset is exact if a note of that pitch begins at that step. Steps past a melody's end (−1) do not count.
    """
    right, there, onset = written == melodies, melodies >= HOLD, melodies >= FIRST_ON
    return {
        "steps": float((right & there).sum() / there.sum().clamp(min=1)),
        "onsets": float((right & onset).sum() / onset.sum().clamp(min=1)),
    }


def reconstruction_metrics(model: MusicVAE, classes: np.ndarray, lengths: np.ndarray) -> dict[str, float]:
    """Returns what a model makes of melodies `[N, T]`, from their μ, each step its likeliest class.

    `free_steps`, `free_onsets`: shares that are exact when it reads what it wrote itself; `forced_steps`,
    `forced_onsets`: when it reads the true steps. `active_by_sigma`, `…_variance`, `…_kl`, `…_gap`: latents that carry
    music by each rule of facts on MusicVAE, section 6; `between_share`: of latents with a mean σ between 0.6 and 0.9;
    `excited_noise` and `music_kl_share`: see `silence`.
    """
    melodies, ends = tensors(classes, lengths)
    forced, mu, sigma = [], [], []
    with torch.no_grad():
        for rows in torch.arange(len(melodies)).split(256):
            some = melodies[rows].to(model.device)
            means, deviations = model.encode(some, ends[rows])
            forced.append(model.decode(means, some).argmax(-1).cpu())
            mu.append(means)
            sigma.append(deviations)
        free = model.generate(torch.cat(mu), steps=melodies.shape[1])
    found = {f"free_{name}": value for name, value in exactness(free, melodies).items()}
    found |= {f"forced_{name}": value for name, value in exactness(torch.cat(forced), melodies).items()}
    means, deviations = (torch.cat(part).cpu().numpy() for part in (mu, sigma))
    table = neuron_table(means, deviations)
    found |= {f"active_by_{rule}": float(table[f"by_{rule}"].sum()) for rule in RULES}
    found |= silence(table, means)
    found["between_share"] = float(table["mean_sigma"].between(0.6, 0.9, inclusive="neither").mean())
    return found


def silence(table: pd.DataFrame, mu: np.ndarray) -> dict[str, float]:
    """Returns how silent the latents are that carry no music (by mean σ), from `neuron_table` and `mu [N, Z]`.

    `excited_noise`: how many have |μ| > 0.1 in a median melody; `music_kl_share`: share of the KL in the others.
    """
    noise = table["neuron"][~table["by_sigma"]].to_numpy()
    return {
        "excited_noise": float(np.median((np.abs(mu[:, noise]) > EXCITED).sum(1))),
        "music_kl_share": float(table["kl"][table["by_sigma"]].sum() / table["kl"].sum()),
    }


class MelodyCurves(Callback):
    """Files after each validation what the model writes back and what its latents and gates do.

    `file_metrics(metrics, step)` gets `baseline/always_hold_steps` (the share of steps that hold or stay silent, which
    whoever never begins a note has right; of onsets it has none) once, and `validation/…` of `reconstruction_metrics`
    each time; `file_summary(summary, step)` the activations on the first melodies; `file_melody(midi, step)` the first
    melody as it is written back.
    """

    def __init__(
        self,
        sites: Sequence[str],
        file_metrics: Callable[[Metrics, int], None],
        file_summary: Callable[[Summary, int], None],
        file_melody: Callable[[bytes, int], None],
    ) -> None:
        self.sites = list(sites)
        self.file_metrics, self.file_summary, self.file_melody = file_metrics, file_summary, file_melody

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        batches = getattr(trainer, "datamodule", None)
        assert isinstance(batches, MelodyBatches)
        chosen = batches.validation
        if len(chosen) > WATCHED:
            chosen = np.sort(np.random.default_rng(0).choice(chosen, WATCHED, replace=False))
        self.classes, self.lengths = batches.corpus.classes[chosen], batches.corpus.lengths[chosen]
        if trainer.is_global_zero and trainer.global_step == 0:
            melodies, _ = tensors(self.classes, self.lengths)
            hold = exactness(torch.full_like(melodies, HOLD), melodies)
            self.file_metrics({f"baseline/always_hold_{name}": value for name, value in hold.items()}, 0)

    def on_validation_epoch_end(self, trainer: pl.Trainer, module: AutoencoderTraining) -> None:
        if not trainer.is_global_zero:
            return
        model, step = module.model, trainer.global_step
        found = reconstruction_metrics(model, self.classes, self.lengths)
        self.file_metrics({f"validation/{name}": value for name, value in found.items()}, step)
        some, ends = tensors(self.classes[:SUMMARISED], self.lengths[:SUMMARISED])
        with torch.no_grad():
            activations = model.trace(some.to(model.device), self.sites, lengths=ends)
            first = model.reconstruct(some[:1].to(model.device), ends[:1])[0]
        self.file_summary(
            summarise_activations((name, value.cpu().numpy()) for name, value in activations.items()), step
        )
        self.file_melody(melody_to_midi(first.numpy()), step)
