"""Limits of a replay's header, for the viewer: `python -m tests.view.header_schema` writes them where it reads them."""

import json
from pathlib import Path

from metta.eval.replay.header import ReplayHeader

PATH = Path(__file__).parents[2] / "viewer" / "src" / "header.schema.json"


def header_schema() -> str:
    return json.dumps(ReplayHeader.model_json_schema(), indent=1) + "\n"


if __name__ == "__main__":
    PATH.write_text(header_schema())
