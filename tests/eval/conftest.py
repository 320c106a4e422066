"""The `cogames` command, for what evaluation keeps and shows."""

from tests.cli.conftest import cogames

__all__ = ["cogames"]
