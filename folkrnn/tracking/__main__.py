"""`python -m folkrnn.tracking upload FOLDER…`: send to the store what it missed of runs, or copy them to another."""

from __future__ import annotations

import argparse
import sys

from folkrnn.refusal import Refusal
from folkrnn.tracking.upload import upload


def main(arguments: list[str] | None = None) -> int:
    """Uploads each folder named; returns 1 if one could not be."""
    parser = argparse.ArgumentParser(prog="python -m folkrnn.tracking", description=__doc__)
    parser.add_argument("action", choices=["upload"])
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="results folder of a run")
    parser.add_argument("--to", metavar="URI", help="another store, where the runs are begun anew with all they have")
    options = parser.parse_args(arguments)
    failed = False
    for folder in options.folders:
        try:
            print(f"{folder}: sent {upload(folder, options.to)} entries")
        except Refusal as refusal:
            print(refusal, file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
