"""`python -m folkrnn.weights export FROM TO`: weights in another form; `card RUN TO`: trained weights with their card.

FROM: the name of shipped weights (folkrnn), of published ones (folkrnn_v2, magenta_2bar, …), a weights folder, the
folder of a run, or a .safetensors, .ckpt or .pkl file. TO: a .pkl file (folk-rnn's original layout, which the authors'
own scripts load), a .ckpt prefix (a MusicVAE as Magenta keeps it), or else a weights folder (safetensors and card).

RUN: the folder of a run that trained (it prints it as `results`); `--measured RUN` names runs that looked into what it
trained, and may be given several times; `--began WEIGHTS` is the folder of the weights that a training went on from
(weights=finetune). The card in TO is made of what these runs filed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from folkrnn.console import forgiving
from folkrnn.errors import UserError
from folkrnn.files.places import place

if TYPE_CHECKING:
    from folkrnn.weights.folder import Weights


def main(arguments: list[str] | None = None) -> int:
    """Exports; returns 1 if it could not be done, having said why."""
    forgiving()
    parser = argparse.ArgumentParser(
        prog="python -m folkrnn.weights", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["export", "card"])
    parser.add_argument("source", metavar="FROM")
    parser.add_argument("target", metavar="TO")
    parser.add_argument("--measured", metavar="RUN", action="append", default=[], help="a run to take figures from")
    parser.add_argument("--began", metavar="WEIGHTS", help="the weights that the training went on from")
    parser.add_argument("--half", action="store_true", help="half precision, for a folder: half the size, not exact")
    options = parser.parse_args(arguments)
    try:
        if options.action == "card":
            print(with_card(options.source, place(options.target), options.measured, options.began))
        else:
            print(export(options.source, place(options.target), options.half))
    except UserError as refusal:
        print(refusal, file=sys.stderr)
        return 1
    return 0


def with_card(source: str, target: Path, measured: list[str], began: str | None = None) -> str:
    """Writes what a run trained to a folder of the name that the weights are to have, with the card made from runs."""
    from folkrnn.weights import card

    before = None if began is None else place(began)
    return card.write(target.name, place(source), target, [place(run) for run in measured], before)


def export(source: str, target: Path, half: bool = False) -> str:
    """Writes the weights that `source` names to `target` and returns a line that says what was done.

    Raises UserError where the source cannot be read, the target is there already, or its form does not fit the model.
    """
    import torch

    from folkrnn.models.musicvae import MusicVAE
    from folkrnn.weights import folder, lasagne, magenta

    if target.exists():
        raise UserError(f"{target} is there already; name another place")
    weights = find(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix in (".pkl", ".pickle"):
        lasagne.save(target, weights)
    elif target.suffix == ".ckpt" and weights.model.family == MusicVAE.family:
        magenta.save(target, cast("MusicVAE", weights.model))
    elif target.suffix:
        raise UserError(
            f"{target}: a FolkRNN is exported to a .pkl or a folder, a MusicVAE to a .ckpt prefix or a folder"
        )
    else:
        dtype = torch.float16 if half else torch.float32
        folder.save(target, weights.model, weights.vocabulary, weights.card, dtype, weights.curve)
    return f"{weights.model.shape} from {weights.source} ({weights.digest}) written to {target}"


def find(source: str) -> Weights:
    """Returns the weights of a name or a path."""
    from folkrnn.weights import sources
    from folkrnn.weights.downloads import SOURCES, downloaded

    if source in SOURCES:
        return downloaded(source)
    if (sources.SHIPPED / source / sources.folder.PARAMETERS).is_file():
        return sources.pretrained(source)
    path = Path(source)
    if path.suffix in (".pkl", ".pickle"):
        return sources.pickle(source)
    if path.suffix in (".tar", ".index"):
        return sources.magenta(source)
    return sources.checkpoint(source)


if __name__ == "__main__":
    sys.exit(main())
