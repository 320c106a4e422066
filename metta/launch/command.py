"""tools/launch.py: one big run, sent to where it is to go on, and looked after from here."""

import sys
from collections.abc import Sequence
from pathlib import Path

from metta.common.commands import Parser, guarded
from metta.common.errors import UserError
from metta.launch.kubernetes import Kubernetes
from metta.launch.plan import Sent, find_sent, plan
from metta.launch.sessions import Sessions
from metta.launch.skypilot import Skypilot
from metta.launch.slurm import Slurm
from metta.launch.targets import load_target, target_names

USAGE = """\
tools/launch.py TARGET RECIPE key=value …   launch a training; launch.KEY=value changes the target
tools/launch.py status|logs|attach|stop RUN  look after it; logs -f goes on
tools/launch.py --list                       the targets of configs/launch

--dry-run   compose, and print what would be sent
--dirty     send changes to tracked files that are in no commit yet
--data-dir  folder of this machine that notes what was launched (train_dir)

The same command with the same run goes on from the newest checkpoint.
"""
KINDS = {"local": Sessions, "ssh": Sessions, "slurm": Slurm, "skypilot": Skypilot, "kubernetes": Kubernetes}
LOOKING = ("status", "logs", "attach", "stop")
Launcher = Sessions | Slurm | Skypilot | Kubernetes


def launcher(sent: Sent) -> Launcher:
    """What knows how to send and look after a run of its kind."""
    return KINDS[sent.target.kind](sent)


def main(argv: Sequence[str]) -> int:
    """Run `tools/launch.py` with these arguments; returns the exit code: 2 for bad input."""
    return guarded(lambda: _main(argv))


def _main(argv: Sequence[str]) -> int:
    parser = Parser(add_help=False)
    parser.add_argument("words", nargs="*")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--dirty", action="store_true")
    parser.add_argument("-f", "--follow", action="store_true")
    parser.add_argument("--data-dir", type=Path, default=Path("train_dir"))
    flags = parser.parse_intermixed_args(argv)
    if flags.list:
        for name in target_names():
            print(f"{name}: {load_target(name).kind}")
    elif flags.help or not flags.words:
        print(USAGE, end="")
    elif flags.words[0] in LOOKING:
        return _look(flags.words[0], flags.words[1:], flags.data_dir, flags.follow)
    else:
        _launch(flags.words[0], flags.words[1:], flags.data_dir, flags.dirty, flags.dry_run)
    return 0


def _launch(target: str, words: Sequence[str], records: Path, dirty: bool, dry_run: bool) -> None:
    planned = plan(target, words, dirty)
    sent = planned.sent
    print(f"{planned.summary}\ncommit {sent.commit[:12]} to {target} ({sent.target.kind})", flush=True)
    if dry_run:
        print(launcher(sent).shown())
        return
    if (records / sent.run).is_dir():
        sent = _with_job(sent, records)
    launcher(sent).start().keep(records)
    print(f"run={sent.run} launched: tools/launch.py status|logs|attach|stop {sent.run}")


def _with_job(sent: Sent, records: Path) -> Sent:
    """The launch with the scheduler's number of the one before, which may go on still."""
    try:
        before = find_sent(records, sent.run)
    except UserError:
        return sent
    if before.target.kind != sent.target.kind:
        print(f"note: run={sent.run} was launched to {before.target_name} before", file=sys.stderr)
        return sent
    return sent.model_copy(update={"job": before.job})


def _look(verb: str, names: Sequence[str], records: Path, follow: bool) -> int:
    if len(names) != 1:
        raise UserError(f"{verb} takes the name of one run, got {len(names)}")
    found = launcher(find_sent(records, names[0]))
    if verb == "logs":
        return found.logs(follow)
    if verb == "attach":
        return found.attach()
    print(found.status() if verb == "status" else found.stop())
    return 0
