"""Magenta's MusicVAE checkpoints ⇄ `MusicVAE` (facts on MusicVAE, section 3).

A cell's kernel `[in + H, 4H]` acts on input and previous h side by side, gates in the order i, j (candidate), f, o; the
1 that Magenta adds to f at run time is not in the stored bias. Here gates stand in the order i, f, g, o, kernels are
cut into `weight_ih` and `weight_hh`, and the 1 is part of the bias. In the encoder the outer `cell_N` is the layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from folkrnn.errors import UserError
from folkrnn.models.musicvae import MusicVAE
from folkrnn.models.musicvae_sizes import Sizes
from folkrnn.models.recurrent import RecurrentLayer
from folkrnn.weights.folder import digest
from folkrnn.weights.magenta_files import open_checkpoint
from folkrnn.weights.tensor_bundle import StoredArray, write_bundle

CONFIGS = {
    "cat-mel_2bar_small": ("musicvae_2bar_small", Sizes((512,), (256, 256), 256, 32)),
    "cat-mel_2bar_big": ("musicvae_2bar_big", Sizes((2048,), (2048,) * 3, 512, 32)),
    "hierdec-mel_16bar": ("musicvae_16bar", Sizes((2048,) * 2, (1024,) * 2, 512, 256, (1024,) * 2, 16)),
    "flat-mel_16bar": ("musicvae_16bar_flat", Sizes((2048,) * 2, (2048,) * 3, 512, 256)),
}
"""Magenta's melody configs: our name of the model, and its sizes (facts on MusicVAE, section 1)."""

SEGMENT = 16
"""Steps of a segment, and segments, where a checkpoint of an unnamed config says nothing of them."""

_ENCODER = "encoder/cell_{}/bidirectional_rnn/{}/multi_rnn_cell/cell_0/lstm_cell"
_CONDUCTOR = "decoder/hierarchical_level_0"
_IGNORED = re.compile(r"(.*/)?(Adam(_\d+)?|global_step|beta[12]_power(_\d+)?)")
_PARTS = re.compile(r"(encoder|decoder|core_decoder)")
_OTHER_KINDS = {
    r"(core_decoder/)?core_decoder_\d+/": "one decoder per instrument (drums, trios)",
    r"encoder/hierarchical_level_\d+/": "a hierarchical encoder",
    r".*/nade/": "a NADE output (drums)",
}
_SWAP = (0, 2, 1, 3)
"""Magenta's i, j, f, o in our order i, f, g, o, and the other way round."""


@dataclass(frozen=True)
class MagentaWeights:
    """A model that holds what a Magenta checkpoint holds."""

    model: MusicVAE
    source: str
    digest: str
    config: str | None
    """Magenta's name of these sizes, if they have one."""
    step: int | None
    """Updates it was trained for, if the checkpoint says."""
    unexpected: tuple[str, ...]
    """Variables that belong neither to the model nor to the optimiser."""
    assumed: str = ""
    """What the checkpoint does not say and was taken as usual."""


def load(
    place: str | Path, *, expect: Sizes | None = None, max_seq_len: int | None = None, segments: int | None = None
) -> MagentaWeights:
    """Returns the model in a checkpoint: a tar, a prefix, a folder, or a Magenta.js folder. TensorFlow is not needed.

    Sizes follow from the shapes of the variables. Numbers of steps and segments do not: they come from `max_seq_len`
    and `segments`, else from `expect`, Magenta.js's config, or the named config of these sizes. Raises UserError where
    variables are missing, foreign or damaged, and where they do not fit `expect`: which, and which config would fit.
    """
    checkpoint = open_checkpoint(place)
    variables = {name: v for name, v in checkpoint.variables.items() if not _IGNORED.fullmatch(name)}
    _check_types(variables, checkpoint.source)
    if expect is not None:
        _check_against(expect, variables, checkpoint.source)
    sizes, assumed = _with_steps(
        _sizes_of(variables, checkpoint.source),
        max_seq_len or (expect.max_seq_len if expect else None) or checkpoint.steps,
        segments or (expect.segments if expect else None) or checkpoint.segments,
    )
    wanted = shapes(sizes)
    _check_whole(wanted, variables, checkpoint.source)
    model = MusicVAE(**vars(sizes))
    _fill(model, variables, checkpoint.source)
    return MagentaWeights(
        model.eval(),
        checkpoint.source,
        digest(model),
        _named(sizes),
        _step(checkpoint.variables.get("global_step")),
        tuple(sorted(variables.keys() - wanted.keys())),
        assumed,
    )


def shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every variable that Magenta's model of these sizes has, by name; no memory is taken."""
    with torch.device("meta"):
        model = MusicVAE(**vars(sizes))
    found: dict[str, tuple[int, ...]] = {}
    for name, module in _modules(model):
        if isinstance(module, RecurrentLayer):
            inputs, width = module.inputs + module.units, 4 * module.units
        else:
            inputs, width = module.in_features, module.out_features
        found |= {f"{name}/kernel": (inputs, width), f"{name}/bias": (width,)}
    return found


def to_magenta(model: MusicVAE) -> dict[str, np.ndarray]:
    """Returns the model's parameters as Magenta's variables, in single precision: the inverse of loading."""
    variables = {}
    for name, module in _modules(model):
        if isinstance(module, RecurrentLayer):
            kernel = torch.cat([module.weight_ih, module.weight_hh], dim=1)
            bias = module.bias.detach().clone()
            bias[module.units : 2 * module.units] -= 1.0
            kernel, bias = _swapped(kernel), _swapped(bias)
        else:
            kernel, bias = module.weight, module.bias
        for part, value in (("kernel", kernel.t()), ("bias", bias)):
            variables[f"{name}/{part}"] = np.ascontiguousarray(value.detach().cpu().float().numpy())
    return variables


def save(prefix: Path, model: MusicVAE, step: int = 0) -> None:
    """Writes the model as a TensorFlow checkpoint, `prefix.index` and `prefix.data-00000-of-00001`."""
    write_bundle(prefix, to_magenta(model) | {"global_step": np.array(step, np.int64)})


def _modules(model: MusicVAE) -> Iterator[tuple[str, RecurrentLayer | nn.Linear]]:
    """Each part of a model under the name that Magenta's variables of it begin with."""
    for n, layer in enumerate(model.encoder.layers):
        yield _ENCODER.format(n, "fw"), layer.fw
        yield _ENCODER.format(n, "bw"), layer.bw
    yield "encoder/mu", model.encoder.mu
    yield "encoder/sigma", model.encoder.sigma
    decoder = "decoder"
    if model.conductor is not None:
        decoder = "core_decoder/decoder"
        yield f"{_CONDUCTOR}/initial_state", model.conductor.initial
        for n, layer in enumerate(model.conductor.layers):
            yield f"{_CONDUCTOR}/cell_{n}/lstm_cell", layer
    yield f"{decoder}/z_to_initial_state", model.decoder.initial
    for n, layer in enumerate(model.decoder.layers):
        yield f"{decoder}/multi_rnn_cell/cell_{n}/lstm_cell", layer
    yield f"{decoder}/output_projection", model.decoder.output


@torch.no_grad()
def _fill(model: MusicVAE, variables: Mapping[str, StoredArray], source: str) -> None:
    for name, module in _modules(model):
        kernel, bias = (_tensor(f"{name}/{part}", variables, source) for part in ("kernel", "bias"))
        if isinstance(module, RecurrentLayer):
            kernel = _swapped(kernel.t())
            module.weight_ih.copy_(kernel[:, : module.inputs])
            module.weight_hh.copy_(kernel[:, module.inputs :])
            module.bias.copy_(_swapped(bias))
            module.bias[module.units : 2 * module.units] += 1.0
        else:
            module.weight.copy_(kernel.t())
            module.bias.copy_(bias)


def _swapped(rows: torch.Tensor) -> torch.Tensor:
    blocks = rows.chunk(4)
    return torch.cat([blocks[place] for place in _SWAP])


def _tensor(name: str, variables: Mapping[str, StoredArray], source: str) -> torch.Tensor:
    tensor = torch.from_numpy(variables[name].read().astype(np.float32))
    if not bool(torch.isfinite(tensor).all()):
        raise UserError(f"{source}: {name} holds values that are not finite")
    return tensor


def _step(variable: StoredArray | None) -> int | None:
    return int(variable.read()) if variable is not None and variable.shape == () and variable.dtype else None


def _sizes_of(variables: Mapping[str, StoredArray], source: str) -> Sizes:
    """The sizes that the shapes tell; steps and segments are left at what a bare `Sizes` has."""
    flat = f"{_CONDUCTOR}/initial_state/kernel" not in variables
    decoder = "decoder" if flat else "core_decoder/decoder"
    widths = {
        "encoder": _widths(_ENCODER.format("{}", "fw"), variables),
        "decoder": _widths(decoder + "/multi_rnn_cell/cell_{}/lstm_cell", variables),
        "conductor": () if flat else _widths(_CONDUCTOR + "/cell_{}/lstm_cell", variables),
    }
    latents, output = (variables.get(f"{name}/kernel") for name in ("encoder/mu", f"{decoder}/output_projection"))
    whole = widths["encoder"] and widths["decoder"] and (flat or widths["conductor"])
    if not whole or latents is None or output is None or len(latents.shape) != 2 or len(output.shape) != 2:
        held = ", ".join(sorted(variables)[:3]) or "nothing"
        raise UserError(f"{source} does not hold a MusicVAE for melodies{_kind(variables)} (it holds {held}, …)")
    return Sizes(**widths, z_size=latents.shape[1], depth=output.shape[1])


def _widths(cell: str, variables: Mapping[str, StoredArray]) -> tuple[int, ...]:
    """Units of the layers `cell.format(0)`, `cell.format(1)`, …, as far as there are any."""
    widths: list[int] = []
    while (kernel := variables.get(f"{cell.format(len(widths))}/kernel")) is not None and len(kernel.shape) == 2:
        widths.append(max(1, kernel.shape[1] // 4))
    return tuple(widths)


def _kind(names: Iterable[str]) -> str:
    """What other kind of Magenta model such variables are of, in a few words."""
    for name in names:
        for pattern, kind in _OTHER_KINDS.items():
            if re.match(pattern, name):
                return f": its variables are of a model with {kind}, which is not built here"
    return ""


def _with_steps(sizes: Sizes, steps: int | None, segments: int | None) -> tuple[Sizes, str]:
    """The sizes with numbers of steps and segments, and in words what of that was assumed."""
    named = _named(sizes)
    if named is not None:
        usual = CONFIGS[named][1]
        return replace(sizes, max_seq_len=steps or usual.max_seq_len, segments=segments or usual.segments), ""
    many = segments or (SEGMENT if sizes.conductor else 1)
    whole = replace(sizes, max_seq_len=steps or SEGMENT * max(many, 2), segments=many)
    told = steps is not None and (segments is not None or not sizes.conductor)
    return whole, "" if told else f"the checkpoint does not say how long melodies are; taken as {_steps_of(whole)}"


def _named(sizes: Sizes) -> str | None:
    """Magenta's name of the config whose parameters have these shapes."""
    bare = replace(sizes, max_seq_len=1, segments=1)
    return next((n for n, (_, own) in CONFIGS.items() if replace(own, max_seq_len=1, segments=1) == bare), None)


def _check_whole(wanted: Mapping[str, tuple[int, ...]], variables: Mapping[str, StoredArray], source: str) -> None:
    """Raises UserError unless all variables are there in their shapes and none speaks of further layers."""
    if wrong := _differences(wanted, variables):
        raise UserError(f"{source} does not hold together: {_listed(wrong)}")
    if strange := [name for name in variables if name not in wanted and _PARTS.match(name)]:
        raise UserError(
            f"{source} holds variables that no MusicVAE for melodies has: {_listed(strange)}{_kind(strange)}"
        )


def _check_types(variables: Mapping[str, StoredArray], source: str) -> None:
    for name, variable in variables.items():
        if _PARTS.match(name) and not variable.dtype.startswith("<f"):
            raise UserError(f"{source}: {name} does not hold floating-point numbers")


def _check_against(expect: Sizes, variables: Mapping[str, StoredArray], source: str) -> None:
    """Raises UserError where the checkpoint is of another config than `expect`, and says of which."""
    wanted = shapes(expect)
    further = [f"{name} is one more" for name in variables if name not in wanted and _PARTS.match(name)]
    wrong = _differences(wanted, variables) + further
    if not wrong:
        return
    sizes = _sizes_of(variables, source)
    name = _named(sizes)
    fits = f"it is {name}: use model={CONFIGS[name][0]}" if name else f"its sizes are {_bare(sizes)}"
    raise UserError(f"{source} does not fit the model ({_bare(expect)}): {_listed(wrong)}; {fits}, or leave model= out")


def _bare(sizes: Sizes) -> str:
    return str(sizes).rpartition(", ")[0]


def _steps_of(sizes: Sizes) -> str:
    return str(sizes).rpartition(", ")[2]


def _differences(wanted: Mapping[str, tuple[int, ...]], variables: Mapping[str, StoredArray]) -> list[str]:
    """What differs, in words: shapes first, then what is missing; a bias only where its kernel is right."""
    wrong = {
        name: f"{name} is {list(variables[name].shape)}, not {list(shape)}"
        for name, shape in wanted.items()
        if name in variables and variables[name].shape != shape
    }
    wrong |= {name: f"{name} is missing" for name in wanted if name not in variables}
    implied = {name for name in wrong if name.endswith("bias") and name.removesuffix("bias") + "kernel" in wrong}
    return [text for name, text in wrong.items() if name not in implied]


def _listed(things: list[str]) -> str:
    rest = f" and {len(things) - 3} more" if len(things) > 3 else ""
    return ", ".join(things[:3]) + rest
