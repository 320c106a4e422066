"""Runs as a notebook has them: data frames and pictures."""

from collections.abc import Callable
from pathlib import Path

import pytest

from metta.common.errors import UserError
from metta.runs.local import LocalRuns
from metta.runs.notebook import metric_frame, run_frame, show_curves
from tests.runs.conftest import line, tree

pytest.importorskip("pandas")


@pytest.fixture
def folder(make_run: Callable[..., Path]) -> Path:
    make_run("slow", tree(trainer={"total_timesteps": 3000, "update_epochs": 1}), checkpoints=2)
    rows = [line(1, overview__reward=1.0), line(2, overview__reward=4.0, losses__entropy=0.5)]
    return make_run("fast", tree(trainer={"total_timesteps": 3000, "update_epochs": 4}), rows).parent


def test_runs_are_rows_of_settings_and_newest_metrics(folder: Path) -> None:
    frame = run_frame(folder=folder)
    assert list(frame.index) == ["fast", "slow"]
    assert frame["settings.trainer.update_epochs"].to_dict() == {"fast": 4, "slow": 1}
    assert frame["overview/reward"].to_dict() == {"fast": 4.0, "slow": 1.5}
    assert frame.loc["slow", "uri"].endswith("slow:v2") and frame["uri"].isna()["fast"]
    assert list(run_frame("sl*", folder=folder).index) == ["slow"]


def test_epochs_are_rows_of_metrics_with_nothing_where_nothing_was_reported(folder: Path) -> None:
    frame = metric_frame(folder=folder)
    assert frame.index.names == ["run", "agent_step"]
    assert frame.loc["fast"]["overview/reward"].to_dict() == {1000: 1.0, 2000: 4.0}
    assert frame["losses/entropy"].count() == 1 and frame.loc[("fast", 2000), "losses/entropy"] == 0.5
    assert len(frame.loc["slow"]) == 3


def test_curves_show_themselves_and_a_wrong_name_is_one_line(folder: Path) -> None:
    shown = show_curves(folder=folder)
    assert shown._repr_png_().startswith(b"\x89PNG") and not shown.running
    assert len(repr(shown)) < 80, "the picture is saved with the notebook once"
    with pytest.raises(UserError, match=r"no run 'fsat'.*fast"):
        show_curves("fsat", folder=folder)
    with pytest.raises(UserError, match=r"overview/rewrd.*overview/reward"):
        show_curves(metrics=["overview/rewrd"], folder=folder)


def test_a_run_shows_itself(folder: Path) -> None:
    shown = LocalRuns(folder).chosen(["slow"])[0]._repr_html_()
    assert "<td>slow</td>" in shown and "<td>1.500</td>" in shown and "slow:v2" in shown
