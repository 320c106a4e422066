"""Replays as videos."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metta.common.errors import UserError
from metta.eval.replay.file import Replay, read_replay
from metta.view.palette import PALETTE, looks_of
from metta.view.video.course import course_of
from metta.view.video.drawing import rgba
from metta.view.video.film import write_video
from metta.view.video.frames import Painter
from tests.view.conftest import Played, make_match, play


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return play(make_match(steps=60), tmp_path_factory.mktemp("short") / "short.replay").path


def frame(replay: Replay, step: int, side: int = 480) -> tuple[Painter, np.ndarray]:
    painter = Painter(replay, course_of(replay), side)
    return painter, np.asarray(painter.paint(replay.state(step), replay.state(step), step)).astype(int)


def test_a_gif_shows_the_replay_at_the_pace_that_is_asked_for(short: Path, tmp_path: Path):
    seconds = write_video(short, tmp_path / "short.gif", speed=4)
    with Image.open(tmp_path / "short.gif") as film:
        assert film.format == "GIF" and 60 / 32 + 1.4 < seconds < 60 / 32 + 1.7  # the last frame stays
        first, lengths = np.asarray(film.convert("RGB")).astype(int), []
        for number in range(film.n_frames):
            film.seek(number)
            lengths.append(film.info["duration"])
        assert sum(lengths) == round(1000 * seconds) and len(lengths) > 15
        assert np.abs(np.asarray(film.convert("RGB")) - first).max() > 50


def test_an_mp4_shows_the_replay(short: Path, tmp_path: Path):
    av = pytest.importorskip("av", reason="PyAV is not installed")
    seconds = write_video(short, tmp_path / "short.mp4")
    with av.open(str(tmp_path / "short.mp4")) as film:
        stream = film.streams.video[0]
        frames = [picture.to_ndarray(format="rgb24").astype(int) for picture in film.decode(stream)]
        assert stream.codec_context.name == "h264" and stream.average_rate == 30 and len(frames) == round(30 * seconds)
    _, drawn = frame(read_replay(short), 0, side=960)
    assert frames[0].shape == drawn.shape and np.abs(frames[0] - drawn).mean() < 6


def test_what_is_drawn_is_where_the_replay_says(played: Played):
    replay = read_replay(played.path)
    header, look = replay.header, looks_of(replay.header.collectives)
    painter, picture = frame(replay, 400)
    objects = replay.state(400)[len(header.agents) * header.agent_width :].reshape(-1, 1)[: 2 * len(header.objects)]
    owners = objects.reshape(-1, 2)[:, 0]
    cogs = {tuple(place) for place in replay.state(400)[: 8 * header.agent_width].reshape(8, -1)[:, :2].tolist()}
    for thing, owner in zip(header.objects, owners, strict=True):
        if header.types[thing.type].name != "junction" or owner < 0 or (thing.row, thing.col) in cogs:
            continue
        x, y = map(int, painter.pixel(thing.row, thing.col))
        colour = np.array(rgba(look[header.collectives[owner]].dark)[:3])
        assert np.abs(picture[y, x] - colour).max() < 60, (thing, owner)


def test_a_cog_is_drawn_on_its_way_between_two_steps(played: Played):
    replay = read_replay(played.path)
    painter = Painter(replay, course_of(replay), 480)
    step = next(s for s in range(300) if abs(replay.state(s + 1)[:2] - replay.state(s)[:2]).sum() == 1)
    before, after = replay.state(step), replay.state(step + 1)
    still, moving = (np.asarray(painter.paint(before, after, step + t)).astype(int) for t in (0.0, 0.5))
    x, y = map(int, painter.pixel(*((before[:2] + after[:2]) / 2)))
    assert np.abs(still[y - 2 : y + 3, x - 2 : x + 3] - moving[y - 2 : y + 3, x - 2 : x + 3]).max() > 40


def test_the_course_tells_scores_and_junctions_as_the_game_does(played: Played):
    course = course_of(read_replay(played.path))
    header = played.match.recording.header
    team = header.agents[0].team
    assert course.scores[-1][team] == pytest.approx(played.match.returns.mean(), abs=1e-3)
    states = played.match.batch.object_states()[0]
    junctions = [header.types[thing.type].name == "junction" for thing in header.objects]
    assert course.held[-1][team] == (states[junctions, 0] == team).sum()
    assert len(course.changes) > 50 and course.changes[0].step >= 1


def test_two_teams_and_a_map_without_clips_are_drawn(tmp_path: Path):
    teams = {"red": {"num_agents": 2}, "blue": {"num_agents": 1}}
    replay = read_replay(play(make_match(steps=5, teams=teams), tmp_path / "teams.replay").path)
    painter, picture = frame(replay, 5)
    assert picture.shape == (painter.height, painter.width, 3) and painter.height % 2 == painter.width % 2 == 0
    assert (np.abs(picture - rgba(PALETTE.ink["panel"].dark)[:3]).max(-1) > 100).sum() > 1000


def test_what_cannot_be_written_is_told_in_one_line(short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "there.gif").write_text("mine")
    (tmp_path / "cut.replay").write_bytes(short.read_bytes()[:3000])
    for replay, out, why in (
        (short, "a.avi", r"a\.avi: a video ends in \.mp4 or \.gif$"),
        (short, "there.gif", r"there\.gif exists; it is not overwritten"),
        (short, "there.gif/a.gif", r"a\.gif: the video cannot be written \(.*\)$"),
        (tmp_path / "cut.replay", "b.gif", r"cut\.replay: damaged replay"),
    ):
        with pytest.raises(UserError, match=why):
            write_video(replay, tmp_path / out)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"MP4 needs PyAV, which is not installed: pip install 'metta\[video\]'"):
        write_video(short, tmp_path / "c.mp4")
    assert {path.name for path in tmp_path.iterdir()} == {"there.gif", "cut.replay"}
