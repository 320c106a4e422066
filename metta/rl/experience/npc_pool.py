"""Whom the learning agents meet: policies by name, how often each is drawn, and how episodes with it went."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metta.common.errors import UserError
from metta.common.logging import note, warn
from metta.common.seeds import derive
from metta.policy.interface import Info, Policy
from metta.policy.machine_settings import MachineSettings
from metta.policy.neural import NeuralPolicy
from metta.policy.stored.uri import CHECKPOINTS, SCHEME, is_built_in, list_versions, make_policy
from metta.rl.experience.environments import Source, for_agents
from metta.rl.experience.npc_settings import STARTER, DualPolicySettings, NpcSettings
from metta.rl.run.metrics import Metrics
from metta.rl.settings import RunConfig
from metta.rl.world import ALONE, World

WANDB = "wandb://"
SLOW, FAST = 0.02, 0.1  # weights of the newest episode in moving means, once there are many
KNOWN = 10  # episodes after which an NPC's progress counts
LEAST = 0.05  # weight, in a prioritised league, of a checkpoint that is always beaten
METRIC = "dual_policy/opponent"


@dataclass(frozen=True)
class Npc:
    """A frozen policy."""

    name: str  # in reports
    uri: str
    policy: Policy


@dataclass
class Record:
    """Whole episodes with one NPC: how many, and moving means over them, of the return per agent."""

    episodes: int = 0
    reward: float = 0.0  # of the learning agents, over many episodes
    newer_reward: float = 0.0  # the same over fewer
    npc_reward: float = 0.0
    win_rate: float = 0.5  # episodes in which the learning agents had more; equal ones count half

    def add(self, reward: float, npc_reward: float) -> None:
        """Count an episode."""
        self.episodes += 1
        won = 0.5 if reward == npc_reward else float(reward > npc_reward)
        self.reward = self._moved(self.reward, reward, SLOW)
        self.newer_reward = self._moved(self.newer_reward, reward, FAST)
        self.npc_reward = self._moved(self.npc_reward, npc_reward, SLOW)
        self.win_rate = self._moved(self.win_rate, won, SLOW)

    def _moved(self, mean: float, newest: float, rate: float) -> float:
        """The mean with the newest value, which counts 1 / episodes until that is less than the rate."""
        return mean + max(1 / self.episodes, rate) * (newest - mean)

    @property
    def progress(self) -> float:
        """How fast the reward against the NPC changes."""
        return abs(self.newer_reward - self.reward)


class NpcPool:
    """The NPCs that are named and, in a league, past checkpoints of the run. An NPC's index never changes, and is the
    same on all processes."""

    def __init__(
        self, settings: DualPolicySettings, load: Callable[[str], Policy], run: Path, epoch_interval: int, seed: int
    ) -> None:
        """Load the NPCs that are named; `run` is the folder with the league's checkpoints, of which those saved every
        `epoch_interval` epochs count, and draws by `seed` where there are too many. Raise UserError for one that cannot
        be loaded or cannot play."""
        self.settings, self.records = settings, dict[str, Record]()
        self._load, self._run, self._interval, self._seed = load, run, epoch_interval, seed
        self._saved: list[int] | None = None  # epochs with a checkpoint; None: those that are on disk
        self._names: list[str] = []
        self._here: dict[str, Npc] = {}
        self._league: list[str] = []  # those at hand
        self._newest = 0  # epoch of the newest checkpoint when the league was drawn
        self._named: dict[str, NpcSettings] = {}
        for npc in settings.npcs:
            name = self._free_name(short_name(npc.path))
            self._add(Npc(name, npc.path, load(npc.path)))
            self._named[name] = npc

    def __getitem__(self, index: int) -> Npc:
        return self._here[self._names[index]]

    @property
    def at_hand(self) -> list[Npc]:
        return list(self._here.values())

    def publish(self, epoch: int) -> None:
        """Take note of a checkpoint saved after so many epochs. Those that an interruption saved do not count."""
        if self._saved is not None and epoch % self._interval == 0 and epoch not in self._saved:
            self._saved.append(epoch)

    def begin(self, epoch: int, playing: Iterable[int], world: World = ALONE) -> Metrics:
        """Bring the league up to the checkpoints of `epoch` and weigh all anew; who neither belongs to it nor is
        `playing` on any process is let go. The probabilities are reported."""
        if self.settings.league.mode != "off":
            self._draw_league(epoch, world)
        named = {name: npc.weight for name, npc in self._named.items()}
        wanted = {**named, **dict.fromkeys(self._league, self.settings.league.weight)}
        if not wanted:
            self._take(STARTER)
        weights = {name: weight * self._factor(name) for name, weight in (wanted or {STARTER: 1.0}).items()}
        self._candidates = np.array([index for index, name in enumerate(self._names) if weights.get(name)])
        self._bounds = np.cumsum([weights[self._names[index]] for index in self._candidates])
        kept = {*weights, *(self._names[index] for index in playing)}
        self._here = {name: npc for name, npc in self._here.items() if name in kept}
        total = sum(weights.values())
        return {f"{METRIC}/{name}/probability": weight / total for name, weight in weights.items()}

    def choose(self, draws: np.ndarray) -> np.ndarray:
        """Indices of NPCs for episodes, int64 [n], by weight; `draws` are uniform in [0, 1), float64 [n]."""
        return self._candidates[np.searchsorted(self._bounds[:-1], draws * self._bounds[-1], side="right")]

    def count(self, index: int, reward: float, npc_reward: float) -> None:
        """Note a whole episode with an NPC."""
        self.records.setdefault(self._names[index], Record()).add(reward, npc_reward)

    def _factor(self, name: str) -> float:
        """What past episodes make of an NPC's weight."""
        factor = 1.0
        if self.settings.league.mode == "prioritized" and name in self._league:
            # Prioritised fictitious self-play (Vinyals et al. 2019).
            factor *= (1 - self.records.get(name, Record()).win_rate) ** 2 + LEAST
        if self.settings.adaptive.enabled:
            floor = self.settings.adaptive.floor
            factor *= floor + (1 - floor) * self._progress(name)
        return factor

    def _progress(self, name: str) -> float:
        """Learning progress against an NPC as a share of the most there is, 1 for one hardly met yet (Matiisen et
        al. 2019): where it is small the NPC is mastered, or still too strong."""
        known = {other: record.progress for other, record in self.records.items() if record.episodes >= KNOWN}
        return known[name] / max(known.values()) if name in known and any(known.values()) else 1.0

    def _draw_league(self, epoch: int, world: World) -> None:
        league = self.settings.league
        if self._saved is None:
            on_disk = [version.epoch for version in list_versions(self._run) if version.epoch <= epoch]
            self._saved = world.of_leader(on_disk)
        epochs = sorted(saved for saved in self._saved if saved <= epoch and saved % self._interval == 0)
        if not epochs or epochs[-1] == self._newest:
            return
        self._newest = epochs[-1]
        names = [name for saved in epochs if (name := f"{self._run.name}:v{saved}") not in self._named]
        if league.mode == "latest":
            names = names[-league.size :]
        elif len(names) > league.size:
            generator = torch.Generator().manual_seed(derive(self._seed, "league", self._newest))
            chosen = torch.randperm(len(names), generator=generator)[: league.size]
            names = [names[index] for index in sorted(chosen.tolist())]
        self._league = [name for name in names if self._try(name, world)]

    def _try(self, name: str, world: World) -> bool:
        """Load a checkpoint of the league; one that is damaged, for any process, costs a warning."""
        npc = None
        try:
            npc = self._found(name)
        except UserError as error:
            warn(f"league: {error}; left out")
        if world.any(npc is None):
            return False
        assert npc is not None
        self._add(npc)
        return True

    def _take(self, name: str) -> None:
        """Load what nobody named: a checkpoint of the run, or what plays before there is one."""
        self._add(self._found(name))

    def _found(self, name: str) -> Npc:
        if name in self._here:
            return self._here[name]
        uri = STARTER if name == STARTER else str(self._run / CHECKPOINTS / name)
        return Npc(name, uri, self._load(uri))

    def _add(self, npc: Npc) -> None:
        self._here[npc.name] = npc
        if npc.name not in self._names:
            self._names.append(npc.name)

    def _free_name(self, name: str) -> str:
        taken = sum(other == name or other.startswith(f"{name}#") for other in self._names)
        return f"{name}#{taken + 1}" if taken else name

    def state_dict(self) -> dict[str, Any]:
        """Names, records and who must be loaded again, as JSON has it."""
        return {
            "names": self._names,
            "here": list(self._here),
            "records": {name: asdict(record) for name, record in self.records.items()},
            "league": self._league,
            "newest": self._newest,
            "saved": self._saved,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`. Raise UserError if an NPC of then is no longer there."""
        self.records = {name: Record(**record) for name, record in state["records"].items()}
        self._names = list(state["names"])
        for name in state["here"]:
            self._take(name)
        self._league, self._newest, self._saved = list(state["league"]), int(state["newest"]), state.get("saved")


def short_name(uri: str) -> str:
    """How reports call a policy: `cogsguard?gear=10`, `run:v5`."""
    return uri.removeprefix(SCHEME) if is_built_in(uri) else uri.rstrip("/").rsplit("/", 1)[-1]


def load_npc(uri: str, info: Info, machine: MachineSettings, device: torch.device) -> Policy:
    """The policy that plays NPCs where `info` holds. Raise UserError, in one line, if there is none such."""
    try:
        trust_pickle, trust_code = machine.trust_pickle, machine.trust_code
        return make_policy(uri, info, machine.data_dir, device, trust_pickle=trust_pickle, trust_code=trust_code)
    except UserError as error:
        where = "from WandB artifact" if uri.startswith(WANDB) else uri
        raise UserError(f"Could not load NPC policy {where}: {error}") from error


def find_npc_pool(config: RunConfig, source: Source, run: str, device: torch.device) -> NpcPool:
    """The NPCs that the settings name, loaded, with a line for each.

    Raise UserError if one cannot be loaded or cannot play, or is a checkpoint in name only.
    """
    settings, machine = config.trainer.dual_policy, config.system
    if settings.plays_checkpoints and not config.checkpointer.keeps_interval:
        raise UserError(
            "trainer.dual_policy.league plays all checkpoints of the run: leave checkpointer.keep_last out, or add "
            "checkpointer.keep_every=${checkpointer.epoch_interval}"
        )
    agents = source.info.num_agents
    info = for_agents(source.whole_info, agents - settings.learners(agents))

    def load(uri: str) -> Policy:
        return load_npc(uri, info, machine, device)

    folder, seed = Path(machine.data_dir) / run, derive(machine.seed, "npcs")
    pool = NpcPool(settings, load, folder, config.checkpointer.epoch_interval, seed)
    for npc in pool.at_hand:
        uri = npc.uri
        by_checkpoint = settings.npc_type == "checkpoint" and uri == settings.checkpoint_npc.checkpoint_path
        if by_checkpoint and not isinstance(npc.policy, NeuralPolicy):
            raise UserError(
                f"Checkpoint NPC policy must be a PyTorch module: {uri} is none; "
                "trainer.dual_policy.npc_type=scripted plays trainer.dual_policy.scripted_npc.policy_uri"
            )
        artifact = f" from WandB artifact: {uri.removeprefix(WANDB)}" if uri.startswith(WANDB) else f": {uri}"
        note(f"INFO: Loaded NPC policy{artifact}")
    return pool
