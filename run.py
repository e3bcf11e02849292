"""Names a model, a dataset, an intervention and some analyses, and runs them: `python run.py --help`."""

from __future__ import annotations

import sys
from pathlib import Path

from folkrnn.__main__ import study
from folkrnn.command_line import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path(__file__).parent / "conf", study))
