"""devops/mettabox/cli.py: the machines of a file of hosts, from a laptop."""

import argparse
import re
import shlex
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from metta.common.commands import Parser, at_least, guarded
from metta.common.errors import UserError
from metta.launch.hosts import Host, find_host, read_hosts
from metta.launch.machine import Machine
from metta.launch.names import session_name
from metta.launch.sessions import log_script

HOSTS_FILE = "devops/mettabox/hosts.yaml"
PROFILE = "softmax"
CALLBACK = re.compile(r"127\.0\.0\.1(?::|%3A)(\d{1,5})")  # where the login's answer is to arrive
GPUS = "nvidia-smi --query-gpu=index,name,utilization.gpu,memory.used,memory.total --format=csv,noheader"
SESSIONS = "tmux list-sessions -F '#{session_name}' 2>/dev/null || true"


def main(argv: Sequence[str]) -> int:
    """Run the command with these arguments; returns the exit code: 2 for bad input, of `exec` that of what ran."""

    def run() -> int:
        at = argv.index("--") if "--" in argv else len(argv)
        flags = _flags().parse_args(argv[:at])
        flags.words = argv[at + 1 :]
        return flags.call(flags)

    return guarded(run)


def list_hosts(flags: argparse.Namespace) -> int:
    """Each host, whether it answers, and the sessions that go on there."""
    return _of_all(flags, lambda machine: ", ".join(machine.run(SESSIONS).split()) or "no sessions")


def list_free(flags: argparse.Namespace) -> int:
    """What the GPUs of each host do."""

    def gpus(machine: Machine) -> str:
        looks = f"command -v nvidia-smi >/dev/null || {{ echo 'has no nvidia-smi' >&2; exit 1; }}; {GPUS}"
        lines = machine.run(looks).strip().splitlines()
        return "; ".join(map(_gpu, lines)) or "no GPU"

    return _of_all(flags, gpus)


def execute(flags: argparse.Namespace) -> int:
    """Run a command there, in this terminal."""
    if not flags.words:
        raise UserError("exec: no command; cli.py exec HOST -- COMMAND …")
    return _machine(flags).enter(f"exec {shlex.join(flags.words)}")


def attach(flags: argparse.Namespace) -> int:
    """Show a session there; Ctrl-B d leaves it."""
    which = f" -t {shlex.quote('=' + session_name(flags.run))}" if flags.run else ""
    return _machine(flags).enter(f"exec tmux attach{which}")


def logs(flags: argparse.Namespace) -> int:
    """Show the log of a launched run."""
    machine = _machine(flags)
    return machine.enter(f"exec {log_script(f'{_host(machine).data_dir}/{flags.run}/launch/node0.log', flags.follow)}")


def sync(flags: argparse.Namespace) -> int:
    """Copy the folder of a run from there."""
    machine = _machine(flags)
    runs = _host(machine).data_dir
    there = machine.run(f"test -d {shlex.quote(f'{runs}/{flags.run}')} && echo yes || true")
    if not there:
        raise UserError(f"{machine.name}: no run '{flags.run}' in {runs}")
    flags.to.mkdir(parents=True, exist_ok=True)
    pack = f"tar -C {shlex.quote(runs)} --exclude=.lock -cf - {shlex.quote(flags.run)}"
    with subprocess.Popen(machine.command(pack), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as sender:
        assert sender.stdout
        try:
            with tarfile.open(fileobj=sender.stdout, mode="r|") as archive:
                archive.extractall(flags.to, filter="data")
        except (tarfile.TarError, OSError) as error:
            raise UserError(f"{machine.name}: not all of {flags.run} came ({error})") from None
    if sender.returncode not in (0, 1):  # 1: a file has grown meanwhile
        raise UserError(f"{machine.name}: not all of {flags.run} came")
    print(f"{flags.to / flags.run}: as on {machine.name}")
    return 0


def tunnel(flags: argparse.Namespace) -> int:
    """Have a port of this machine lead to the same one there, until Ctrl-C."""
    print(f"127.0.0.1:{flags.port} leads to {flags.host}; Ctrl-C ends it", flush=True)
    return subprocess.run(_tunnel(_machine(flags), flags.port), stdin=subprocess.DEVNULL, check=False).returncode


def sso(flags: argparse.Namespace) -> int:
    """Log in to AWS there: open the printed address in a browser here; its answer comes through a tunnel."""
    machine = _machine(flags)
    login = shlex.join([_host(machine).aws, "sso", "login", "--profile", flags.profile, "--no-browser"])
    tunnels: list[subprocess.Popen[bytes]] = []
    try:
        with subprocess.Popen(
            machine.command(f"exec {login} 2>&1"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            for line in process.stdout:
                print(line, end="", flush=True)
                if not tunnels and (port := CALLBACK.search(line)):
                    tunnels.append(subprocess.Popen(_tunnel(machine, int(port[1])), stdin=subprocess.DEVNULL))
                    print(f"port {port[1]} leads to {machine.name}", flush=True)
        return process.returncode
    finally:
        for opened in tunnels:
            opened.terminate()
            opened.wait()


def _tunnel(machine: Machine, port: int) -> list[str]:
    return machine.ssh("-N", "-o", "ExitOnForwardFailure=yes", "-L", f"{port}:127.0.0.1:{port}")


def _of_all(flags: argparse.Namespace, look: Callable[[Machine], str]) -> int:
    """Print a line of each host, asked at the same time; 1 where one has not answered."""

    def line(machine: Machine) -> tuple[str, bool]:
        try:
            return f"{machine.name}: {look(machine)}", True
        except UserError as error:
            return str(error), False

    hosts = read_hosts(flags.hosts)
    chosen = [flags.host] if flags.host else list(hosts)
    machines = [Machine(name, find_host(name, flags.hosts)) for name in chosen]
    with ThreadPoolExecutor(max(1, len(machines))) as pool:
        told = list(pool.map(line, machines))
    print(*(text for text, _ in told), sep="\n")
    return 0 if all(well for _, well in told) else 1


def _gpu(row: str) -> str:
    index, name, busy, used, total = [part.strip() for part in row.split(",")]
    return f"GPU {index} {name} {'free' if busy == '0 %' else f'{busy} busy'}, {used} of {total}"


def _machine(flags: argparse.Namespace) -> Machine:
    return Machine(flags.host, find_host(flags.host, flags.hosts))


def _host(machine: Machine) -> Host:
    assert machine.host
    return machine.host


def _flags() -> argparse.ArgumentParser:
    shared = Parser(add_help=False)
    shared.add_argument("--hosts", default=HOSTS_FILE, metavar="FILE", help=f"file of hosts; default: {HOSTS_FILE}")
    parser = Parser(prog="cli.py", description="The mettaboxes, from a laptop.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")

    def command(name: str, call: Callable[[argparse.Namespace], int], host: str | None = None) -> Parser:
        help = (call.__doc__ or "").partition("\n")[0]
        part = commands.add_parser(name, help=help, description=help, parents=[shared])
        part.add_argument("host", metavar="HOST", nargs=host)
        part.set_defaults(call=call)
        return part

    command("list", list_hosts, "?")
    command("free", list_free, "?")
    command("exec", execute)
    command("attach", attach).add_argument("run", metavar="RUN", nargs="?")
    part = command("logs", logs)
    part.add_argument("run", metavar="RUN")
    part.add_argument("-f", "--follow", action="store_true")
    part = command("sync", sync)
    part.add_argument("run", metavar="RUN")
    part.add_argument("--to", type=Path, default=Path("train_dir"), help="folder of the runs here")
    command("tunnel", tunnel).add_argument("port", metavar="PORT", type=at_least(1))
    command("sso", sso).add_argument("--profile", default=PROFILE, help=f"of AWS; default: {PROFILE}")
    return parser
