"""What a text of tunes is wrapped in: line ends, codes of mail and HTML, fences and tags of blocks, typeset text.

ABC that is embedded in another document (standard 2.1, section 2.3) ends where the fence or the tag around it closes;
what is said behind it is no music.
"""

from __future__ import annotations

import re

_BREAK = "\x1e"
_SIGNS = {
    **dict.fromkeys(map(chr, [*range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000]), " "),
    **dict.fromkeys(map(chr, [*range(0x200B, 0x200E), 0x2060, 0xFEFF]), ""),
    **dict.fromkeys("\u2028\u2029", "\n"),
}
_PLAIN = str.maketrans(_SIGNS)
"""Spaces and line ends of Unicode, and what has no width, byte-order marks among it."""


# Tunes that came by mail as quoted-printable: "=" at line ends, and codes such as =20. "=E2" would be a note, so that
# only the codes of printable ASCII are undone; those are never music.
_MAILED = re.compile(r"(?<!=)=(?:\n|([2-7][0-9A-F]))")

_ENTITY = re.compile(r"&(?:gt|lt|amp|quot|apos|nbsp|#39|#34);")
_ENTITIES = {"gt": ">", "lt": "<", "amp": "&", "quot": '"', "apos": "'", "nbsp": " ", "#39": "'", "#34": '"'}

_BLOCK = (
    "pre|code|abc|score|music|syntaxhighlight|source|nowiki|poem|html|head|body|script|style|textarea|table|tr|td|th"
    "|ul|ol|li|dl|dt|dd|h[1-6]|blockquote"
)
_INLINE = "p|hr|div|span|font|center|tbody|em|strong|tt|small|big|sup|sub|img|title|section|link|meta|s"
_ANY_TAG = re.compile(rf"<(?:/|!--|(?:br|{_INLINE}|{_BLOCK})\b)", re.IGNORECASE)
# "A<abc>d" is music: the tag of a block opens at the start of a line, after other tags at most
_TAGS = (
    (re.compile(r"<br\b[^<>\n]*>\n?", re.IGNORECASE), "\n"),
    (re.compile(rf"</?(?:{_INLINE})\b[^<>\n]*>", re.IGNORECASE), ""),
    (
        re.compile(rf"^[ \t]*(?:</?(?:{_BLOCK})\b[^<>\n]*>[ \t]*)+|</(?:{_BLOCK})>", re.IGNORECASE | re.MULTILINE),
        "\n\x1e\n",
    ),
)

_FENCE = re.compile(r"^[ \t>]*(?:`{3,}|~{3,})[ \t]*[\w{}.#+=\"' -]*$", re.MULTILINE)
_FENCE_OF_OTHERS = re.compile(
    r"^[ \t]*(?:\\(?:begin|end)\{\w+\}|#\+(?:begin|end)_\w+)[^\n]*$", re.MULTILINE | re.IGNORECASE
)
# Of a forum: "[abc]" alone may be a chord, but none is closed by "[/abc]".
_FORUM_TAG = r"(?:abc|code|music|pre|quote|score)\]"
_FORUM_CLOSES = re.compile(rf"\[/{_FORUM_TAG}", re.IGNORECASE)
_FORUM = re.compile(rf"^[ \t]*\[{_FORUM_TAG}|\[/{_FORUM_TAG}", re.IGNORECASE | re.MULTILINE)

_TYPESET = re.compile(r"[ \t]*%%[ \t]*(begin|end)(text|ps|svg|js|ml)\b", re.IGNORECASE)


def sections(text: str) -> list[str]:
    """Returns the parts of a text between the fences and the tags of blocks, in order: all of it where there are none.

    Line ends are `\n`; tags, codes of mail and of HTML are undone; the lines of a block of typeset text (`%%begintext`)
    are comments.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace(_BREAK, "")
    if not text.isascii():
        text = text.translate(_PLAIN)
    text = _MAILED.sub(lambda code: chr(int(code[1], 16)) if code[1] else "", text)
    if "&" in text:
        text = _ENTITY.sub(lambda entity: _ENTITIES[entity[0][1:-1]], text)
    if _ANY_TAG.search(text):
        text = _without_comments(text)
        for tag, instead in _TAGS:
            text = tag.sub(instead, text)
    if "%%" in text:
        text = _typeset_as_comments(text)
    if "```" in text or "~~~" in text:
        text = _FENCE.sub(_BREAK, text)
    if "\\begin" in text or "\\end" in text or "#+" in text:
        text = _FENCE_OF_OTHERS.sub(_BREAK, text)
    if "[/" in text and _FORUM_CLOSES.search(text):
        text = _FORUM.sub(_BREAK, text)
    return text.split(_BREAK)


def _without_comments(text: str) -> str:
    """Without the comments of HTML that are closed."""
    pieces, at = [], 0
    while (start := text.find("<!--", at)) >= 0 and (stop := text.find("-->", start)) >= 0:
        pieces.append(text[at:start])
        at = stop + 3
    return "".join([*pieces, text[at:]])


def _typeset_as_comments(text: str) -> str:
    """The lines of blocks such as %%begintext to %%endtext as comments; a block that is never closed stays."""
    lines = text.split("\n")
    marks = [(i, match) for i, line in enumerate(lines) if (match := _TYPESET.match(line))]
    start: tuple[int, str] | None = None
    for i, match in marks:
        what, kind = match[1].lower(), match[2].lower()
        if what == "begin" and start is None:
            start = (i, kind)
        elif what == "end" and start is not None and kind == start[1]:
            lines[start[0] : i + 1] = [f"%{line}" for line in lines[start[0] : i + 1]]
            start = None
    return "\n".join(lines)
