"""A tracking server of one's own, sending to a store what it missed of runs, leading a moved store to its files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from folkrnn.console import forgiving
from folkrnn.errors import UserError
from folkrnn.files.places import place
from folkrnn.tracking.serve import FOLDER, PORT, serve
from folkrnn.tracking.store import relocate
from folkrnn.tracking.upload import upload


def main(arguments: list[str] | None = None) -> int:
    """Does what the words say; returns 1 if something was refused."""
    forgiving()
    options = _parser().parse_args(arguments)
    if options.action == "upload":
        return _upload(options.folders, options.to)
    if options.action == "relocate":
        return _relocate(options.places)
    try:
        serve(options.folder, options.port, options.options, options.upgrade, options.auth, say=_say)
    except UserError as refusal:
        print(refusal, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m folkrnn.tracking", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    sending = actions.add_parser("upload", help="send to the store what it missed of runs, or copy them to another")
    sending.add_argument("folders", nargs="+", metavar="FOLDER", help="results folder of a run")
    sending.add_argument("--to", metavar="URI", help="another store, where the runs are begun anew with all they have")
    leading = actions.add_parser(
        "relocate", help="lead a store that was copied or moved to the files that lie beside it"
    )
    leading.add_argument("places", nargs="+", metavar="PLACE", help="folder with an mlflow.db, or a database")
    serving = actions.add_parser("serve", help="run MLflow with PostgreSQL on this computer, until Ctrl-C")
    serving.add_argument("--folder", type=Path, default=FOLDER, help=f"where everything is kept (default: {FOLDER})")
    serving.add_argument("--port", type=int, help=f"default: {PORT}, or a free one where that is taken; 0: a free one")
    serving.add_argument("--upgrade", action="store_true", help="bring the tables to the installed version of MLflow")
    serving.add_argument("--auth", action="store_true", help="ask for a name and a password (MLflow's own accounts)")
    serving.add_argument("options", nargs="*", metavar="-- OPTION", help="options for `mlflow server`, after --")
    return parser


def _say(line: str) -> None:
    print(line, flush=True)


def _upload(folders: list[str], to: str | None) -> int:
    failed = False
    for folder in folders:
        try:
            print(f"{folder}: sent {upload(folder, to)} entries")
        except UserError as refusal:
            print(refusal, file=sys.stderr)
            failed = True
    return int(failed)


def _relocate(places: list[str]) -> int:
    failed = False
    for name in places:
        try:
            found = place(name)
            moves = relocate(found / "mlflow.db" if found.is_dir() else found)
            print(f"{name}: " + ("; ".join(map(str, moves)) or "its files are where it says"))
        except UserError as refusal:
            print(refusal, file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
