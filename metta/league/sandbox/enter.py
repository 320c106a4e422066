"""Steps into a sandbox: a script of its own that needs nothing but Python, as it is run on both sides of the wall.

    python -I -S enter.py outside PLAN COMMAND…   limits, then bubblewrap with the filter, then
    python -I -S enter.py inside PLAN COMMAND…    what can only be done in there, then the command.

PLAN is JSON (`metta.league.sandbox.bubblewrap` writes it).
"""

import json
import os
import resource
import sys

FIRST_USER = 0x70000000  # numbers of users that nobody has; each sandbox is one, as limits of threads are a user's
# A bundle's own script runs in the process that plays, as no other can be made.
SET_UP = """import os, runpy, sys
script, *command = sys.argv[1:]
sys.argv = [script]
try:
    runpy.run_path(script, run_name="__main__")
except SystemExit as end:
    if end.code not in (None, 0):
        sys.exit(f"setup_script {script} failed with exit code {end.code}")
os.execv(command[0], command)"""


def main() -> None:
    side, text, *command = sys.argv[1:]
    plan = json.loads(text)
    (outside if side == "outside" else inside)(plan, command)


def outside(plan: dict, command: list[str]) -> None:
    """Become bubblewrap, whose words are in the plan: it ends with the process that has started this."""
    if os.getppid() != plan["parent"]:
        sys.exit("the process that asked for this sandbox is gone")
    for path in plan["groups"]:
        with open(path, "w") as file:
            file.write(str(os.getpid()))
    with open("/proc/self/oom_score_adj", "w") as file:  # where memory runs out, this goes first
        file.write("1000")
    for name, limit in plan["limits"].items():
        resource.setrlimit(getattr(resource, name), (limit, limit))
    handle = os.memfd_create("filter", 0)  # is inherited
    os.write(handle, bytes.fromhex(plan["filter"]))
    os.lseek(handle, 0, os.SEEK_SET)
    within = {**plan["inside"], "user": FIRST_USER + os.getpid() if os.getuid() == 0 else None, "secrets": None}
    if plan["secrets"]:
        within["secrets"] = os.open(plan["secrets"], os.O_RDONLY)
        os.set_inheritable(within["secrets"], True)
    enter = [sys.executable, "-I", "-S", __file__, "inside", json.dumps(within)]
    words = [*plan["bubblewrap"], "--seccomp", str(handle), "--", *enter, *command]
    os.execve(words[0], words, plan["environment"])


def inside(plan: dict, command: list[str]) -> None:
    """Give up what is left of rights, have the bundle's own script set it up, and become the command."""
    if plan["copy"]:
        import shutil  # here because it is slow to import

        shutil.copytree(plan["copy"], os.getcwd(), dirs_exist_ok=True)
    if (user := plan["user"]) is not None:
        if plan["copy"]:
            own(os.getcwd(), user)
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    if plan["secrets"] is not None:
        with open(plan["secrets"]) as file:
            os.environ.update(json.load(file))
    resource.setrlimit(resource.RLIMIT_NPROC, (plan["threads"], plan["threads"]))
    if plan["setup"]:
        command = [sys.executable, "-u", "-c", SET_UP, plan["setup"], *command]
    os.execv(command[0], command)


def own(folder: str, user: int) -> None:
    """Make all in a folder the user's."""
    for path, _, files in os.walk(folder):
        for name in [path, *(os.path.join(path, file) for file in files)]:
            os.chown(name, user, user, follow_symlinks=False)


if __name__ == "__main__":
    main()
