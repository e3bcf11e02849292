"""The program as it is installed: `folkrnn-lab experiment=part5`, or `python -m folkrnn experiment=part5`, anywhere."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import folkrnn
from folkrnn.command_line import main
from folkrnn.errors import UserError
from folkrnn.files.places import CONF

if TYPE_CHECKING:
    from omegaconf import DictConfig


def start() -> int:
    """Does what the command line asks for; returns the exit status."""
    return main(sys.argv[1:], CONF, study)


def study(config: DictConfig, overrides: list[str]) -> int:
    """Returns the exit status of the study that `config` describes.

    Raises UserError where Python finds an `analyses` of someone else's in the place of the one that comes with folkrnn.
    """
    check_analyses()
    from folkrnn.study import run  # torch, Lightning and MLflow, only once there is something to do

    return run(config, overrides)


def check_analyses() -> None:
    """Raises UserError where `import analyses` gives a package that does not lie beside `folkrnn`."""
    spec = importlib.util.find_spec("analyses")
    found = Path(spec.origin).resolve() if spec and spec.origin else None
    ours = Path(folkrnn.__file__).resolve().parents[1] / "analyses" / "__init__.py"
    if found != ours:
        where = f"{found} is in its place" if found else "there is none"
        raise UserError(
            f"the package analyses that comes with folkrnn-lab is not what Python finds: {where}; take that off "
            "PYTHONPATH, or install folkrnn-lab in an environment of its own"
        )


if __name__ == "__main__":
    if not sys.flags.safe_path:
        sys.path.append(sys.path.pop(0))  # a folder here that is called analyses is not the one meant
    sys.exit(start())
