"""Policies as one file to hand in: made from whatever plays here, and tried out as a stranger's would be.

A bundle is a zip file (or folder) with `policy_spec.json` and what it names: the weights of a net, nothing for a
scripted policy, or the files of a user's class. The same input makes the same bytes.
"""

import io
import os
import statistics
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metta.common.defaults import ACTION_TIMEOUT_MS
from metta.common.errors import UserError
from metta.common.files import atomic_folder, write_atomic, writing
from metta.game.engine.batch import EnvBatch
from metta.game.maps.pool import build_pool
from metta.game.mission import Mission
from metta.game.observation import env_info
from metta.policy.hosted.by_class import UserClass, is_class, parse_class
from metta.policy.hosted.client import Faults, HostedPolicy
from metta.policy.hosted.process import Hosting, Sandbox
from metta.policy.interface import Policy, begin_episodes
from metta.policy.neural import NeuralPolicy
from metta.policy.stored.bundle import bundle_files
from metta.policy.stored.sources.place import MOST_BYTES, SPEC
from metta.policy.stored.spec import Contents, write_plain_spec
from metta.policy.stored.uri import built_in_parts, find_bundle, is_built_in, make_built_in, make_policy

MOST_FILES = 1_000
SKIPPED = ("__pycache__", ".")  # what no bundle needs begins so
VALIDATION_STEPS = 10
VALIDATION_SEED = 42


def create_bundle(
    policy: str,
    out: Path,
    init_kwargs: Mapping[str, str] | None = None,
    include_files: Sequence[Path] = (),
    setup_script: Path | None = None,
    data_dir: str | Path = "./train_dir",
) -> Path:
    """Write the bundle of the policy that a URI names: a zip file if `out` ends in .zip, else a folder.

    Of a user's class it holds the modules of the user's that it is made of (`user_modules`), and its `data=` file;
    `include_files` adds files and folders under their paths from the working folder. `setup_script` is a Python file
    that runs in the unpacked bundle before the class is imported. Raise UserError for what cannot be bundled.
    """
    out = Path(out)
    if out.exists() and (out.is_dir() == (out.suffix == ".zip") or (out.is_dir() and not (out / SPEC).is_file())):
        raise UserError(f"{out}: exists and is no bundle; it is not replaced")
    words = dict(init_kwargs or {})
    added = _included([*include_files, *([setup_script] if setup_script else [])])
    if is_class(policy, data_dir):
        setup = _inside(setup_script).as_posix() if setup_script else ""
        files = _class_files(parse_class(policy), words, added, setup)
    elif setup_script:
        raise UserError(f"{policy}: only a class of your own can have a setup script")
    elif is_built_in(policy):
        files = _scripted_files(policy, words, added)
    elif words:
        raise UserError(f"{policy}: what a net is built with is saved with it, it takes no init_kwargs")
    else:
        bundle = find_bundle(policy, data_dir)
        files = {**added, **bundle_files(bundle.build(), bundle.run, bundle.epoch, bundle.agent_steps)}
    _write(out, files)
    return out


def _class_files(found: UserClass, words: dict[str, str], added: Contents, setup: str) -> Contents:
    """Built once, in a process of its own, to see that it can be and what it imports."""
    found = UserClass(found.origin, found.path, {**found.words, **words}, found.data)
    hosted = HostedPolicy(found, env_info(Mission()))
    hosted.close()
    module = found.module.replace(".", "/")
    if not {f"{module}.py", f"{module}/__init__.py"} & set(hosted.modules):
        raise UserError(f"{found.origin}: {found.path} is part of an installed package; a bundle holds your own files")
    data = Path(found.data).name if found.data else ""
    sources = {name: Path(file) for name, file in hosted.modules.items()}
    files = {**_read(sources | ({data: Path(found.data)} if data else {})), **added}
    return {**files, SPEC: write_plain_spec(found.path, dict(found.words), data, setup, files)}


def _scripted_files(policy: str, words: dict[str, str], added: Contents) -> Contents:
    name, given = built_in_parts(policy)
    make_built_in(name, {**given, **words}, env_info(Mission()))  # takes it these parameters?
    return {**added, SPEC: write_plain_spec(name, {**given, **words}, "", "", added)}


def _included(paths: Sequence[Path]) -> Contents:
    """Contents, and those below folders, by their path in the bundle."""
    found: dict[str, Path] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise UserError(f"{path}: no such file")
        below = [file.relative_to(path) for file in path.rglob("*") if file.is_file()] if path.is_dir() else [Path()]
        wanted = [file for file in below if not any(part.startswith(SKIPPED) for part in file.parts)]
        found |= {(_inside(path) / file).as_posix(): path / file for file in wanted}
    return _read(found)


def _inside(path: Path) -> Path:
    """Where a file or folder lies in the bundle: under its path from the working folder, elsewhere under its name."""
    whole = Path(os.path.abspath(path))
    return whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else Path(whole.name)


def _read(paths: Mapping[str, Path]) -> dict[str, bytes]:
    if SPEC in paths:
        raise UserError(f"{paths[SPEC]}: {SPEC} is what this writes; leave it out")
    if len(paths) > MOST_FILES or sum(path.stat().st_size for path in paths.values()) > MOST_BYTES:
        raise UserError(f"{len(paths):,} files: a bundle has at most {MOST_FILES:,}, of {MOST_BYTES:,} bytes together")
    return {name: path.read_bytes() for name, path in paths.items()}


def _write(out: Path, files: Contents) -> None:
    with writing(out):
        if out.suffix != ".zip":
            with atomic_folder(out) as folder:
                for name, data in files.items():
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    (folder / name).write_bytes(data)
            return
        out.parent.mkdir(parents=True, exist_ok=True)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name in sorted(files):
                member = zipfile.ZipInfo(name)  # dated 1980
                member.external_attr = 0o100644 << 16
                archive.writestr(member, files[name])
        write_atomic(out, packed.getvalue())


@dataclass(frozen=True)
class Report:
    """How a bundle did in a few steps of a mission. Times are of a step of all its agents, in milliseconds."""

    bundle: str
    policy: str  # what plays: net lstm, class my_policy.MyPolicy, script role
    mission: str
    agents: int
    steps: int
    seconds_to_load: float
    ms_median: float
    ms_max: float
    faults: Faults

    @property
    def ok(self) -> bool:
        """Did it act in every step?"""
        return not self.faults.total and not self.faults.ended

    def document(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"ok": self.ok, **asdict(self)}

    def lines(self) -> list[str]:
        """For people: what was played, how fast, what was wrong."""
        played = f"{self.steps} steps of {self.mission} with {self.agents} agents"
        speed = (
            f"loaded in {self.seconds_to_load:.1f} s; a step takes {self.ms_median:.1f} ms, at most {self.ms_max:.1f}"
        )
        return [f"{self.bundle}: {self.policy}, {played}", speed, *self.faults.lines(), "ok" if self.ok else "failed"]


def validate_bundle(
    path: str | Path,
    mission: Mission,
    steps: int = VALIDATION_STEPS,
    action_timeout_ms: float = ACTION_TIMEOUT_MS,
    trust_code: bool = True,
    trust_pickle: bool = False,
    sandbox: Sandbox | None = None,
) -> Report:
    """Play a few steps with a bundle. Code in it runs in a process of its own, which is what validation is for: without
    a sandbox leave `trust_code` at True for bundles of your own only. Raise UserError for one that is broken or cannot
    play."""
    start = time.perf_counter()
    policy = make_policy(
        str(path),
        env_info(mission),
        trust_pickle=trust_pickle,
        trust_code=trust_code,
        hosting=Hosting(action_timeout_ms, prefix=sandbox),
    )
    loaded = time.perf_counter() - start
    times = _play(policy, mission, steps)
    milliseconds = [1000 * seconds for seconds in times]
    return Report(
        bundle=str(path),
        policy=_kind(policy),
        mission=mission.name,
        agents=mission.agents,
        steps=steps,
        seconds_to_load=loaded,
        ms_median=statistics.median(milliseconds),
        ms_max=max(milliseconds),
        faults=policy.faults if isinstance(policy, HostedPolicy) else Faults(),
    )


def _kind(policy: Policy) -> str:
    if isinstance(policy, HostedPolicy):
        return f"class {policy.path}"
    return f"net {policy.net.name}" if isinstance(policy, NeuralPolicy) else f"script {policy.name}"


def _play(policy: Policy, mission: Mission, steps: int) -> list[float]:
    """Seconds that the policy took for each step."""
    maps = build_pool(mission, 1, VALIDATION_SEED, 1)
    batch = EnvBatch(mission, 1, maps=maps, seed=VALIDATION_SEED, threads=1)
    shape = (1, batch.num_agents)
    observations = np.zeros((*shape, batch.info.num_tokens, 3), np.uint8)
    rewards, terminals, truncations = np.zeros(shape, np.float32), np.zeros(shape, bool), np.zeros(shape, bool)
    batch.reset(observations)
    begin_episodes(policy, batch.num_agents, [VALIDATION_SEED])
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        actions = policy.step(observations)
        times.append(time.perf_counter() - start)
        batch.step(actions, observations, rewards, terminals, truncations)
        policy.end_episodes((terminals | truncations)[:, 0])
    batch.close()
    return times
