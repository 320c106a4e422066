"""Which of several watchers steers a match: one holds the controls, the others may ask for them."""

import time
from dataclasses import dataclass, field

PATIENCE = 10.0  # seconds in which the one who holds them may refuse


@dataclass
class Controls:
    """Who came first holds the controls until it leaves, hands them over, or does not answer who asks for them."""

    patience: float = PATIENCE
    asking: int | None = None
    _watchers: list[int] = field(default_factory=list)  # in the order in which they get the controls
    _until: float = 0.0
    _joined: int = 0

    @property
    def holder(self) -> int | None:
        return self._watchers[0] if self._watchers else None

    @property
    def wait(self) -> float | None:
        """Seconds until the controls go to the one who asks; None where nobody does."""
        return None if self.asking is None else max(0.0, self._until - time.monotonic())

    def join(self) -> int:
        """The number of a new watcher."""
        self._joined += 1
        self._watchers.append(self._joined)
        return self._joined

    def leave(self, watcher: int) -> None:
        if watcher in self._watchers:
            self._watchers.remove(watcher)
        if self.asking in (watcher, self.holder):
            self.asking = None

    def ask(self, watcher: int) -> None:
        if watcher in self._watchers[1:] and self.asking is None:
            self.asking, self._until = watcher, time.monotonic() + self.patience

    def answer(self, give: bool) -> None:
        """What the one who holds the controls says to the one who asks."""
        if give and self.asking is not None:
            self._watchers.remove(self.asking)
            self._watchers.insert(0, self.asking)
        self.asking = None

    def pass_on(self) -> None:
        """Hand the controls over if nobody refused in time."""
        if self.wait == 0.0:
            self.answer(give=True)

    def told_to(self, watcher: int) -> dict[str, bool]:
        """How it stands for a watcher: whether it holds the controls, is asked for them, or asks."""
        holds = watcher == self.holder
        return {"holds": holds, "asked": holds and self.asking is not None, "asking": watcher == self.asking}
