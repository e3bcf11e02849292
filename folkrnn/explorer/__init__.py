"""The explorer: one page in which a musician or a researcher touches a note and sees the network think.

`explore(observation)` is all that a notebook or a run needs; see `docs/explorer.md`.
"""

from folkrnn.explorer.page import Page, explore

__all__ = ["Page", "explore"]
