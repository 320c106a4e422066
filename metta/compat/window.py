"""Windows smaller than the engine's: of what it writes, the tokens within, in the same order."""

import numpy as np

from metta.compat.config import GameConfig, ObsConfig, StatValue
from metta.compat.errors import NotPlayableError
from metta.compat.observation import GLOBAL, NOTHING
from metta.game.observation import EnvInfo

REACH = EnvInfo.window[0] // 2  # cells from the middle of the engine's window to its edge
TOKENS = EnvInfo.num_tokens
VISITED = "cell.visited"  # counts cells of the engine's window


class Window:
    """The cells around an agent that it sees, and how many tokens of them."""

    def __init__(self, game: GameConfig) -> None:
        """Raises NotPlayableError for sides that are even or larger than the engine's, and for more tokens."""
        obs = game.obs
        for name in ("width", "height"):
            if not (1 <= (side := getattr(obs, name)) <= 2 * REACH + 1 and side % 2):
                raise NotPlayableError(f"game.obs.{name}={side}: this engine shows odd numbers of cells, 1 to 11")
        if not 1 <= obs.num_tokens <= TOKENS:
            raise NotPlayableError(f"game.obs.num_tokens={obs.num_tokens}: this engine shows 1 to {TOKENS}")
        self.shape, self.token_shape = (obs.height, obs.width), (obs.num_tokens, obs.token_dim)
        self.uncounted = () if self.shape == EnvInfo.window else (VISITED,)  # statistics that are of the engine's only
        self.whole = self.shape == EnvInfo.window and obs.num_tokens == TOKENS
        paid = {value.name for agent in game.agents for one in agent.rewards.values() for value in one.nums
                if isinstance(value, StatValue)}  # fmt: skip
        if paid.intersection(self.uncounted):
            raise NotPlayableError(f"game.obs: this engine counts {VISITED}, which is paid, of 11 x 11 cells only")
        self._seen = np.zeros(0, np.uint8)
        self.written = self.dropped = self.free = 0

    def of_engine(self, buffer: np.ndarray) -> np.ndarray:
        """Where the engine writes, uint8 [N, 200, 3]: into the buffer itself where it sees as much."""
        if self.whole:
            return buffer
        if len(self._seen) != len(buffer):
            self._seen = np.zeros((len(buffer), TOKENS, buffer.shape[-1]), np.uint8)
        return self._seen

    def show(self, buffer: np.ndarray) -> None:
        """Write what the engine wrote, as far as it lies within, into the buffer, uint8 [N, tokens, 3]."""
        if self.whole:
            return
        place = self._seen[..., 0].astype(np.int64)
        rows, cols = (place >> 4) - REACH, (place & 15) - REACH
        down, right = (side // 2 for side in self.shape)
        within = (abs(rows) <= down) & (abs(cols) <= right)
        kept = within | (place == GLOBAL)
        order = np.argsort(~kept, axis=1, kind="stable")[:, : buffer.shape[1]]
        moved = self._seen.copy()
        moved[..., 0] = np.where(within, (rows + down) << 4 | (cols + right), place)
        buffer[:] = np.take_along_axis(moved, order[..., None], 1)
        counts = kept.sum(1)
        buffer[np.arange(buffer.shape[1]) >= counts[:, None]] = NOTHING
        there = np.minimum(counts, buffer.shape[1])
        self.written += int(there.sum())
        self.dropped += int((counts - there).sum())
        self.free += int((buffer.shape[1] - there).sum())

    def begin(self) -> None:
        """An episode begins."""
        self.written = self.dropped = self.free = 0

    def statistics(self) -> dict[str, float]:
        """The game's statistics of tokens, where they are not the engine's."""
        if self.whole:
            return {}
        counts = {"written": self.written, "dropped": self.dropped, "free_space": self.free}
        return {f"tokens_{name}": float(count) for name, count in counts.items()}


def usual(obs: ObsConfig) -> ObsConfig:
    """The same with the engine's window."""
    height, width = EnvInfo.window
    return obs.model_copy(update={"height": height, "width": width, "num_tokens": TOKENS})
