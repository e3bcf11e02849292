"""The process in which verovio runs, since it takes its process along when it dies.

Reads one JSON object a line from standard input, {"data": MEI, "seed": n, "options": {…}}, and answers each with
one line: {"svg": ...} or {"refusal": ...}. The first line it writes, {"ready": true}, says that verovio is there.
"""

from __future__ import annotations

import json
import os
import re
import sys

_OPTIONS = {
    "pageWidth": 2400,
    "pageHeight": 60000,
    "adjustPageHeight": True,
    "pageMarginLeft": 30,
    "pageMarginRight": 30,
    "pageMarginTop": 30,
    "pageMarginBottom": 30,
    "scale": 40,
    "breaks": "encoded",
    "header": "none",
    "footer": "none",
    "smuflTextFont": "none",
    "svgFormatRaw": True,
    "svgRemoveXlink": True,
    "svgViewBox": True,
}


def main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever verovio prints must not look like an answer

    def answer(**fields: object) -> None:
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    try:
        import verovio
    except ImportError as error:
        answer(ready=False, refusal=f"verovio cannot be imported: {error}")
        return
    verovio.enableLog(verovio.LOG_OFF)
    answer(ready=True)
    for line in sys.stdin:
        request = json.loads(line)
        toolkit = verovio.toolkit()
        toolkit.setOptions({**_OPTIONS, **request["options"], "xmlIdSeed": request["seed"]})
        if not toolkit.loadData(request["data"]):
            answer(refusal="verovio does not read it")
        elif toolkit.getPageCount() != 1:
            answer(refusal=f"verovio made {toolkit.getPageCount()} pages of it")
        else:
            answer(svg=slim(toolkit.renderToSVG(1)))


def slim(svg: str) -> str:
    """Returns the picture without the ids that nothing refers to, in the colour of the text around it."""
    root = re.search(r'<svg [^>]*id="([^"]*)"', svg)
    kept = re.escape(root[1]) if root else ""
    svg = re.sub(rf' id="(?!{kept}"|[^"]*t\d+"|E[0-9A-F]{{3}}-)[^"]*"', "", svg)
    svg = re.sub(r'<g class="[^"]*placeholder">.*?</g>|<g class="[^"]*"/>', "", svg)
    return svg.replace('class="definition-scale" color="black"', 'class="definition-scale" fill="currentColor"')


if __name__ == "__main__":
    main()
