"""Commands of who takes part in a league: log in, upload, submit, and look at what came of it."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metta.cli.league_options import (
    SERVER,
    AsJson,
    Hidden,
    LoginServer,
    Season,
    Server,
    client,
    moment,
    print_json,
    split_policy,
    told,
)
from metta.cli.options import (
    CHECKPOINTS,
    POLICY,
    Checkpoints,
    IncludeFiles,
    InitKwarg,
    SetupScript,
    complete_policy,
)
from metta.cli.output import Format, show, table
from metta.common.errors import UserError, suggest
from metta.league.names import check_policy_name, check_secrets, match_path, season_path

if TYPE_CHECKING:
    from metta.league.client import Client

STILL = "no more are played: the league's code has changed, its keeper is to begin a new version of the season"
PAGE = 1000  # versions that the server is asked for at a time
AT_ONCE = 100  # versions, the newest, whose matches it is asked for at a time
Named = Annotated[str | None, typer.Option("-p", "--policy", help="only this policy: NAME or NAME:v3")]


def upload(
    context: typer.Context,
    policy: Annotated[str, typer.Option("-p", "--policy", help=POLICY, autocompletion=complete_policy)],
    name: Annotated[str, typer.Option("-n", "--name", help="name of the policy in the league")],
    init_kwarg: InitKwarg = None,
    include_files: IncludeFiles = None,
    setup_script: SetupScript = None,
    season: Season = None,
    no_submit: Annotated[bool, typer.Option("--no-submit", help="enter no season")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="try it out, upload nothing")] = False,
    skip_validation: Annotated[bool, typer.Option("--skip-validation", help="do not try it out here first")] = False,
    secret_env: Annotated[
        list[str] | None,
        typer.Option("--secret-env", help="NAME=VALUE in the environment of its process alone, or NAME of yours"),
    ] = None,
    checkpoints: Checkpoints = CHECKPOINTS,
    server: Server = SERVER,
    login_server: LoginServer = None,
) -> None:
    """Pack a policy, try it out for some steps, upload it, and enter it in a season."""
    check_policy_name(name)
    kwargs = [] if init_kwarg is None else init_kwarg
    words = {"policy": policy, "name": name, "season": season, "submit": not no_submit, "server": server}
    if told(context, words):
        return
    from metta.cli.policies import pairs
    from metta.policy.hosted.submission import create_bundle

    asked = None if dry_run and not season else client(server, login_server)
    if asked:
        asked.get("/whoami")  # a token that is no good is told of before anything is packed
    entered = None if asked is None else season_of(asked, season)
    secrets = _secrets(secret_env or [])
    os.environ.update(secrets)  # for the processes here that look at one's own code without a sandbox
    with TemporaryDirectory(prefix="metta-upload-") as folder:
        bundle = Path(folder) / "bundle.zip"
        create_bundle(policy, bundle, pairs(kwargs), include_files or [], setup_script, checkpoints)
        if not skip_validation:
            _try_out(asked, entered, bundle, policy, secrets)
        if dry_run or asked is None or entered is None:
            print("Dry run complete: nothing was uploaded")
            return
        done = _upload(asked, bundle, name, None if no_submit else season or entered["name"], secrets)
    print(f"Upload complete: {done['name']}:v{done['version']}")
    if done.get("submit_error"):
        raise UserError(f"uploaded, but not entered in '{entered['name']}': {done['submit_error']}")
    if done.get("retired"):
        print(_already(f"{done['name']}:v{done['version']}", entered["name"], done))
    if done.get("pools"):
        print(f"Added to pools: {', '.join(done['pools'])}\nResults: {asked.server}/seasons/{entered['name']}")
    elif no_submit:
        print(f"To submit to a tournament: cogames submit {done['name']}:v{done['version']}")


def _secrets(texts: list[str]) -> dict[str, str]:
    """What --secret-env says; of a name alone the value is this process's."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals and name not in os.environ:
            raise UserError(f"--secret-env {name}: neither NAME=VALUE nor set here (${name})")
        found[name] = value if equals else os.environ[name]
    check_secrets(found)
    return found


def _upload(asked: "Client", bundle: Path, name: str, season: str | None, secrets: dict[str, str]) -> dict[str, Any]:
    place = asked.post("/stats/policies/submit/presigned-url")
    asked.put_file(place["upload_url"], bundle)
    said = {"upload_id": place["upload_id"], "name": name, "season": season, "policy_secret_env": secrets or None}
    return asked.post("/stats/policies/submit/complete", said)


def season_of(asked: "Client", name: str | None) -> dict[str, Any]:
    """A season of the league; None: the default one."""
    if name is not None:
        return asked.get(season_path(name), include_hidden="true")
    known = asked.get("/tournament/seasons")
    if not known:
        raise UserError(f"{asked.server}: the league has no season; --no-submit cannot help, its keeper can")
    return next((season for season in known if season["is_default"]), known[0])


def season_name(asked: "Client", name: str | None) -> str:
    """A season's name as it was given; the default one's where none was. The server is not asked about a given one."""
    return season_of(asked, None)["name"] if name is None else name


def _try_out(
    asked: "Client | None", season: dict[str, Any] | None, bundle: Path, policy: str, secrets: dict[str, str]
) -> None:
    """Play some steps of what the season plays, in the league's sandbox where this machine has one. Raises UserError
    for a policy that does not act."""
    from metta.common.defaults import ACTION_TIMEOUT_MS, MISSION
    from metta.common.settings import validated
    from metta.game.mission import Mission
    from metta.game.missions import load_mission
    from metta.league.sandbox.bubblewrap import telling
    from metta.league.sandbox.probe import probe
    from metta.policy.hosted.submission import validate_bundle

    mission, limit = load_mission(MISSION), ACTION_TIMEOUT_MS
    if asked and season:
        pool = next(pool for pool in season["pools"] if pool["name"] == season["entry_pool"])
        config = asked.get(f"/tournament/configs/{pool['config_id']}")
        mission, limit = validated(Mission, config["missions"][0], "season"), config["action_timeout_ms"]
    with telling(probe().sandbox, secrets) as sandbox:
        report = validate_bundle(bundle, mission, action_timeout_ms=limit, sandbox=sandbox)
    if not report.ok:
        raise UserError(f"{policy}: validation failed: {'; '.join(report.lines()[2:-1])}")
    print(f"Validation passed: {report.policy}, {report.steps} steps of {report.mission}")


def submit(
    context: typer.Context,
    policy: Annotated[str, typer.Argument(help="NAME, its newest version, or NAME:v3")],
    season: Season = None,
    server: Server = SERVER,
    login_server: LoginServer = None,
) -> None:
    """Enter a policy that was uploaded in a season."""
    name, version = split_policy(policy)
    if told(context, {"policy": name, "version": version, "season": season, "server": server}):
        return
    asked = client(server, login_server)
    entered = season_name(asked, season)
    one = _found(asked, name, version)[0]
    done = asked.post(f"{season_path(entered)}/submissions", {"policy_version_id": one["id"]})
    label = f"{one['name']}:v{one['version']}"
    if done["already"]:
        print(_already(label, entered, done))
    else:
        print(f"Submitted {label} to season '{entered}'\nAdded to pools: {', '.join(done['pools'])}")
    print(f"Results: {asked.server}/seasons/{entered}\nCLI: cogames leaderboard --season {entered}")


def _already(label: str, season: str, done: dict[str, Any]) -> str:
    """What is said of who was in a season before."""
    now = f"stays in {', '.join(done['pools'])}" if done["pools"] else f"was taken out: {done['retired']}"
    return f"Policy already submitted to season '{season}': {label} {now}"


def submissions(
    context: typer.Context,
    policy: Named = None,
    season: Season = None,
    json: AsJson = False,
    include_hidden: Hidden = False,
    server: Server = SERVER,
    login_server: LoginServer = None,
) -> None:
    """Show your uploads, or what has become of them in a season."""
    name, version = split_policy(policy) if policy else (None, None)
    if told(context, {"policy": policy, "season": season, "server": server}):
        return
    asked = client(server, login_server)
    if season is not None:
        entries = asked.get(f"{season_path(season)}/policies", mine="true", include_hidden="true")
        found = [entry for entry in entries if _is(entry["policy"], name, version)]
        return print_json(found) if json else _show_entries(found, season)
    found = _versions(asked, name, version)
    return print_json(found) if json else _show_uploads(found, asked.get("/tournament/my-memberships"))


def _versions(asked: "Client", name: str | None, version: int | None) -> list[dict[str, Any]]:
    """One's own versions, newest first."""
    found: list[dict[str, Any]] = []
    while len(found) % PAGE == 0:
        asked_for = {"name_exact": name, "version": version, "limit": PAGE, "offset": len(found)}
        if not (page := asked.get("/stats/policy-versions", mine="true", **asked_for)["entries"]):
            break
        found += page
    return found


def _found(asked: "Client", name: str, version: int | None) -> list[dict[str, Any]]:
    """As `_versions`. Raises UserError where there is none."""
    if found := _versions(asked, name, version):
        return found
    label = name if version is None else f"{name}:v{version}"
    near = suggest(name, {one["name"] for one in _versions(asked, None, None)})
    raise UserError(f"Policy '{label}' not found. Did you upload it first? Use: cogames upload{near}")


def _is(policy: dict[str, Any], name: str | None, version: int | None) -> bool:
    return name in (None, policy["name"]) and version in (None, policy["version"])


def _show_uploads(found: list[dict[str, Any]], seasons: dict[str, list[str]]) -> None:
    rows = [
        [
            f"{entry['name']}:v{entry['version']}",
            moment(entry["created_at"]),
            ", ".join(seasons.get(entry["id"], [])) or "–",
            f"refused: {entry['reason']}" if entry["reason"] else entry["status"],
        ]
        for entry in found
    ]
    if not rows:
        return print("No uploads found.")
    _show(table(["Policy", "Uploaded", "Seasons", "Status"], rows, "Your Uploaded Policies"))


def _show_entries(entries: list[dict[str, Any]], season: str) -> None:
    rows: list[list[str]] = []
    for entry in entries:
        policy = entry["policy"]
        rows.append([f"{policy['name']}:v{policy['version']}", moment(entry["entered_at"]), entry["status"]])
        for number, pool in enumerate(entry["pools"], 1):
            branch = "└" if number == len(entry["pools"]) else "├"
            matches = pool["completed"] + pool["failed"] + pool["pending"]
            state = "active" if pool["active"] else "retired"
            rows.append([f"  {branch} {pool['pool_name']} ({state}): {matches} matches", "", _counts(pool)])
    if not rows:
        return print(f"No submissions found in season '{season}'.")
    _show(table(["Policy", "Entered", "Status"], rows, f"Submissions in '{season}'"))


def _counts(pool: dict[str, Any]) -> str:
    counts = ", ".join(f"{pool[key]} {key}" for key in ("completed", "pending", "failed") if pool[key])
    return "; ".join(part for part in (counts, pool["reason"]) if part)


def seasons(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="a season, shown in full")] = None,
    versions: Annotated[bool, typer.Option("-v", "--versions", help="all versions of the season")] = False,
    json: AsJson = False,
    include_hidden: Hidden = False,
    server: Server = SERVER,
    login_server: LoginServer = None,
) -> None:
    """List the seasons, show one, or its versions."""
    if versions and name is None:
        raise UserError("--versions: of which season? cogames seasons NAME --versions")
    if told(context, {"season": name, "versions": versions, "server": server}):
        return
    asked = client(server, login_server, needed=False)
    if name is None:
        found = asked.get("/tournament/seasons", include_hidden="true" if include_hidden else None)
        rows = [[season["name"], season["summary"]] for season in found]
        return print_json(found) if json else _show(table(["Season", "Description"], rows, "Tournament Seasons"))
    found = asked.get(f"{season_path(name)}/versions" if versions else season_path(name))
    if json:
        return print_json(found)
    if versions:
        kinds = {True: "canonical", False: "historical"}
        rows = [[f"v{one['version']}", kinds[one["canonical"]], moment(one["created_at"])] for one in found]
        return _show(table(["Version", "Status", "Created"], rows, f"Versions: {name}"))
    return _show(table(["", ""], _season_rows(found)))


def _season_rows(season: dict[str, Any]) -> list[list[str]]:
    return [
        ["Season", f"{season['name']} (v{season['version']}), {season['status'].replace('_', ' ')}"],
        ["Description", season["summary"]],
        *[["Pool", f"{pool['name']}: {pool['description']}"] for pool in season["pools"]],
        ["Policies", f"{season['entrant_count']}, {season['active_entrant_count']} active"],
        ["Matches", f"{season['match_count']:,}"],
        *([["", STILL]] if season["stands_still"] and season["status"] == "in_progress" else []),
    ]


def leaderboard(
    context: typer.Context,
    season: Season = None,
    json: AsJson = False,
    server: Server = SERVER,
    login_server: LoginServer = None,
) -> None:
    """Show the leaderboard of a season."""
    if told(context, {"season": season, "server": server}):
        return
    asked = client(server, login_server, needed=False)
    name = season_name(asked, season)
    found = asked.get(f"{season_path(name)}/leaderboard", include_hidden="true")
    if json:
        return print_json(found)
    if not found:
        return print(f"No leaderboard entries for season '{name}'.")
    rows = [
        [
            line["rank"] if line["ranks"][0] == line["ranks"][1] else f"{line['rank']} ({_span(line['ranks'])})",
            f"{line['policy']['name']}:v{line['policy']['version']}",
            f"{line['score']:.2f}",
            f"{line['ci95'][0]:.2f} … {line['ci95'][1]:.2f}",
            line["matches"],
            line["user"],
        ]
        for line in found
    ]
    _show(table([">Rank", "Policy", ">Score", "95 %", ">Matches", "By"], rows, f"Leaderboard: {name}"))


def _span(ranks: list[int]) -> str:
    return f"{ranks[0]}–{ranks[1]}"


def matches(
    context: typer.Context,
    match: Annotated[str | None, typer.Argument(help="a match, shown in full")] = None,
    season: Season = None,
    policy: Named = None,
    limit: Annotated[int, typer.Option(help="how many, those that ended last first", min=1, max=500)] = 20,
    json: AsJson = False,
    server: Server = SERVER,
    login_server: LoginServer = None,
) -> None:
    """List the matches of a season, those that ended last first, or show one."""
    name, version = split_policy(policy) if policy else (None, None)
    if told(context, {"match": match, "season": season, "policy": policy, "server": server}):
        return
    asked = client(server, login_server, needed=policy is not None)
    if match is not None:
        found = [asked.get(match_path(match))]
        if json:
            return print_json(found[0])
    else:
        versions = [one["id"] for one in _found(asked, name, version)[:AT_ONCE]] if name else None
        entered = season_name(asked, season)
        found = asked.get(f"{season_path(entered)}/matches", policy_version_ids=versions, limit=limit)
        if json:
            return print_json(found)
    if not found:
        return print("No matches found.")
    rows = [[one["id"], one["pool_name"], one["status"], _players(one), one["error"] or ""] for one in found]
    return _show(table(["Match", "Pool", "Status", "Players: seats, score", "Error"], rows))


def _players(match: dict[str, Any]) -> str:
    return ", ".join(
        f"{player['policy']['name']}:v{player['policy']['version']} {player['num_agents']}"
        + ("" if player["score"] is None else f" {player['score']:.2f}")
        for player in match["players"]
    )


def _show(what: Any) -> None:
    show(Format.table, {}, lambda: what)
