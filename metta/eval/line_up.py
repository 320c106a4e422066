"""The policies of an evaluation, from what a user calls them to players of matches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from metta.common.digests import SHOWN, digest
from metta.common.errors import UserError
from metta.eval.entries import Entry, share_seats
from metta.eval.match import Match, Player, engine_version
from metta.eval.playing import close_policies
from metta.eval.settings import PlayerSettings
from metta.game.mission import Mission
from metta.game.observation import EnvInfo, env_info
from metta.policy.hosted.client import HostedPolicy
from metta.policy.hosted.process import Hosting
from metta.policy.interface import Policy
from metta.policy.stored.uri import FoundPolicy, find_policy


@dataclass(frozen=True)
class _Known:
    """A policy as it was when it was first asked for."""

    found: FoundPolicy
    name: str  # what it calls itself; of a net its version
    content: str  # digest of all that decides what it does


class LineUp:
    """The policies of an evaluation, by URI. Each is read once: everyone plays what lay there when it began."""

    def __init__(self, settings: PlayerSettings) -> None:
        """Raises UserError for a device that is not there."""
        from metta.rl.machine import choose_device  # here because torch is slow to import

        self._settings, self._device = settings, choose_device(settings.device)
        self._known: dict[str, _Known] = {}
        self._engine = engine_version()

    def seat(self, mission: Mission, entries: Sequence[Entry]) -> tuple[Player, ...]:
        """The entries as players of a mission. Raises UserError for a policy that there is not, or that cannot play
        it, and for too few agents."""
        info, shared = env_info(mission), share_seats(entries, mission)
        players = []
        for entry, seats in zip(entries, shared, strict=True):
            known = self._learn(entry.uri, replace(info, num_agents=seats))
            players.append(
                Player(
                    policy=known.content,
                    seats=seats,
                    team=entry.team,
                    name=known.name,
                    uri=entry.uri,
                    proportion=entry.proportion,
                )
            )
        return tuple(players)

    def match(self, mission: Mission, players: Sequence[Player], seeds: Sequence[int], maps: Sequence[int]) -> Match:
        """A match of such players, on seeds and those of their maps."""
        return Match(
            mission=mission,
            players=tuple(players),
            seeds=tuple(seeds),
            map_seeds=tuple(maps),
            action_timeout_ms=self._settings.action_timeout_ms,
            engine=self._engine,
        )

    def found(self, match: Match, others: Sequence[str] = ()) -> Match:
        """The match with the URIs at which its policies are here: those that it names, else one of `others`.

        Raises UserError for a policy that is at none of them, and as `seat`.
        """
        info, players = env_info(match.mission), []
        for player in match.players:
            here = {
                uri: self._learn(uri, replace(info, num_agents=player.seats)) for uri in (player.uri, *others) if uri
            }
            if not (same := [uri for uri, known in here.items() if known.content == player.policy]):
                there = ", ".join(f"{uri} is {known.content[:SHOWN]}" for uri, known in here.items())
                raise UserError(f"policy {player.name} ({player.policy[:SHOWN]}) is not here: {there}; name it with -p")
            players.append(player.model_copy(update={"uri": same[0]}))
        return match.model_copy(update={"players": tuple(players)})

    def build(self, match: Match) -> list[Policy]:
        """The policies of a match, one for each player. Raises UserError for one whose code has changed meanwhile."""
        info, built = env_info(match.mission), []
        try:
            for player in match.players:
                built.append(self._build(player.uri, replace(info, num_agents=player.seats)))
        except BaseException:
            close_policies(built)
            raise
        return built

    def _learn(self, uri: str, info: EnvInfo) -> _Known:
        """The policy of a URI, built once to see that it can play."""
        if uri not in self._known:
            close_policies([self._build(uri, info)])
        return self._known[uri]

    def _build(self, uri: str, info: EnvInfo) -> Policy:
        known = self._known.get(uri)
        found = known.found if known else self._find(uri, info)
        policy = found.build(info)
        imported = policy.content if found.imports and isinstance(policy, HostedPolicy) else None
        content = digest(found.content, imported) if imported else found.content
        if known and known.content != content:
            close_policies([policy])
            raise UserError(f"{uri}: changed while it played: {known.content[:SHOWN]} before, {content[:SHOWN]} now")
        self._known[uri] = known or _Known(found, policy.name, content)
        return policy

    def _find(self, uri: str, info: EnvInfo) -> FoundPolicy:
        settings = self._settings
        return find_policy(
            uri,
            info,
            settings.data_dir,
            self._device,
            trust_pickle=settings.trust_pickle,
            trust_code=settings.trust_code,
            hosting=Hosting(settings.action_timeout_ms),
        )
