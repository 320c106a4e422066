"""Policies that do it for real: each tries, and says what came of it. Not to be run outside a sandbox.

`Tries` makes one attempt of each kind and plays on; the others do at their second step what should end them.
"""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress

LIBC = ctypes.CDLL(None, use_errno=True)
WRITE = os.O_WRONLY | os.O_CREAT


def call(name, *words):
    """A function of the C library; raises OSError where it fails."""
    if getattr(LIBC, name)(*words) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def system_call(number, *words):
    call("syscall", ctypes.c_long(number), *map(ctypes.c_long, words))


def read(path):
    with open(path, "rb") as file:
        return file.read()


def put(path, text):
    with open(path, "w") as file:
        file.write(text)


def write(path):
    os.close(os.open(path, WRITE))


def connect(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as out:
        out.settimeout(2)
        out.connect(address)


def environments():
    """What of the environment of any process has the word that the worker's has."""
    for process in os.listdir("/proc"):
        if process.isdecimal():
            try:
                if b"worker-secret" in read(f"/proc/{process}/environ"):
                    return
            except OSError:
                continue
    raise PermissionError(errno.EPERM, "none has it")


def handles():
    """A file of the worker's that was left open: there is output, the wire, and the pipe that tells of its end."""
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    kinds = [os.readlink(link) for link in links if os.path.lexists(link)]
    if all(kind.startswith(("socket:", "pipe:", "/proc/", "/dev/null")) for kind in kinds) and len(kinds) < 8:
        raise PermissionError(errno.EPERM, "none but its own")


def fill(folder):
    """Write 1 GiB into a folder; raises what ends it."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for number in range(32):
        with open(f"{folder}/{number}", "wb") as file:
            for _ in range(32):
                file.write(bytes(1 << 20))


def no_new_rights():
    """Does the kernel say that whatever program it becomes has no more rights, and no capability?"""
    said = dict(line.split(":\t", 1) for line in read("/proc/self/status").decode().splitlines())
    if said["NoNewPrivs"] == "1" and {said[f"Cap{kind}"].strip("0") for kind in ("Prm", "Eff", "Amb")} == {""}:
        raise PermissionError(errno.EPERM, "none")


def timers():
    for _ in range(1_000):
        call("timer_create", 0, None, ctypes.byref(ctypes.c_void_p()))


def threads():
    started = []
    try:
        for _ in range(10_000):
            started.append(threading.Thread(target=time.sleep, args=(0.5,), daemon=True))
            started[-1].start()
    except RuntimeError as error:
        raise PermissionError(errno.EAGAIN, f"{len(started) < 100} {error}") from None


ATTEMPTS = {
    "fork": os.fork,
    "vfork": lambda: subprocess.run(["/bin/true"], check=True),
    "posix_spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "clone3": lambda: system_call(435, 0, 0),
    "threads": threads,
    "/etc/shadow": lambda: read("/etc/shadow"),
    "/etc/passwd": lambda: read("/etc/passwd"),
    "the home folder": lambda: os.listdir(os.path.expanduser("~root")) and read("/root/.ssh/id_rsa"),
    "the worker's secret file": lambda: read(SECRET),
    "the worker's environment": environments,
    "the worker's open files": handles,
    "another policy's folder": lambda: [read(f"{OTHER}/mine.py")],
    "memory of process 1": lambda: open("/proc/1/mem", "r+b").close(),
    "root of process 1": lambda: read("/proc/1/root/etc/shadow"),
    "/proc/sysrq-trigger": lambda: os.open("/proc/sysrq-trigger", os.O_WRONLY),
    "/proc/sys": lambda: os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY),
    "/dev/mem": lambda: read("/dev/mem"),
    "the disk's device": lambda: read("/dev/vda"),
    "the internet": lambda: connect(socket.AF_INET, ("1.1.1.1", 80)),
    "the league's server": lambda: connect(socket.AF_INET, ("127.0.0.1", PORT)),
    "netlink": lambda: connect(socket.AF_NETLINK, (0, 0), socket.SOCK_RAW),
    "vsock": lambda: socket.socket(40, socket.SOCK_STREAM),
    "a pair of sockets of another family": lambda: socket.socketpair(30, socket.SOCK_SEQPACKET),
    "the kernel's ciphers": lambda: socket.socket(38, socket.SOCK_SEQPACKET),
    "raw packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "a socket of the worker": lambda: connect(socket.AF_UNIX, UNIX),
    "an abstract socket of the worker": lambda: connect(socket.AF_UNIX, f"\0{UNIX}"),
    "writing into the system": lambda: write("/usr/lib/written"),
    "writing into /": lambda: write("/written"),
    "writing into /dev": lambda: write("/dev/written"),
    "writing into Python": lambda: write(os.path.join(os.path.dirname(os.__file__), "written.py")),
    "writing into the package": lambda: write(os.path.join(sys.modules["metta"].__path__[0], "written.py")),
    "writing into its bundle": lambda: write("written.py"),
    "filling /tmp": lambda: fill("/tmp"),
    "filling /dev/shm": lambda: fill("/dev/shm"),
    "a file without end": lambda: (put("/tmp/sparse", ""), os.truncate("/tmp/sparse", 1 << 40)),
    "memory": lambda: mmap.mmap(-1, 8 << 30),
    "memory that counts as nobody's": lambda: os.memfd_create("hidden"),
    "shared memory": lambda: call("shmget", 0, ctypes.c_size_t(1 << 30), 0o1600),
    "locked memory": lambda: call("mlock", ctypes.create_string_buffer(1 << 16), ctypes.c_size_t(1 << 16)),
    "killing the worker": lambda: os.kill(WORKER, signal.SIGKILL),
    "killing everybody": lambda: os.killpg(WORKER, signal.SIGKILL),
    "ptrace": lambda: call("ptrace", 16, 1, 0, 0),
    "reading another process": lambda: system_call(310, 1, 0, 0, 0, 0, 0),
    "mount": lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "umount": lambda: call("umount2", b"/tmp", 2),
    "chroot": lambda: os.chroot("/tmp"),
    "unshare": lambda: call("unshare", 0x10000000),
    "setns": lambda: call("setns", os.open("/proc/1/ns/net", os.O_RDONLY), 0),
    "io_uring": lambda: system_call(425, 8, 0),
    "keyctl": lambda: system_call(250, 0, -3, 0),
    "add_key": lambda: system_call(248, 0, 0, 0, 0, 0),
    "bpf": lambda: system_call(321, 0, 0, 0),
    "perf": lambda: system_call(298, 0, 0, -1, -1, 0),
    "userfaultfd": lambda: system_call(323, 0),
    "a system call of the future": lambda: system_call(470, 0),
    "becoming root": lambda: os.setuid(0),
    "a device": lambda: os.mknod("/tmp/device", 0o60600, os.makedev(254, 0)),
    "the rights of a program's owner": no_new_rights,
    "a user of a namespace of its own": lambda: system_call(56, 0x10000000, 0, 0, 0, 0),
    "a handle of another process": lambda: system_call(434, 1, 0),
    "environment of process 1": lambda: read("/proc/1/environ"),
    "open files of process 1": lambda: os.listdir("/proc/1/fd"),
    "messages of the kernel": lambda: read("/proc/kmsg"),
    "a hard link to what lies elsewhere": lambda: os.link("/etc/ld.so.cache", "/tmp/link"),
    "rights of its bundle": lambda: os.chmod("mine.py", 0o777),
    "the worker's end of its output": lambda: os.open("/proc/self/fd/1", os.O_RDONLY),
    "a pipe without end": lambda: fcntl.fcntl(1, 1031, 1 << 24),
    "timers without end": timers,
    "processors of others": lambda: os.sched_setaffinity(0, range(os.cpu_count())),
    "time before others": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "greater limits": lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40)),
    "a better place when memory runs out": lambda: put("/proc/self/oom_score_adj", "-1000"),
    "typing into the terminal": lambda: call("ioctl", 2, 0x5412, b"x"),
    "the host's name": lambda: socket.sethostname("mine"),
    "the clock": lambda: time.clock_settime(time.CLOCK_REALTIME, 0),
    "reboot": lambda: call("reboot", 0x01234567),
    "modules of the kernel": lambda: system_call(175, 0, 0, 0),
}


class Policy:
    """Plays 1 for ever; `kw.…` tell it where there is something to be had."""

    def __init__(self, info, secret="", other="", port="0", unix="", worker="0"):
        global SECRET, OTHER, PORT, UNIX, WORKER
        SECRET, OTHER, PORT, UNIX, WORKER = secret, other, int(port), unix, int(worker)
        self._steps = 0

    def reset(self, agent, seed):
        self._steps = 0

    def act(self, observation):
        self._steps += 1
        if self._steps == 2:
            self.attack()
        return 1

    def attack(self):
        pass


class Tries(Policy):
    def __init__(self, info, **words):
        super().__init__(info, **words)
        while ATTEMPTS:  # once, however many agents it plays
            name, attempt = ATTEMPTS.popitem()
            self.attempt(name, attempt)
        sys.stdout.flush()

    def attempt(self, name, attempt):
        try:
            attempt()
        except (OSError, MemoryError, ValueError) as error:
            print(f"{name}: refused ({error})")
        else:
            print(f"{name}: DONE")


class ForkBomb(Policy):
    def attack(self):
        while True:
            os.fork()


class MemoryFlood(Policy):
    def attack(self):
        kept = []
        while True:
            kept.append(mmap.mmap(-1, 1 << 26))


class TakesALittleEverywhere(Policy):
    """Of each kind of memory as much as it may have: 60 MiB each."""

    def attack(self):
        self.kept = bytearray(os.urandom(1)) * (60 << 20)
        for folder in ("/tmp", "/dev/shm"):
            with open(f"{folder}/kept", "wb") as file:
                file.write(self.kept)


class OutputFlood(Policy):
    def attack(self):
        while True:
            os.write(1, b"spam " * 1_000)


class Sleeps(Policy):
    def attack(self):
        for kind in range(1, 32):
            if kind not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(kind, signal.SIG_IGN)
        while True:
            time.sleep(1_000)


class StaysBehind(Policy):
    def attack(self):
        threading.Thread(target=time.sleep, args=(1_000,)).start()
        os.closerange(3, 200)
        time.sleep(1_000)


class KillsItself(Policy):
    def attack(self):
        os.kill(os.getpid(), signal.SIGKILL)


class KillsEverything(Policy):
    def attack(self):
        for process in (-1, 1, os.getppid()):
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGTERM)


class Spins(Policy):
    def attack(self):
        while True:
            pass


class SpeaksNonsense(Policy):
    def attack(self):
        for handle in range(3, 256):
            try:
                os.write(handle, b"\xff" * 100)
            except OSError:
                continue


NOOP = bytes(4)
HEAD = struct.Struct("!II")  # as the wire to the worker has it: bytes of the text, bytes of the payload


class Forges(Policy):
    """Takes the wire to the worker into its own hands."""

    def attack(self):
        handles = (name for name in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{name}"))
        self.wire = next(int(one) for one in handles if os.readlink(f"/proc/self/fd/{one}").startswith("socket:"))
        self.forge()

    def say(self, text, payload=NOOP):
        data = text if isinstance(text, bytes) else json.dumps(text).encode()
        os.write(self.wire, HEAD.pack(len(data), len(payload)) + data + payload)


class AnswersBefore(Forges):
    def forge(self):
        for _ in range(100):
            self.say({"first": {}})


class NeverReads(Forges):
    def forge(self):
        while True:
            self.say({"first": {}})


class AnswersForOthers(Forges):
    def forge(self):
        self.say({"first": {}}, struct.pack("<8i", *[1] * 8))
        time.sleep(1_000)


class AnswersWithoutEnd(Forges):
    def forge(self):
        os.write(self.wire, HEAD.pack(2, (1 << 32) - 1) + b"{}")
        while True:
            os.write(self.wire, bytes(1 << 16))


class AnswersDeep(Forges):
    def forge(self):
        self.say(b'{"first":' * 100_000)


class AnswersNumbers(Forges):
    def forge(self):
        self.say(b'{"first": {"errors": ' + b"9" * 100_000 + b"}}")


class AnswersInDrops(Forges):
    def forge(self):
        for number in HEAD.pack(2, 4) + b"{}" + bytes(4):
            os.write(self.wire, bytes([number]))
            time.sleep(0.5)


class SendsHandles(Forges):
    def forge(self):
        answer = HEAD.pack(2, 4) + b"{}" + bytes(4)
        with socket.socket(fileno=os.dup(self.wire)) as wire:
            for _ in range(100):
                socket.send_fds(wire, [answer], [0, 1, 2])


class BecomesAnother(Policy):
    def attack(self):
        os.execv("/bin/sh", ["sh", "-c", "while :; do :; done"])


class Stops(Policy):
    def attack(self):
        os.kill(os.getpid(), signal.SIGSTOP)
