"""What the site adds to the pages of docs/: texts that lie beside what they describe, and links that lead there."""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
# Texts of the repository, and the pages that they become.
TEXTS = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "devops/README.md": "machines.md",
}
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")
log = get_plugin_logger(__name__)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the texts as pages."""
    for text, page in TEXTS.items():
        files.append(File.generated(config, page, content=(ROOT / text).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links that are right in the repository to pages of the site; where there is none, leave their text."""
    home = PurePosixPath(
        {name: text for text, name in TEXTS.items()}.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    )

    def led(match: re.Match[str]) -> str:
        mark, text, target, anchor = match.groups()
        place = normpath(str(home.parent / target))
        if not (ROOT / place).exists():
            log.warning(f"{home}: no '{place}' behind [{text}]")
        name = TEXTS.get(place) or (place.removeprefix("docs/") if place.startswith("docs/") else None)
        if (
            name is None
            or files.get_file_from_path(name) is None
            or files.get_file_from_path(name).inclusion.is_excluded()
        ):
            return text if "`" in text else f"{text} (`{place}`)"
        return f"{mark}[{text}]({relpath(name, PurePosixPath(page.file.src_uri).parent)}{anchor or ''})"

    return LINK.sub(led, markdown)
