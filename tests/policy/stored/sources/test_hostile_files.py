"""Files from strangers: each is refused in one line, runs nothing, writes nothing and takes little memory."""

import json
import os
import pickle
import re
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save as save_tensors

from metta.common.errors import UserError
from metta.policy.nets.interface import PolicyNet
from metta.policy.stored.sources.place import SPEC
from metta.policy.stored.uri import find_bundle

ROOT = Path(__file__).parents[4]
OWNED = "owned"  # the file that hostile code would write
Make = Callable[[Path, PolicyNet], Path]


class Exploit:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (os.system, (f"touch {self.path / OWNED}",))


def spec(folder: Path, net: PolicyNet, **changes: object) -> Path:
    """A bundle of few words with one thing wrong."""
    made = folder / "bundle"
    made.mkdir()
    (made / "w.safetensors").write_bytes(save_tensors(net.state_dict()))
    words = {"class_path": "metta.policy.nets.lstm.LstmNet", "data_path": "w.safetensors"}
    (made / SPEC).write_text(json.dumps({**words, "init_kwargs": {"hidden_size": 8}, **changes}))
    return made


def file(folder: Path, data: bytes, name: str = "w.safetensors") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def saved(folder: Path, content: object, **options: bool) -> Path:
    torch.save(content, folder / "w.pt", **options)
    return folder / "w.pt"


class Calls:
    """Pickled as a call of `made` with `args`, and then of its `__setstate__` with `state`."""

    def __init__(self, made: Any, args: tuple, state: object = None) -> None:
        self.parts = (made, args, state) if state is not None else (made, args)

    def __reduce__(self) -> tuple:
        return self.parts


def array(shape: object, data: object, dtype: object = np.dtype("f8")) -> Calls:
    return Calls(np.zeros(0).__reduce__()[0], (np.ndarray, (0,), b"b"), (1, shape, dtype, False, data))


def beside(folder: Path, *values: object) -> Path:
    """A torch file with weights and hostile data of numpy beside them."""
    return saved(folder, {"model": {"w": torch.zeros(1)}, "beside": list(values)})


def many_of_one(folder: Path, net: PolicyNet) -> Path:
    """200 kB that are told to be the content of 20,000 arrays: 4 GB."""
    data = bytes(200_000)
    return beside(folder, *(array((25_000,), data, np.dtype(">f8")) for _ in range(20_000)))


def pickled(folder: Path, net: PolicyNet) -> Path:
    return file(folder, pickle.dumps(Exploit(folder)), "w.pt")


def bundled_pickle(folder: Path, net: PolicyNet) -> Path:
    made = spec(folder, net, data_path="w.pt")
    saved(made, {"model": Exploit(folder)})
    return made


def zip_of(folder: Path, *names: str, data: bytes = b"x", mode: int = 0o100644) -> Path:
    with zipfile.ZipFile(folder / "w.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(SPEC, "{}")
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return folder / "w.zip"


def flipped_zip(folder: Path, net: PolicyNet) -> Path:
    """A bundle's zip file with one byte of the weights changed."""
    made = spec(folder, net)
    with zipfile.ZipFile(folder / "f.zip", "w") as archive:
        for entry in sorted(made.iterdir()):
            archive.write(entry, entry.name)
    data = bytearray((folder / "f.zip").read_bytes())
    data[len(data) // 2] ^= 1
    return file(folder, bytes(data), "f.zip")


def endless_directory(folder: Path, net: PolicyNet) -> Path:
    """A zip file whose directory alone is 12 MB."""
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    directory = entry * 250_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(directory), 4, 0)
    return file(folder, b"PK\x03\x04" + directory + end, "w.zip")


def torch_bomb(folder: Path, net: PolicyNet) -> Path:
    """A torch file packed anew, so that 120 MB of zeros take 120 KB."""
    path = saved(folder, {"model": {"w": torch.zeros(30_000_000)}})
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(folder / "b.pt", "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    path.unlink()
    return folder / "b.pt"


def lying_storage(folder: Path, net: PolicyNet) -> Path:
    """A torch file whose storage of 200 numbers is declared to hold 10**12."""
    path = saved(folder, {"model": {"w": torch.zeros(200)}})
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(folder / "l.pt", "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("data.pkl"):
                assert data.count(b"K\xc8") == 2
                data = data.replace(b"K\xc8", b"\x8a\x06" + (10**12).to_bytes(6, "little"))
            target.writestr(name, data)
    return folder / "l.pt"


def lying_old_storage(folder: Path, net: PolicyNet) -> Path:
    """The same in the old format."""
    path = saved(folder, {"w": torch.zeros(200)}, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    assert data.count(b"K\xc8") == 2
    return file(folder, data.replace(b"K\xc8", b"\x8a\x06" + (10**12).to_bytes(6, "little")), "l.pt")


def link(folder: Path, net: PolicyNet, name: str) -> Path:
    made, secret = spec(folder, net), folder / "secret"
    (made / name).rename(secret)
    (made / name).symlink_to(secret)
    return made


def tensors(net: PolicyNet, **changes: torch.Tensor) -> bytes:
    return save_tensors({**net.state_dict(), **changes})


def header(text: bytes, length: int | None = None) -> bytes:
    return (len(text) if length is None else length).to_bytes(8, "little") + text


HEAD = "_action_head.bias"
CORPUS: dict[str, tuple[Make, str]] = {
    "a torch file that runs code": (lambda at, net: saved(at, {"model": Exploit(at)}), r"system.*trust_pickle=true"),
    "the same in the old format": (
        lambda at, net: saved(at, {"model": Exploit(at)}, _use_new_zipfile_serialization=False),
        r"system.*trust_pickle=true",
    ),
    "an array of numpy larger than its bytes": (lambda at, net: beside(at, array((10**12,), bytes(8))), "differ"),
    "an array of numpy that is told a giant size": (lambda at, net: beside(at, Calls(np.ndarray, (10**12,))), "w"),
    "an array of numpy of a negative size": (lambda at, net: beside(at, array((-1, -1), bytes(8))), "differ"),
    "an array of numpy without a type": (lambda at, net: beside(at, array((1,), bytes(8), "f8")), "differ"),
    "an array of numpy that lies about objects": (
        lambda at, net: beside(at, array((1,), [Exploit(at)], np.dtype("O"))),
        r"trust_pickle=true",
    ),
    "a type of numpy with fields": (
        lambda at, net: beside(at, Calls(np.dtype, ("f8",), (3, "<", None, ("a",), {"a": 1}, 8, 1, 0))),
        "several parts",
    ),
    "a type of numpy that is giant": (lambda at, net: beside(at, Calls(np.dtype, ("U999999999999",))), "no plain"),
    "giant bytes": (lambda at, net: beside(at, Calls(bytes, (10**12,))), "w"),
    "the larger part of many arrays in one": (many_of_one, "larger than the file"),
    "a bare pickle": (pickled, r"trust_pickle=true"),
    "a bundle whose weights run code": (bundled_pickle, r"system.*trust_pickle=true"),
    "a zip that leads up": (lambda at, net: zip_of(at, f"../{OWNED}"), "leads out"),
    "a zip that leads up by backslashes": (lambda at, net: zip_of(at, f"a\\..\\..\\{OWNED}"), "leads out"),
    "a zip that leads to the root": (lambda at, net: zip_of(at, f"/tmp/{OWNED}"), "leads out"),
    "a zip with a link": (lambda at, net: zip_of(at, "l", data=b"/etc/passwd", mode=0o120777), "link"),
    "a zip bomb": (lambda at, net: zip_of(at, "w.safetensors", data=bytes(120_000_000)), "zip bomb"),
    "a zip of too many files": (lambda at, net: zip_of(at, *map(str, range(2500))), r"2,501 files"),
    "a zip with two files of one name": (lambda at, net: zip_of(at, SPEC), "two files of one name"),
    "a zip with an endless directory": (endless_directory, "directory is too large"),
    "a zip cut short": (lambda at, net: file(at, zip_of(at, "a").read_bytes()[:-9]), "no sound zip|cannot be read"),
    "a zip with a flipped byte": (flipped_zip, r"f\.zip/w\.safetensors: damaged or cut short"),
    "a torch file that is a bomb": (torch_bomb, "zip bomb"),
    "a torch file that lies about a storage": (lying_storage, "cannot be read"),
    "an old torch file that lies about a storage": (lying_old_storage, "cannot be read"),
    "a tensor that is larger than its file": (
        lambda at, net: saved(at, {"w": torch.zeros(1).expand(10**12)}),
        "weights larger than",
    ),
    "sparse weights": (lambda at, net: saved(at, {"w": torch.eye(3).to_sparse()}), "no plain tensor|weights_only"),
    "no weights at all": (lambda at, net: saved(at, {"epoch": 3, "lr": 0.1}), "there is none, but 'epoch', 'lr'"),
    "a number in place of weights": (lambda at, net: saved(at, 7), "holds no weights but a int"),
    "safetensors cut short": (lambda at, net: file(at, tensors(net)[:-10]), "cut short or damaged"),
    "safetensors cut within the header": (lambda at, net: file(at, tensors(net)[:100]), "cut short or damaged"),
    "a header of 10 GB": (lambda at, net: file(at, header(b"{}", 10 << 30)), "a header of 10,737,418,240 bytes"),
    "a header that points outside": (
        lambda at, net: file(at, header(b'{"w":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}')),
        "cut short or damaged",
    ),
    "weights that are integers": (
        lambda at, net: file(at, tensors(net, **{HEAD: torch.zeros(5, dtype=torch.int64)})),
        f"{HEAD} holds int64",
    ),
    "weights that are no numbers": (
        lambda at, net: file(at, tensors(net, **{HEAD: torch.full((5,), torch.nan)})),
        f"{HEAD} holds infinities or NaN",
    ),
    "weights of another shape": (
        lambda at, net: file(at, tensors(net, **{"_value_head.weight": torch.zeros(2, 8)})),
        r"nearest is lstm, where _value_head\.weight is 2x8, not 1x8$",
    ),
    "weights of no net": (
        lambda at, net: file(at, save_tensors({"conv.weight": torch.zeros(3, 4)})),
        r"none of the nets lstm.*conv\.weight 3x4",
    ),
    "a spec that names a program": (
        lambda at, net: spec(at, net, class_path="os.system"),
        r"unknown class 'os\.system'; it is not imported",
    ),
    "a spec with a script": (lambda at, net: spec(at, net, setup_script="setup.sh"), "setup_script"),
    "a spec whose weights lie elsewhere": (lambda at, net: spec(at, net, data_path="../secret"), "leaves the folder"),
    "a spec of a giant net": (lambda at, net: spec(at, net, init_kwargs={"hidden_size": 8000}), "weights do not fit"),
    "a spec of an endless net": (
        lambda at, net: spec(at, net, class_path="MlpNet", init_kwargs={"layers": 10**9}),
        "layers is no setting",
    ),
    "a spec of unknown settings": (
        lambda at, net: spec(at, net, init_kwargs={"hiden_size": 8}),
        "did you mean hidden_size",
    ),
    "a spec of settings of another kind": (
        lambda at, net: spec(at, net, init_kwargs={"hidden_size": "os"}),
        r"hidden=.os.: should be a valid integer",
    ),
    "a spec with a hash that does not match": (
        lambda at, net: spec(at, net, sha256={"w.safetensors": "0" * 64}),
        "its SHA-256 does not match",
    ),
    "a spec with features out of range": (
        lambda at, net: spec(at, net, features=[[300, "tag", 10]]),
        "features.*less than or equal to 254",
    ),
    "a spec with more actions than atoms": (
        lambda at, net: spec(at, net, observation_shape=[3], action_sizes=[1000] * 20),
        "more than 65,536 actions",
    ),
    "a spec of ten thousand brackets": (lambda at, net: file(spec(at, net), b"[" * 10_000, SPEC), "no JSON"),
    "a spec of two megabytes": (lambda at, net: file(spec(at, net), b" " * (2 << 20), SPEC), "larger than"),
    "a bundle whose weights are a link": (lambda at, net: link(at, net, "w.safetensors"), "leads out of its folder"),
    "a bundle whose spec is a link": (lambda at, net: link(at, net, SPEC), "leads out of its folder"),
    "something else": (lambda at, net: file(at, b"GIF89a" * 100, "w.pt"), "neither safetensors, a torch file"),
    "weights of nothing": (lambda at, net: file(at, b"\x02" + bytes(7) + b"{}", "w.safetensors"), "holds no weights"),
    "nothing": (lambda at, net: file(at, b"", "w.pt"), "neither safetensors, a torch file"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", CORPUS)
def test_a_hostile_file_is_refused_in_one_line(name: str, tmp_path: Path, net: PolicyNet, capfd: pytest.CaptureFixture):
    make, problem = CORPUS[name]
    path = make(tmp_path, net)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError) as error:
        find_bundle(str(path), tmp_path).build()
    message = str(error.value)
    assert re.search(problem, message) and "\n" not in message and len(message) < 600, message
    assert sorted(tmp_path.rglob("*")) == before and not Path("/tmp", OWNED).exists()
    assert capfd.readouterr() == ("", "")


def test_a_pipe_in_place_of_weights_does_not_block(tmp_path: Path, net: PolicyNet):
    made = spec(tmp_path, net)
    (made / "w.safetensors").unlink()
    os.mkfifo(made / "w.safetensors")
    with pytest.raises(UserError, match="no plain file"):
        find_bundle(str(made))


MEASURE = """
import re, sys
from metta.common.errors import UserError
import metta.policy.stored.bundle  # and torch with it
from metta.policy.stored.uri import find_bundle
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024
before = peak()
for path in sys.argv[1:]:
    try:
        find_bundle(path).build()
        print("accepted", path)
    except UserError:
        pass
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
def test_files_that_announce_terabytes_take_little_memory(tmp_path: Path, net: PolicyNet):
    words = ("bomb", "lies", "larger", "GB", "endless", "giant")
    names = [name for name in CORPUS if any(word in name for word in words)]
    paths = []
    for index, name in enumerate(names):
        (tmp_path / str(index)).mkdir()
        paths.append(str(CORPUS[name][0](tmp_path / str(index), net)))
    command = [sys.executable, "-c", MEASURE, *paths]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(names) == 15 and int(done.stdout) < 60, done.stdout  # MB
