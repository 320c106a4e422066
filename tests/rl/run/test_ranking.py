"""Which checkpoints stay, and which is the best."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metta.common.errors import UserError
from metta.eval.in_training import train
from metta.policy.stored.uri import find_bundle, list_versions
from metta.rl.run.metrics import read_metrics
from metta.rl.run.ranking import Ranking, passing
from metta.rl.run.settings import CheckpointerSettings
from metta.rl.run.snapshot import load_snapshot
from metta.rl.settings import RunConfig

Config = Callable[..., RunConfig]
EVALUATED = {"evaluator": {"epoch_interval": 1, "episodes": 1}}
# Nothing of a run depends on its length.
UNSCHEDULED = {"optimizer": {"anneal_lr": False}, "sampling": {"method": "sequential"}}
METRIC = "eval_training/reward"


@given(st.lists(st.floats(allow_nan=True), max_size=30), st.integers(0, 5))
def test_a_ranking_is_the_best_of_what_it_has_seen_the_earlier_of_equals_first(values: list[float], most: int) -> None:
    ranking = Ranking("m")
    for epoch, value in enumerate(values):
        ranking = ranking.entered(epoch, value, most)
    numbers = [(epoch, value) for epoch, value in enumerate(values) if abs(value) < float("inf")]
    assert list(ranking.entries) == sorted(numbers, key=lambda entry: (-entry[1], entry[0]))[:most]


@given(
    st.sets(st.integers(0, 60)).map(sorted), st.integers(0, 60), st.integers(0, 5), st.integers(0, 7),
    st.sets(st.integers(0, 60), max_size=3),
)  # fmt: skip
def test_what_goes_is_neither_new_nor_best_nor_at_an_interval_that_stays(
    epochs: list[int], newest: int, last: int, every: int, best: set[int]
) -> None:
    settings = CheckpointerSettings(keep_last=last, keep_every=every)
    ranking = Ranking("m", tuple((epoch, 0.0) for epoch in best))
    gone, until = passing(epochs, newest, ranking, settings), [epoch for epoch in epochs if epoch <= newest]
    if last == 0:
        assert gone == []
    for epoch in until[:-last] if last else ():
        assert (epoch in gone) == (epoch not in best and not (every and epoch % every == 0))
    assert set(gone) <= set(until[:-last] if last else ())


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"keep_last": 1}, [4]),
        ({"keep_last": 1, "keep_every": 2}, [2, 4]),
        ({"keep_last": 2, "keep_every": 3}, [3, 4]),
        ({"keep_every": 2}, [1, 2, 3, 4]),
    ],
)
def test_the_newest_stay_and_those_at_an_interval(config: Config, tmp_path: Path, settings: dict, kept: list) -> None:
    train(config(checkpointer=settings))
    assert [version.epoch for version in list_versions(tmp_path / "tiny")] == kept


def test_the_best_evaluations_are_saved_and_stay_and_have_a_name(config: Config, tmp_path: Path) -> None:
    settings = {"epoch_interval": 100, "keep_last": 1, "keep_best": 2}
    assert train(config(checkpointer=settings, trainer={"total_timesteps": 4096}, **EVALUATED)).finished
    rows = read_metrics(tmp_path / "tiny" / "metrics.jsonl")
    ranked = sorted(((row["metric/epoch"], row[METRIC]) for row in rows), key=lambda row: (-row[1], row[0]))
    assert {version.epoch for version in list_versions(tmp_path / "tiny")} == {ranked[0][0], ranked[1][0], 8}
    best = json.loads((tmp_path / "tiny" / "best.json").read_text())
    assert best == {"epoch": ranked[0][0], "metric": METRIC, "value": ranked[0][1]}
    assert find_bundle("tiny:best", tmp_path).epoch == ranked[0][0]
    assert find_bundle(f"{tmp_path}/tiny:best").epoch == ranked[0][0]


def test_a_run_that_goes_on_remembers_which_were_the_best(config: Config, tmp_path: Path) -> None:
    ends = {}
    for run, totals in {"whole": [4096], "parts": [1536, 2560, 4096]}.items():
        for total in totals:
            changes = {"trainer": {"total_timesteps": total, **UNSCHEDULED}, **EVALUATED}
            train(config(run=run, checkpointer={"keep_last": 1, "keep_best": 3}, **changes))
        ends[run] = load_snapshot(tmp_path / run / "trainer_state" / "v8").ranking
    assert ends["whole"] == ends["parts"] and len(ends["whole"].entries) == 3


def test_by_another_metric_the_ranking_begins_anew(config: Config, tmp_path: Path) -> None:
    other = "eval_training/training/reward"
    for total, metric in ((1024, None), (2048, other)):
        changes = {"trainer": {"total_timesteps": total}, **EVALUATED}
        train(config(checkpointer={"best_metric": metric, "keep_best": 9}, **changes))
    ranking = load_snapshot(tmp_path / "tiny" / "trainer_state" / "v4").ranking
    assert ranking.metric == other and ranking.epochs == {3, 4}


def test_a_metric_that_no_evaluation_has_is_named_with_the_nearest(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {"trainer": {"total_timesteps": 1024}, **EVALUATED}
    train(config(run="odd", checkpointer={"best_metric": "eval_training/rewards"}, **changes))
    err = capsys.readouterr().err
    assert err.count("best_metric=eval_training/rewards: no evaluation has it (did you mean eval_training/reward,") == 1


def test_nothing_is_the_best_where_none_is_looked_for(config: Config, tmp_path: Path) -> None:
    train(config(checkpointer={"keep_best": 0, "epoch_interval": 100}, **EVALUATED))
    assert [version.epoch for version in list_versions(tmp_path / "tiny")] == [4]
    with pytest.raises(UserError, match=r"tiny:best: run tiny has no best checkpoint: .*tiny:latest is its newest"):
        find_bundle("tiny:best", tmp_path)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"\xff", b"{}", b'{"epoch": "5"}', b'{"epoch": true}', b'{"epoch": -1}', b"[" * 9000,
             b'{"epoch": 1' + b"0" * 5000 + b"}"],
)  # fmt: skip
def test_a_best_of_any_bytes_is_one_line(config: Config, tmp_path: Path, data: bytes) -> None:
    train(config(trainer={"total_timesteps": 512}))
    (tmp_path / "tiny" / "best.json").write_bytes(data)
    with pytest.raises(UserError, match=r"tiny/best\.json: damaged, it names no epoch"):
        find_bundle("tiny:best", tmp_path)


def test_a_best_that_is_gone_is_named_with_what_is_there(config: Config, tmp_path: Path) -> None:
    train(config(trainer={"total_timesteps": 512}))
    (tmp_path / "tiny" / "best.json").write_text('{"epoch": 7}')
    with pytest.raises(UserError, match=r"tiny:best: run tiny has no checkpoint v7.*it has v1"):
        find_bundle("tiny:best", tmp_path)
