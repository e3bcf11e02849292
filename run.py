"""Names a model, a dataset, an intervention and some analyses, and runs them: `python run.py --help`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from folkrnn.command_line import main

if TYPE_CHECKING:
    from omegaconf import DictConfig


def study(config: DictConfig, overrides: list[str]) -> int:
    """Returns the exit status of the study that `config` describes."""
    from folkrnn.study import run  # torch, Lightning and MLflow, only once there is something to do

    return run(config, overrides)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path(__file__).parent / "conf", study))
