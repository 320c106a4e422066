"""Commands about policies: list them, start one of your own, pack and check what will play elsewhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from metta.cli.options import (
    CHECKPOINTS,
    POLICY,
    ActionTimeout,
    Checkpoints,
    IncludeFiles,
    InitKwarg,
    Mission,
    Output,
    SetupScript,
    complete_policy,
)
from metta.cli.output import Format, show, table
from metta.common.defaults import ACTION_TIMEOUT_MS, MISSION
from metta.common.docstrings import docstring
from metta.common.errors import UserError

SCHEMA_VERSION = 1


def players() -> dict[str, tuple[str, str]]:
    """Policies that play without a checkpoint, by name: class and what they do. Imports neither torch nor numba."""
    from metta.policy.scripted.names import SCRIPTS
    from metta.policy.simple import NoopPolicy, RandomPolicy

    scripted = {name: ("metta.policy.scripted.policy.ScriptedPolicy", script.text) for name, script in SCRIPTS.items()}
    plain = {
        found.name: (f"{found.__module__}.{found.__name__}", docstring(found)) for found in (NoopPolicy, RandomPolicy)
    }
    return scripted | plain


def networks() -> dict[str, tuple[str, str]]:
    """Networks that can be trained, by name: file of their components and what they are."""
    from metta.policy.nets.presets import describe_presets

    return {name: (f"configs/agent/{name}.yaml", text) for name, text in describe_presets().items()}


def policies(output: Output = Format.table) -> None:
    """List the policies that play without a checkpoint, and the networks that can be trained."""
    known = {"play": players(), "train": networks()}
    rows: list[dict[str, Any]] = [
        {"name": name, "use": use, "class": path, "description": text}
        for use, found in known.items()
        for name, (path, text) in found.items()
    ]
    document = {"schema_version": SCHEMA_VERSION, "policies": rows}
    columns = ["policy", "to", "class or file", "what it is"]
    show(output, document, lambda: table(columns, [list(row.values()) for row in rows]))


def make_policy(
    scripted: Annotated[bool, typer.Option("--scripted", help="rules of your own")] = False,
    trainable: Annotated[bool, typer.Option("--trainable", help="a network of your own")] = False,
    out: Annotated[Path, typer.Option("-o", "--output", help="file to write")] = Path("my_policy.py"),
) -> None:
    """Write the template of a policy of your own."""
    if scripted == trainable:
        raise UserError("say which: --scripted or --trainable")
    from metta.policy.hosted.templates import make_policy_template

    make_policy_template("scripted" if scripted else "trainable", out)
    print(f"wrote {out}")


def create_bundle(
    policy: Annotated[str, typer.Option("-p", "--policy", help=POLICY, autocompletion=complete_policy)],
    out: Annotated[Path, typer.Option("-o", "--output", help="zip file to write")] = Path("submission.zip"),
    init_kwarg: InitKwarg = None,
    include_files: IncludeFiles = None,
    setup_script: SetupScript = None,
    checkpoints: Checkpoints = CHECKPOINTS,
) -> None:
    """Pack a policy with its files into one archive."""
    kwargs = pairs(init_kwarg or [])
    from metta.policy.hosted.submission import create_bundle as pack

    pack(policy, out, kwargs, include_files or [], setup_script, checkpoints)
    print(f"wrote {out}")


def validate_bundle(
    bundle: Annotated[Path, typer.Argument(help="bundle, a zip or a folder")],
    mission: Mission = MISSION,
    steps: Annotated[int, typer.Option("-s", "--steps", help="steps to play", min=1)] = 10,
    action_timeout_ms: ActionTimeout = ACTION_TIMEOUT_MS,
    trust_code: Annotated[bool, typer.Option(help="run the code that it holds, in a process of its own")] = True,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="run it in a sandbox, as a league does (Linux)")] = False,
    output: Output = Format.table,
) -> int:
    """Load a bundle, its code in a process of its own, and play some steps. Exit code 1: it did not act in all."""
    from metta.cli.missions import built_mission
    from metta.league.sandbox.probe import probe
    from metta.policy.hosted.submission import validate_bundle as check

    walls = probe().required() if sandbox else None
    report = check(bundle, built_mission(mission or MISSION), steps, action_timeout_ms, trust_code, sandbox=walls)
    document = {"schema_version": SCHEMA_VERSION, **report.document()}
    show(output, document, lambda: "\n".join(report.lines()))
    return 0 if report.ok else 1


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """What is said as key=value. Raises UserError for any other form."""
    return dict(map(_pair, texts))


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise UserError(f"--init-kwarg {text}: the form is key=value")
    return key, value
