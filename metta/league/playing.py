"""What a worker does with a job: builds the policies of its bundles, plays, and says what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from metta.common.digests import digest
from metta.common.errors import UserError
from metta.eval.match import Match, MatchResult
from metta.eval.playing import Progress, close_policies, keep_in, play_match
from metta.game.observation import env_info
from metta.policy.hosted.client import HostedPolicy
from metta.policy.hosted.process import Hosting
from metta.policy.interface import Policy
from metta.policy.neural import NeuralPolicy
from metta.policy.stored.bundle import NoNetError
from metta.policy.stored.uri import find_policy

NO_CODE = "it holds code of its own, and the workers of this league run none (cogames league worker --trust-code does)"


class CulpritError(UserError):
    """A policy that cannot play, by its number in the match."""

    def __init__(self, place: int, reason: str) -> None:
        super().__init__(reason)
        self.place = place


@dataclass(frozen=True)
class Seated:
    """A policy that is ready to play, and the digest of all that decides what it does."""

    policy: Policy
    digest: str

    @property
    def kind(self) -> str:
        """net, script or code."""
        if isinstance(self.policy, HostedPolicy):
            return "code"
        return "net" if isinstance(self.policy, NeuralPolicy) else "script"


def seat(match: Match, bundles: Sequence[tuple[str, Path]], trust_code: bool) -> list[Seated]:
    """The policies of a match from their bundles (name and file). Raises CulpritError for one that cannot play."""
    info, seated = env_info(match.mission), []
    try:
        for place, (player, (name, path)) in enumerate(zip(match.players, bundles, strict=True)):
            try:
                hosting = Hosting(match.action_timeout_ms)
                found = find_policy(str(path), info, trust_code=trust_code, hosting=hosting)
                policy = found.build(replace(info, num_agents=player.seats))
            except NoNetError as error:
                raise CulpritError(place, NO_CODE if not trust_code else _told(error, name, path)) from None
            except UserError as error:
                raise CulpritError(place, _told(error, name, path)) from None
            content = digest(found.content, policy.content) if isinstance(policy, HostedPolicy) else found.content
            seated.append(Seated(policy, content))
    except BaseException:
        close_policies([one.policy for one in seated])
        raise
    return seated


def _told(error: UserError, name: str, path: Path) -> str:
    """What is wrong with a bundle, in words that tell nothing of where it lay."""
    return str(error).replace(str(path), name).replace(path.name, name)


def play(match: Match, seated: Sequence[Seated], progress: Progress, replays: Path | None) -> MatchResult:
    """The result of a match; replays of its episodes are put into a folder. Raises UserError where other policies came
    than were planned."""
    for player, one in zip(match.players, seated, strict=True):
        if player.policy != one.digest:
            raise UserError(f"{player.name}: is not what was validated ({one.digest[:8]}, not {player.policy[:8]})")
    policies = [one.policy for one in seated]
    return play_match(match, policies, progress, **({"record": keep_in(replays)} if replays else {}))


def try_out(match: Match, one: Seated) -> str | None:
    """Why a policy cannot take part: what went wrong in a few steps. None where nothing did."""
    result = play_match(match, [one.policy])
    if not any(result.faults):
        return None
    return "; ".join(result.messages) or f"did not act in some of {match.max_steps} steps"
