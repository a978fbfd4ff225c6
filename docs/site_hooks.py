"""Hooks of mkdocs: an API page for each package of fxtrade, and links out of docs/ shown as plain paths."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
PARTS = sorted(p.stem for p in (ROOT / "fxtrade").iterdir() if (p / "__init__.py").exists() or p.suffix == ".py")
PARTS.remove("__init__")
UPWARD = re.compile(r"\[([^\]]+)\]\((\.\./[^)#]+)\)")


def on_config(config):
    config.nav.append({"API reference": [{name: f"api/{name}.md"} for name in PARTS]})
    return config


def on_files(files, config):
    for name in PARTS:
        files.append(File.generated(config, f"api/{name}.md", content=f"# fxtrade.{name}\n\n::: fxtrade.{name}\n"))
    return files


def on_page_markdown(markdown, page, config, files):
    """A file outside docs/ has no address in the site, so its path is shown; broken links stay for mkdocs to report."""

    def shown(link: re.Match) -> str:
        text, target = link.groups()
        file = (ROOT / "docs" / page.file.src_uri).parent.joinpath(target).resolve()
        if not file.exists() or file.is_relative_to(ROOT / "docs"):
            return link[0]
        path = f"`{file.relative_to(ROOT)}`"
        return path if path.strip("`").endswith(text.strip("`")) else f"{text} ({path})"

    return UPWARD.sub(shown, markdown)
