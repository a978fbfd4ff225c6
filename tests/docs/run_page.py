"""Execute the fenced code blocks of a Markdown page as they are printed, from top to bottom, in the current folder.

    python tests/docs/run_page.py docs/tutorials/trade_your_own_signal.md

* python: in one namespace for the whole page.
* sh: by bash, which stops at the first command that fails.
* any language with a title, as in `python title="fxtrade/features/mine.py"`: written to that file.
* diff with a title: applied to that file, whose old lines must occur exactly once.
* anything else is for the reader alone.

A block after the comment `<!-- skip: reason -->` is left out. A failure names the page and the line of the block.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

FENCE = re.compile(
    r"(?P<skip><!-- skip: [^\n]+ -->\s*)?"
    r"^(?P<indent> *)```(?P<language>\w+)(?P<attributes>[^\n]*)\n(?P<code>.*?)^(?P=indent)``` *$",
    re.M | re.S,
)
TITLE = re.compile(r'title="([^"]+)"')
RUN = ("python", "sh")


class Block(NamedTuple):
    """A fenced block: its language, the file of its title ("" without one), its code and the line where that begins."""

    language: str
    file: str
    code: str
    line: int


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page that are to be executed or written, in order."""
    found = []
    for match in FENCE.finditer(page):
        title = TITLE.search(match["attributes"])
        indent = len(match["indent"])
        code = "".join(line[indent:] or "\n" for line in match["code"].splitlines(keepends=True))
        block = Block(match["language"], title[1] if title else "", code, page.count("\n", 0, match.start("code")) + 1)
        if not match["skip"] and (block.file or block.language in RUN):
            found.append(block)
    return found


def execute(path: Path) -> None:
    """Execute all blocks of the page at `path`.

    Raises:
        Exception: whatever a block raises; SystemExit naming page and line where a command fails.
    """
    namespace: dict = {"__name__": "__main__"}
    for block in blocks(path.read_text()):
        where = f"{path}, line {block.line}"
        if block.file:
            file = Path(block.file)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(patched(file.read_text(), block.code, where) if block.language == "diff" else block.code)
        elif block.language == "python":
            code = "\n" * (block.line - 1) + block.code  # so that tracebacks show the line of the page
            exec(compile(code, str(path), "exec", dont_inherit=True), namespace)
        elif subprocess.run(["bash", "-euo", "pipefail", "-c", block.code]).returncode:
            raise SystemExit(f"{where}: a command failed")


def patched(text: str, diff: str, where: str) -> str:
    """Return `text` after the change of `diff`, lines that begin with " ", "-" or "+"."""
    lines = diff.splitlines(keepends=True)
    old, new = ("".join(line[1:] or "\n" for line in lines if line[0] != other) for other in "+-")
    if text.count(old) != 1:
        raise SystemExit(f"{where}: the old lines of the diff occur {text.count(old)} times in the file, not once")
    return text.replace(old, new)


if __name__ == "__main__":
    execute(Path(sys.argv[1]))
