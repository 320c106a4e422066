"""The system calls that a sandbox refuses, as a program for the kernel's filter (seccomp, classic BPF).

A process is what the limits are for, so no second one can be made; threads can. New system calls are unknown here, so
they do not exist there. Numbers: the kernel's asm/unistd_64.h (x86_64) and asm-generic/unistd.h (aarch64).
"""

import errno
import struct

# By name: number on x86_64, on aarch64.
REFUSED: dict[str, tuple[int | None, int | None]] = {
    # Other processes.
    "fork": (57, None), "vfork": (58, None), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "kcmp": (312, 272), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440), "process_mrelease": (448, 448),
    # Namespaces and mounts.
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    # The machine.
    "swapon": (167, 224), "swapoff": (168, 225), "reboot": (169, 142), "sethostname": (170, 161),
    "setdomainname": (171, 162), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "iopl": (172, None), "ioperm": (173, None),
    "acct": (163, 89), "quotactl": (179, 60), "quotactl_fd": (443, 443), "syslog": (103, 116),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    "vhangup": (153, 58), "personality": (135, 92), "modify_ldt": (154, None), "uselib": (134, None),
    "ustat": (136, None), "sysfs": (139, None), "_sysctl": (156, None), "lookup_dcookie": (212, 18),
    # Parts of the kernel that many an escape began with.
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "io_setup": (206, 0), "io_submit": (209, 2),
    "vmsplice": (278, 75),
    # Memory that counts as nobody's.
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196),
    "shmctl": (31, 195), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180), "mbind": (237, 235),
    "set_mempolicy": (238, 237), "migrate_pages": (256, 238), "move_pages": (279, 239),
    "set_mempolicy_home_node": (450, 450),
    # Processors of others.
    "sched_setaffinity": (203, 122),
}  # fmt: skip
MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}  # the kernel's name for it, its column above
# Judged by their arguments, or unknown here: clone3.
JUDGED = {"clone": (56, 220), "clone3": (435, 435), "socket": (41, 198), "socketpair": (53, 199), "ioctl": (16, 29)}
NEWEST = 462  # number of the last system call that was known when this was written
OTHER_KIND = 0x40000000  # from this number on: x86_64's calls with 32-bit pointers
CLONE_THREAD = 0x00010000
AF_UNIX = 1
TERMINAL = (0x5412, 0x541C)  # ioctls that type into a terminal: TIOCSTI, TIOCLINUX

LOAD, EQUAL, ABOVE, ANY_BIT, RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
NUMBER, MACHINE, FIRST, SECOND = 0, 4, 16, 24  # where these lie in what the kernel shows; arguments: their lower half
ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000

Step = tuple[int, int, int, int]  # operation, steps to skip if so, if not, operand


def filter_program(machine: str) -> bytes:
    """The program for a machine. Raises KeyError for one that is not known."""
    name, column = MACHINES[machine]
    steps: list[Step] = [(LOAD, 0, 0, MACHINE), (EQUAL, 1, 0, name), (RETURN, 0, 0, KILL), (LOAD, 0, 0, NUMBER)]
    if column == 0:
        steps += [(ABOVE, 0, 1, OTHER_KIND - 1), (RETURN, 0, 0, KILL)]
    steps += [(ABOVE, 0, 1, NEWEST), _fail(errno.ENOSYS)]
    for numbers in REFUSED.values():
        if (number := numbers[column]) is not None:
            steps += [(EQUAL, 0, 1, number), _fail(errno.EPERM)]
    # Its flags lie out of sight: libc takes clone.
    steps += [(EQUAL, 0, 1, JUDGED["clone3"][column]), _fail(errno.ENOSYS)]
    allow: Step = (RETURN, 0, 0, ALLOW)
    threads: list[Step] = [(LOAD, 0, 0, FIRST), (ANY_BIT, 1, 0, CLONE_THREAD), _fail(errno.EPERM), allow]
    local: list[Step] = [(LOAD, 0, 0, FIRST), (EQUAL, 1, 0, AF_UNIX), _fail(errno.EAFNOSUPPORT), allow]
    typing: list[Step] = [(LOAD, 0, 0, SECOND)]
    for request in TERMINAL:
        typing += [(EQUAL, 0, 1, request), _fail(errno.EPERM)]
    parts = {"clone": threads, "socket": local, "socketpair": local, "ioctl": [*typing, allow]}
    for call, part in parts.items():
        steps += [(EQUAL, 0, len(part), JUDGED[call][column]), *part]
    steps.append(allow)
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _fail(error: int) -> Step:
    return RETURN, 0, 0, FAIL | error
