"""The command lines of the three diagnostics (tools/run_cogsguard_*.py)."""

import argparse
import json
from collections.abc import Sequence
from typing import Any

from metta.common.commands import Parser, at_least, guarded
from metta.common.defaults import SEED
from metta.common.docstrings import docstring
from metta.common.errors import UserError
from metta.config.composition import compose
from metta.config.recipes import resolve
from metta.config.words import parse_word
from metta.eval.diagnostics import instrumented, parity, rollout
from metta.eval.diagnostics.coverage import Trace
from metta.game.mission import Mission
from metta.game.missions import build_mission
from metta.game.observation import env_info
from metta.policy.interface import Policy
from metta.policy.machine_settings import MachineSettings
from metta.policy.stored.uri import make_policy
from metta.rl.machine import set_up

SCHEMA_VERSION = 1
FOUR_ROLES = "metta://policy/role?miner=4&scout=2&aligner=2&scrambler=2"


def _flags(description: str, steps: int, agents: int) -> Parser:
    """The options that all three have."""
    flags = Parser(description=description)
    flags.add_argument("--steps", type=at_least(1), default=steps, help="steps to play (%(default)s)")
    flags.add_argument("--agents", type=at_least(1), default=agents, help="agents (%(default)s)")
    flags.add_argument("--max-steps", type=at_least(1), default=1000, help="length of an episode (%(default)s)")
    flags.add_argument("--seed", type=at_least(0), default=SEED, help="seed of map and episode (%(default)s)")
    flags.add_argument(
        "--recipe", default="recipes.experiment.cogsguard", help="recipe whose mission is played (%(default)s)"
    )
    flags.add_argument("--format", choices=("text", "json"), default="text", help="how the result is printed")
    return flags


def rollout_check(argv: Sequence[str] | None = None) -> int:
    """Play a policy for some steps and check that it sees, plays its roles and aims at the right things.

    Exit code 0: all well; 1: a check failed, named on the last line; 2: bad input.
    """
    return guarded(lambda: _rollout_check(argv))


def _rollout_check(argv: Sequence[str] | None) -> int:
    flags = _flags(docstring(rollout_check), steps=200, agents=10)
    flags.add_argument("--policy-uri", default=FOUR_ROLES, help="policy (%(default)s)")
    flags.add_argument("--allow-missing-roles", action="store_true", help="judge only what the policy remembers")
    flags.add_argument("--trace-prereqs", action="store_true", help="a line for each attempt to align or scramble")
    for name, what in (("role", "the roles"), ("resource", "the team's stock")):
        flags.add_argument(f"--trace-{name}s", action="store_true", help=f"lines about {what}")
        flags.add_argument(f"--trace-{name}-every", type=at_least(1), default=1, help="steps between lines (1)")
        flags.add_argument(f"--trace-{name}-limit", type=at_least(0), default=0, help="most lines; 0: no limit")
    args = flags.parse_args(argv)
    mission = _mission(args)
    roles = Trace(args.trace_role_every if args.trace_roles else 0, args.trace_role_limit)
    resources = Trace(args.trace_resource_every if args.trace_resources else 0, args.trace_resource_limit)
    check = rollout.RolloutCheck(mission, _policy(args.policy_uri, mission), args.seed, roles, resources)
    check.run(args.steps)
    asked = rollout.asked_roles(args.policy_uri)
    failure = check.failure(asked, args.allow_missing_roles)
    found = check.document() | {"asked_roles": sorted(asked), "failure": failure}
    if args.trace_prereqs:
        found["prerequisite_trace"] = check.prerequisite_lines
    found |= {"role_trace": roles.lines, "resource_trace": resources.lines}
    verdict = f"FAILED {failure}" if failure else "ok"
    _print(args, mission, found, [*rollout.lines(check, args.trace_prereqs), verdict], policy_uri=args.policy_uri)
    return 1 if failure else 0


def parity_report(argv: Sequence[str] | None = None) -> int:
    """Play two policies from the same seed and compare which actions they choose.

    Exit code 0, or 2 for bad input: this reports, it does not judge.
    """
    return guarded(lambda: _parity_report(argv))


def _parity_report(argv: Sequence[str] | None) -> int:
    flags = _flags(docstring(parity_report), steps=500, agents=10)
    flags.add_argument("--policy-a", default="metta://policy/role", help="one policy (%(default)s)")
    flags.add_argument("--policy-b", default="metta://policy/role_py", help="the other (%(default)s)")
    flags.add_argument("--top-actions", type=at_least(0), default=5, help="most frequent actions shown (%(default)s)")
    flags.add_argument("--top-deltas", type=at_least(0), default=5, help="largest differences shown (%(default)s)")
    args = flags.parse_args(argv)
    mission = _mission(args)
    policies = [(uri, _policy(uri, mission)) for uri in (args.policy_a, args.policy_b)]
    a, b = (parity.tally(uri, policy, mission, args.steps, args.seed) for uri, policy in policies)
    _print(args, mission, parity.document(a, b), parity.lines(a, b, args.top_actions, args.top_deltas))
    return 0


def instrumented_audit(argv: Sequence[str] | None = None) -> int:
    """Play a policy and report its roles and the team's stock over time, and what each agent came to see.

    Exit code 0, or 2 for bad input: this reports, it does not judge.
    """
    return guarded(lambda: _instrumented_audit(argv))


def _instrumented_audit(argv: Sequence[str] | None) -> int:
    flags = _flags(docstring(instrumented_audit), steps=1000, agents=2)
    flags.add_argument("--policy-uri", default="metta://policy/role_py?miner=1&scout=1", help="policy (%(default)s)")
    flags.add_argument("--trace-every", type=at_least(1), default=200, help="steps between lines (%(default)s)")
    args = flags.parse_args(argv)
    mission = _mission(args)
    audit = instrumented.InstrumentedAudit(mission, _policy(args.policy_uri, mission), args.seed, args.trace_every)
    audit.run(args.steps)
    found = audit.document()
    _print(args, mission, found, instrumented.lines(found, args.policy_uri), policy_uri=args.policy_uri)
    return 0


def _mission(args: argparse.Namespace) -> Mission:
    """The mission that the recipe trains on, with the asked number of agents and steps."""
    try:
        recipe = resolve([f"{args.recipe}.train"])
    except UserError:
        recipe = resolve([args.recipe])
    sizes = (f"trainer.{size}={args.agents}" for size in ("batch_size", "minibatch_size"))  # nothing is trained
    words = [f"mission.cogs={args.agents}", f"mission.max_steps={args.max_steps}", "trainer.bptt_horizon=1", *sizes]
    config = compose(recipe, [parse_word(word) for word in words]).config
    assert config.mission is not None
    return build_mission(config.mission)


def _policy(uri: str, mission: Mission) -> Policy:
    return make_policy(uri, env_info(mission), device=set_up(MachineSettings(device="cpu"), 1))


def _print(args: argparse.Namespace, mission: Mission, found: dict[str, Any], text: list[str], **more: str) -> None:
    if args.format == "text":
        print("\n".join(text))
        return
    settings = {"mission": mission.name, "agents": args.agents, "max_steps": args.max_steps, "seed": args.seed}
    print(json.dumps({"schema_version": SCHEMA_VERSION, **more, **settings, **found}))
