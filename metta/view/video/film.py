"""A replay as a video: MP4, which players and chats show, or GIF, which pages show by themselves."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from metta.common.errors import UserError
from metta.common.files import ensure_new, partial
from metta.eval.replay.file import Replay, read_replay
from metta.view.live import STEPS_PER_SECOND
from metta.view.video.course import course_of
from metta.view.video.frames import Painter

LONGEST = 40.0  # seconds of a video whose pace is not given
SAMPLES = 6  # frames from which a GIF takes its colours
HOLD = 1.5  # seconds that the last frame stays


@dataclass(frozen=True)
class Film:
    """The frames of a replay: `count` of them, each `steps` after the one before, `rate` of them a second."""

    replay: Replay
    side: int  # most pixels of the map
    rate: int
    steps: float
    count: int

    def frames(self, every: int = 1) -> Iterator[Image.Image]:
        painter = Painter(self.replay, course_of(self.replay), self.side)
        states = (state for chunk in range(len(self.replay.chunks)) for state in self.replay.states(chunk))
        at, before = 0, next(states)
        after = next(states, before)
        for number in range(0, self.count, every):
            position = min(float(self.replay.steps), number * self.steps)
            while at < int(position):
                at, before = at + 1, after
                after = next(states, after)
            yield painter.paint(before, after, position)


@dataclass(frozen=True)
class Kind:
    """How files of a kind are made."""

    rate: int  # frames per second
    side: int  # most pixels of the map
    write: Callable[[Path, Film], None]
    needs: str = ""  # a library that is not always installed


def write_video(path: Path, out: Path, speed: float | None = None) -> float:
    """Write the replay file `path` as a video; its kind is that of the ending. Returns its length in seconds.

    `speed` 1 are 8 steps per second; by default a video takes 40 seconds at most. Raises UserError for a damaged
    replay, another ending, a file that exists or cannot be written, and where the library for MP4 is not installed.
    """
    kind = KINDS.get(out.suffix.lower())
    if kind is None:
        raise UserError(f"{out}: a video ends in {' or '.join(KINDS)}")
    if kind.needs and find_spec(kind.needs) is None:
        raise UserError(f"{out}: MP4 needs PyAV, which is not installed: pip install 'metta[video]', or write a .gif")
    replay = read_replay(path).check()
    ensure_new(out)
    pace = STEPS_PER_SECOND * (speed or max(1.0, replay.steps / STEPS_PER_SECOND / LONGEST))
    film = Film(replay, kind.side, kind.rate, pace / kind.rate, 1 + round((replay.steps / pace + HOLD) * kind.rate))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        kind.write(partial(out), film)
        partial(out).replace(out)
    except OSError as error:
        raise UserError(f"{out}: the video cannot be written ({error.strerror or error})") from None
    finally:
        if partial(out).exists():
            partial(out).unlink()
    return film.count / film.rate


def _write_mp4(out: Path, film: Film) -> None:
    """H.264 as every player shows it."""
    import av

    with av.open(str(out), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=film.rate, options={"crf": "20", "preset": "veryfast"})
        for number, picture in enumerate(film.frames()):
            if number == 0:
                stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode(None))


def _write_gif(out: Path, film: Film) -> None:
    """One table of colours for all frames, and of each frame only what has changed."""
    some = list(film.frames(every=max(1, film.count // SAMPLES)))
    strip = Image.new("RGB", (some[0].width, some[0].height * len(some)))
    for number, picture in enumerate(some):
        strip.paste(picture, (0, number * picture.height))
    table = strip.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    drawn = (picture.quantize(palette=table, dither=Image.Dither.NONE) for picture in film.frames())
    length = 100 // film.rate * 10  # milliseconds: the format counts hundredths of a second
    next(drawn).save(out, "GIF", save_all=True, append_images=drawn, duration=length, loop=0, optimize=False)


KINDS = {".mp4": Kind(30, 960, _write_mp4, "av"), ".gif": Kind(10, 500, _write_gif)}
