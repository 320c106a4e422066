"""Documents for programs, as text."""

import json
from typing import Any, Literal


def as_text(form: Literal["json", "yaml"], document: dict[str, Any]) -> str:
    """A document of plain values as JSON or YAML, without the line end."""
    if form == "json":
        return json.dumps(document, indent=2)
    import yaml

    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120).rstrip()
