"""Commands that tell about the product: its pages, its version."""

import sys
from importlib.metadata import version as package_version
from importlib.resources import files
from typing import Annotated

import typer

from metta.cli.options import Output
from metta.cli.output import Format, show, table
from metta.common.errors import UserError, suggest

SCHEMA_VERSION = 1
PAGES = files("metta") / "docs"


def page_names() -> list[str]:
    """Names of the pages, without their suffix."""
    return sorted(page.name.removesuffix(".md") for page in PAGES.iterdir() if page.name.endswith(".md"))


def _complete(incomplete: str) -> list[str]:
    return [name for name in page_names() if name.startswith(incomplete)]


def docs(
    name: Annotated[str | None, typer.Argument(help="page to print", autocompletion=_complete)] = None,
    output: Output = Format.table,
) -> None:
    """List the pages of the documentation, or print one."""
    names = page_names()
    if name is not None and name not in names:
        raise UserError(f"no page '{name}'{suggest(name, names)}; there are: {', '.join(names)}")
    found = {page: (PAGES / f"{page}.md").read_text("utf-8") for page in ([name] if name else names)}
    titles = {page: text.partition("\n")[0].removeprefix("# ") for page, text in found.items()}
    if name is None:
        rows = [{"name": page, "title": title} for page, title in titles.items()]
        document = {"schema_version": SCHEMA_VERSION, "pages": rows}
        show(output, document, lambda: table(["page", "about"], list(titles.items())))
    elif output is not Format.table:
        show(output, {"schema_version": SCHEMA_VERSION, "name": name, "title": titles[name], "text": found[name]}, str)
    elif sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(found[name]))
    else:
        print(found[name], end="")


def version(output: Output = Format.table) -> None:
    """Print the version."""
    number = package_version("metta")
    if output is Format.table:
        print(number)
    else:
        show(output, {"schema_version": SCHEMA_VERSION, "version": number}, str)
