"""The command that plays kept results again and compares."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metta.cli.jobs import Instead, instead
from metta.cli.options import Device, Output, Policies, TrustCode, TrustPickle
from metta.cli.output import Format, show, table
from metta.common.documents import as_text
from metta.common.settings import validated

if TYPE_CHECKING:
    from metta.eval.match import Match
    from metta.eval.verification import Verdict

SCHEMA_VERSION = 1


def verify(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="file of an evaluation, which --out wrote")],
    policy: Policies = None,
    replays: Annotated[
        Path | None, typer.Option(help="folder of its replays: their actions are played, not the policies")
    ] = None,
    output: Output = Format.table,
    device: Device = "auto",
    trust_code: TrustCode = False,
    trust_pickle: TrustPickle = False,
) -> int:
    """Play the episodes of a file again and compare, bit by bit. Exit code 1: they differ."""
    from metta.eval.settings import PlayerSettings

    said = {"device": device, "trust_code": trust_code, "trust_pickle": trust_pickle}
    settings = validated(PlayerSettings, said, "")
    if instead(context) is Instead.print:
        print(as_text("yaml", {"file": str(file), "policies": policy or [], **settings.model_dump(mode="json")}))
        return 0
    from metta.eval.contest import prepare
    from metta.eval.store import read_out_file
    from metta.eval.verification import verify_file

    matches, results = read_out_file(file)
    if instead(context) is Instead.check:
        print(f"verify {file}: {sum(len(result.episodes) for result in results)} episodes of {len(matches)} matches")
        return 0
    verdicts = verify_file(matches, results, prepare(settings), policy or [], replays)
    document = {
        "schema_version": SCHEMA_VERSION,
        "same": all(verdict.same for _, verdict in verdicts),
        "matches": [_document(match, verdict) for match, verdict in verdicts],
    }
    show(output, document, lambda: _table(verdicts))
    return 0 if document["same"] else 1


def _document(match: "Match", verdict: "Verdict") -> dict[str, Any]:
    return {
        "mission_name": match.mission.name,
        "policies": [{"policy_name": player.name, "policy_sha256": player.policy} for player in match.players],
        "seeds": list(match.seeds),
        "match_sha256": match.digest,
        "result_sha256": verdict.expected,
        "found_sha256": verdict.found,
        "same": verdict.same,
        "differences": list(verdict.differences),
    }


def _table(verdicts: "list[tuple[Match, Verdict]]") -> Any:
    from metta.common.digests import SHOWN

    rows = [
        (
            match.mission.name,
            " + ".join(player.name for player in match.players),
            f"{match.seeds[0]} to {match.seeds[-1]}",
            verdict.expected[:SHOWN],
            "the same" if verdict.same else f"{verdict.found[:SHOWN]}: {'; '.join(verdict.differences)}",
        )
        for match, verdict in verdicts
    ]
    return table(("mission", "policies", "seeds", "result", "played again"), rows)
