"""The `cogames` command in this process, in an empty folder."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from metta.cli.cogames import main


@dataclass(frozen=True)
class Done:
    """What a command printed and its exit code."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output, which must be one JSON document and nothing else."""
        assert self.code == 0, self.err
        return json.loads(self.out)


Cogames = Callable[..., Done]


@pytest.fixture
def cogames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cogames:
    """Calls the command with words."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> Done:
        capsys.readouterr()
        code = main(words)
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    return call
