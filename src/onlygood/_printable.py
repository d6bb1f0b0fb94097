"""Text of others, such as the names of files, with what is not seen written out."""

from __future__ import annotations

import re

# Characters that are not seen, that steer a terminal, that turn the direction of others, that break a line, or that are
# half of a character (bytes of a file's name that are no text). A name that holds them could pass for another one.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""The text in one line, with what is not seen written out as Python does: `\n`, `\x1b`, `\u202e`, `\udcff`."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
