"""MusicVAE: melodies on a grid of sixteenths ⇄ latents (Roberts et al. 2018; facts on MusicVAE, section 1 and 2).

A melody is a row of classes, one a step: 0 nothing new, 1 note off, 2 … 89 note on of MIDI pitch class + 19; −1 fills
the row past its end. Flat models decode all steps in one run of the decoder, whose condition is z. In hierarchical
models a conductor turns z into one embedding per segment, and the decoder (`core`) starts anew on each.

Shapes: B melodies, T steps, K segments, D classes, Z latents, H units.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from typing import ClassVar

import torch
from torch import Tensor, nn

from folkrnn import sites as grammar
from folkrnn.errors import UserError
from folkrnn.models.engine import Engine, Source
from folkrnn.models.hooks import OUT, AnyHook, Hook, Hooks, Step, as_hook
from folkrnn.models.melody_tensors import NOTHING, classes_of, lengths_of, one_hot
from folkrnn.models.model import Model
from folkrnn.models.musicvae_decoder import Conductor, Decoder, Free, InitialState, Scheduled
from folkrnn.models.musicvae_encoder import Encoder, Steps, reversal
from folkrnn.models.musicvae_sizes import DEPTH, Sizes
from folkrnn.models.positions import MelodyTracker, Position
from folkrnn.models.recurrent import RecurrentLayer
from folkrnn.models.rng import SMALLEST_BATCH, normals, uniforms
from folkrnn.models.traces import Trace, asked

LIVE = 1024
"""Most melodies that are generated at once."""

LENGTHS = ("max_seq_len", "segments")
"""What its tensors do not tell: steps of the longest melody, segments of a hierarchical model."""

_PRIOR, _POSTERIOR = 1, 2
"""Purposes of random streams; 0 draws the steps."""


class MusicVAE(Model):
    """Encoder, z and decoder of the given sizes (see `Sizes`).

    With encoder 512, decoder 256-256 and z 512 it has 5,472,858 parameters; those of Magenta's four melody models are
    in facts on MusicVAE, section 1. Biases count once: one per gate.
    """

    family: ClassVar[str] = "musicvae"
    tracker: MelodyTracker | None
    reads_tokens: ClassVar[bool] = False

    def __init__(
        self,
        encoder: Sequence[int] = (512,),
        decoder: Sequence[int] = (256, 256),
        z_size: int = 512,
        max_seq_len: int = 32,
        conductor: Sequence[int] = (),
        segments: int = 1,
        depth: int = DEPTH,
    ) -> None:
        super().__init__()
        self.sizes = Sizes(encoder, decoder, z_size, max_seq_len, conductor, segments, depth)
        self.encoder = Encoder(depth, self.sizes.encoder, z_size)
        self.conductor = Conductor(z_size, self.sizes.conductor) if self.sizes.conductor else None
        condition, name = (self.sizes.conductor[-1], "core") if self.conductor else (z_size, "dec")
        self.decoder = Decoder(depth, condition, self.sizes.decoder, name)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draws Magenta's initial values (facts on MusicVAE, section 2), so that at first μ ≈ 0 and σ ≈ ln 2.

        Kernels are Glorot uniform over the whole kernel of a cell, inputs and recurrence together; those of μ, σ and
        the initial states N(0, 0.001²). Biases are 0, but the forget gate's holds the 1 that Magenta adds to it.
        """
        for module in self.modules():
            if isinstance(module, RecurrentLayer):
                limit = (6 / (module.inputs + 5 * module.units)) ** 0.5
                for weight in (module.weight_ih, module.weight_hh):
                    nn.init.uniform_(weight, -limit, limit, generator=generator)
                module.bias.zero_()
                module.bias[module.units : 2 * module.units] = 1.0
        nn.init.xavier_uniform_(self.decoder.output.weight, generator=generator)
        self.decoder.output.bias.zero_()
        initial = [module for module in self.modules() if isinstance(module, InitialState)]
        for linear in (self.encoder.mu, self.encoder.sigma, *initial):
            nn.init.normal_(linear.weight, std=0.001, generator=generator)
            linear.bias.zero_()

    @property
    def device(self) -> torch.device:
        return self.decoder.output.weight.device

    @property
    def top(self) -> str:
        """The site of the h that the decoder's softmax layer reads."""
        return f"{self.decoder.name}.l{len(self.decoder.layers)}.h"

    @property
    def shape(self) -> str:
        return f"{'hierarchical' if self.conductor else 'flat'} MusicVAE, {self.sizes}"

    def metadata(self) -> dict[str, str]:
        return {name: str(getattr(self.sizes, name)) for name in LENGTHS}

    @property
    def sites(self) -> dict[str, int]:
        latents = dict.fromkeys(("mu", "sigma", "z"), self.sizes.z_size)
        conductor = {} if self.conductor is None else self.conductor.sites
        return {"x": self.sizes.depth} | self.encoder.sites | latents | conductor | self.decoder.sites

    def forward(
        self, melodies: Tensor, lengths: Tensor | None = None, sampling_probability: float = 0.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns logits `[B, T, D]` decoded from a sampled z, with the μ and σ `[B, Z]` that it was sampled from."""
        mu, sigma = self.encode(melodies, lengths)
        z = mu + sigma * torch.randn_like(sigma)
        return self.decode(z, melodies, sampling_probability=sampling_probability), mu, sigma

    def encode(
        self,
        melodies: Tensor,
        lengths: Tensor | None = None,
        hook: AnyHook | None = None,
        numbers: Sequence[int] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Returns μ and σ `[B, Z]` of melodies: classes `[B, T]` or one-hot rows `[B, T, D]`.

        Only the first `lengths [B]` steps are read; without `lengths`, those before the closing run of −1 (of zero
        rows). σ is a standard deviation. `hook` is called behind the model's own, with `x` once, whole; `numbers` are
        those of the melodies, which hooks may go by, their rows by default. Outside training small batches are padded
        to 16 rows: a melody's latents do not depend on the batch.
        """
        classes = classes_of(melodies, self.sizes)
        ends, count = lengths_of(classes, lengths), len(classes)
        run = self._run(count, hook, numbers)
        if (rows := self._batch_invariant_rows(count)) is not None:
            classes, ends = classes[rows], ends[rows]
        mu, sigma = run.encode(run.see("x", self._one_hot(classes), classes), classes, ends)
        return mu[:count], sigma[:count]

    def decode(
        self,
        z: Tensor,
        melodies: Tensor,
        *,
        sampling_probability: float = 0.0,
        generator: torch.Generator | None = None,
        uniforms: Tensor | None = None,
        hook: AnyHook | None = None,
        numbers: Sequence[int] | None = None,
    ) -> Tensor:
        """Returns logits `[B, T, D]` of each step of `melodies` given z and the true steps before it: teacher forcing.

        With a `sampling_probability` inputs are now and then the model's own samples (scheduled sampling, for
        training), drawn from torch's generator or decided by `uniforms [B, T, 2]`. The segments of a hierarchical model
        are decoded side by side, where no hook looks at the decoder. Outside training small batches are padded to 16
        rows. `hook` and `numbers` as in `encode`.
        """
        classes, count = classes_of(melodies, self.sizes), len(z)
        uniforms = None if uniforms is None else uniforms.to(z.device)
        run = self._run(count, hook, numbers)
        if (rows := self._batch_invariant_rows(count)) is not None:
            classes, z = classes[rows], z[rows]
            uniforms = None if uniforms is None else uniforms[rows]
        previous, conditions = self._segmented(classes), run.conditions(run.see("z", z, classes))
        if uniforms is not None:
            uniforms = uniforms.reshape(*previous.shape, 2)
        if run.decodes:
            parts = []
            for k in range(previous.shape[1]):
                own = None if uniforms is None else uniforms[:, k]
                source = Scheduled(previous[:, k], sampling_probability, generator, own, run.numbers)
                run.decode(source, conditions, k, previous.shape[2])
                parts += source.logits
            return torch.stack(parts, dim=1)[:count]
        previous, conditions = previous.flatten(0, 1), conditions.flatten(0, 1)
        if sampling_probability == 0:
            logits = self.decoder(previous, conditions)
        else:
            uniforms = None if uniforms is None else uniforms.flatten(0, 1)
            logits = self.decoder.stepped(previous, conditions, sampling_probability, generator, uniforms=uniforms)
        return logits.view(len(z), -1, self.sizes.depth)[:count]

    def conditions(self, z: Tensor) -> Tensor:
        """Returns what the decoder is conditioned on, per segment: z itself `[B, 1, Z]` or embeddings `[B, K, H]`."""
        return self._run(len(z), None, None).conditions(z)

    @torch.no_grad()
    def generate(
        self,
        z: Tensor,
        *,
        temperature: float | None = None,
        seed: int = 0,
        first: int = 0,
        steps: int | None = None,
        hook: AnyHook | None = None,
    ) -> Tensor:
        """Returns melodies `[B, T]`, on the CPU, written freely from `z [B, Z]`: each step reads the one before.

        Without a `temperature` each step is the likeliest class; with one it is drawn from
        softmax(logits / temperature) by a uniform of the melody's own stream, keyed by (`seed`, `first` + row): on a
        CPU a melody is the same whatever batch it is decoded in. `hook` reads and replaces sites step by step; batches
        are padded to 16 rows with z = 0, and at most 1,024 go at once.
        """
        steps = self.sizes.steps(steps)
        if temperature is not None and not temperature > 0:
            raise UserError(
                f"temperature is {temperature}; it must be above 0 (leave it out for the likeliest classes)"
            )
        parts = []
        for low in range(0, len(z), LIVE):
            rows = z[low : low + LIVE]
            height = max(SMALLEST_BATCH, len(rows))
            padded = torch.cat([rows, rows.new_zeros(height - len(rows), rows.shape[1])])
            uniform = None
            if temperature is not None:
                uniform = uniforms(seed, first + low, len(rows), steps)
                uniform = torch.cat([uniform, uniform.new_zeros(height - len(rows), steps)])
            run = self._run(height, hook, range(first + low, first + low + height))
            conditions = run.conditions(run.see("z", padded))
            source, each = Free(run.numbers, temperature, uniform), steps // conditions.shape[1]
            for k in range(conditions.shape[1]):
                run.decode(source.segment(each), conditions, k, each)
            parts.append(torch.stack(source.written, dim=1)[: len(rows)])
        return torch.cat(parts) if parts else torch.empty(0, steps, dtype=torch.long)

    def reconstruct(
        self, melodies: Tensor, lengths: Tensor | None = None, *, temperature: float | None = None, seed: int = 0
    ) -> Tensor:
        """Returns the melodies `[B, T]` that the model writes freely from the μ of `melodies`."""
        with torch.no_grad():
            mu, _ = self.encode(melodies, lengths)
        return self.generate(mu, temperature=temperature, seed=seed, steps=melodies.shape[1])

    def prior(self, count: int, seed: int, first: int = 0) -> Tensor:
        """Returns `[count, Z]` draws from N(0, I), one stream per melody."""
        return normals(seed, first, count, self.sizes.z_size, _PRIOR).to(self.device)

    def posterior(self, mu: Tensor, sigma: Tensor, seed: int, first: int = 0) -> Tensor:
        """Returns one draw `[B, Z]` from each N(μ, σ²), one stream per melody."""
        return mu + sigma * normals(seed, first, len(mu), self.sizes.z_size, _POSTERIOR).to(mu.device)

    @torch.no_grad()
    def trace(
        self,
        melodies: Tensor,
        patterns: str | Iterable[str] = ("enc.*.l*.h", "*.l*.h"),
        *,
        lengths: Tensor | None = None,
        z: Tensor | None = None,
        numbers: Sequence[int] | None = None,
    ) -> dict[str, Tensor]:
        """Returns the activations that `patterns` name while the model encodes `melodies` and decodes them,
        teacher-forced.

        Layer activations are `[B, T, H]` (`[B, K, H]` for the conductor), latents `[B, Z]`; one melody `[T]` loses the
        B. Row t of an encoder activation is the state after reading step t (from the other end for `enc.bw`); row t of
        a decoder activation is the state after reading the t steps before, and row t of `probs` is the distribution of
        step t. The decoder is conditioned on `z`, or on μ without one. Outside training small batches are padded to 16
        rows. Raises UserError for a site that the model lacks.
        """
        wanted = grammar.parse(patterns, self.sites)
        alone = melodies.dim() == 1
        batch = melodies.unsqueeze(0) if alone else melodies
        lengths = lengths.view(1) if alone and lengths is not None else lengths
        z = z.unsqueeze(0) if alone and z is not None else z
        classes, count = classes_of(batch, self.sizes), len(batch)
        ends, run = lengths_of(classes, lengths), self._run(count, None, numbers)
        if (rows := self._batch_invariant_rows(count)) is not None:
            classes, ends = classes[rows], ends[rows]
            z = None if z is None else z[rows]
        found = self._activations(run, classes, {site.name for site in wanted}, ends, z)
        return asked({name: value[:count] for name, value in found.items()}, wanted, alone)

    def _activations(
        self, run: MelodyRun, classes: Tensor, names: set[str], ends: Tensor, z: Tensor | None
    ) -> dict[str, Tensor]:
        activations = {"x": (x := run.see("x", self._one_hot(classes), classes))}
        if mine := names & self.encoder.sites.keys():
            activations |= self.encoder.trace(x, ends, mine, run.hooks, run.reading(classes, ends))
        if z is None or names & {"mu", "sigma"}:
            activations["mu"], activations["sigma"] = run.encode(x, classes, ends)
        activations["z"] = z = run.see("z", activations["mu"] if z is None else z, classes)
        if self.conductor is not None and (mine := names & self.conductor.sites.keys()):
            activations |= self.conductor.trace(z, self.sizes.segments, mine, run.hooks, run.conducting(len(z)))
        if mine := names & self.decoder.sites.keys():
            previous, conditions = self._segmented(classes), run.conditions(z)
            if run.decodes:
                trace = Trace({name: self.sites[name] for name in mine}, len(classes), classes.shape[1], z.device)
                for k in range(previous.shape[1]):
                    source = Scheduled(previous[:, k], numbers=run.numbers)
                    run.decode(source, conditions, k, previous.shape[2], [trace])
                return activations | trace.activations
            found = self.decoder.trace(previous.flatten(0, 1), conditions.flatten(0, 1), mine)
            activations |= {name: value.reshape(*classes.shape, -1) for name, value in found.items()}
        return activations

    def _run(self, rows: int, hook: AnyHook | None, numbers: Sequence[int] | None) -> MelodyRun:
        """What runs the parts of the model with its hooks; `numbers` are those of the rows, padded like them."""
        own = list(range(rows) if numbers is None else numbers)
        if self._batch_invariant_rows(rows) is not None:
            own = [own[k % rows] for k in range(SMALLEST_BATCH)]
        return MelodyRun(self, [] if hook is None else [hook], own)

    def _batch_invariant_rows(self, count: int) -> Tensor | None:
        """The rows that pad a batch of `count` to 16, itself first; None where it needs no padding."""
        if self.training or not 0 < count < SMALLEST_BATCH:
            return None
        return torch.arange(SMALLEST_BATCH, device=self.device) % count

    def _one_hot(self, classes: Tensor) -> Tensor:
        return one_hot(classes, self.sizes.depth).to(self.decoder.output.weight.dtype)

    def _segmented(self, classes: Tensor) -> Tensor:
        """What the decoder reads before each step, `[B, K, T / K]`: the melody one step late, nothing at first.

        A segment's first input is the last step of the segment before it.
        """
        late = nn.functional.pad(classes[:, :-1], (1, 0), value=NOTHING)
        return late.reshape(len(classes), self.sizes.segments, -1)


class MelodyRun:
    """The parts of a model as its hooks, and those of a run, see them; `numbers` are those of the melodies."""

    def __init__(self, model: MusicVAE, reads: Sequence[AnyHook], numbers: Sequence[int]) -> None:
        self.model, self.numbers = model, numbers
        sites = model.sites.keys() - {"probs"}
        self.reads = [as_hook(hook, sites) for hook in reads]
        self.hooks = Hooks(model.hooks, self.reads)
        self.decodes = self.hooks.within(f"{model.decoder.name}.", "logits", OUT)

    @cached_property
    def engine(self) -> Engine:
        return self.model.decoder.engine(self.model.hooks, self.model.tracker)

    def see(self, site: str, value: Tensor, read: Tensor | None = None) -> Tensor:
        """What the hooks make of a site that is there once a melody; `read [B, T]` are the melodies."""
        if site not in self.hooks:
            return value
        before = torch.full((len(value),), -1, device=value.device)
        return self.hooks(site, value, Step(-1, [len(value)], at=self._position(before, before), read=read))

    def encode(self, x: Tensor, classes: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        mu, sigma = self.model.encoder(x, ends, self.hooks, self.reading(classes, ends))
        return self.see("mu", mu, classes), self.see("sigma", sigma, classes)

    def conditions(self, z: Tensor) -> Tensor:
        """The conditions of `MusicVAE.conditions`."""
        model = self.model
        if model.conductor is None:
            return z.unsqueeze(1)
        return model.conductor(z, model.sizes.segments, self.hooks, self.conducting(len(z)))

    def decode(self, source: Source, conditions: Tensor, segment: int, steps: int, reads: Sequence[Hook] = ()) -> None:
        """Steps over a source with the condition of one segment of so many steps."""
        every = [*self.reads, *reads]
        self.model.decoder.run(self.engine, source, conditions[:, segment], every, segment * steps)

    def reading(self, classes: Tensor, ends: Tensor) -> Steps | None:
        """The steps of the encoder, in the order in which each direction reads; None where no hook looks at it."""
        if not self.hooks.within("enc."):
            return None
        steps = torch.arange(classes.shape[1], device=classes.device).expand_as(classes)
        turned = reversal(ends, classes.shape[1])

        @cache
        def of(direction: str) -> list[Step]:
            places = steps if direction == "fw" else steps.flip(1) if turned is None else turned
            return [self._step(t, place, classes.gather(1, place[:, None])[:, 0]) for t, place in enumerate(places.T)]

        return of

    def conducting(self, rows: int) -> list[Step] | None:
        """The steps of the conductor, each at the first step of its segment; None where no hook looks at it."""
        if not self.hooks.within("cond."):
            return None
        sizes, device = self.model.sizes, self.model.device
        each = sizes.max_seq_len // sizes.segments
        nothing = torch.full((rows,), -1, device=device)
        return [self._step(k, torch.full((rows,), k * each, device=device), nothing) for k in range(sizes.segments)]

    def _step(self, time: int, place: Tensor, read: Tensor) -> Step:
        return Step(time, [len(read)], at=self._position(place, read), read=read)

    def _position(self, place: Tensor, read: Tensor) -> Position | None:
        if self.model.tracker is None:
            return None
        return self.model.tracker.at(place, torch.tensor(self.numbers, device=place.device), read)
