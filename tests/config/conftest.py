"""The runner in this process: a call takes the words of a command line and returns what it printed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from metta.config import runner


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    @property
    def tree(self) -> dict[str, Any]:
        """The printed tree; the command must have succeeded."""
        assert self.code == 0, self.err
        return yaml.safe_load(self.out)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def call(*argv: str) -> Outcome:
        code = runner.run(argv)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def train(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def call(*argv: str) -> Outcome:
        code = runner.train(argv)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call
