"""Numbers and arrays of numpy beside the tensors are data: they load, as they were, without trust."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metta.common.errors import UserError
from metta.policy.nets.interface import PolicyNet
from metta.policy.stored.forms.torch_file import load_torch

Plays = Callable[..., bool]
DATA = {
    "whole number": np.int32(-7), "truth": np.bool_(True), "half": np.float16(0.5), "complex": np.complex64(2j),
    "text": np.str_("größe"), "no text": np.str_(""), "bytes": np.bytes_(b"\x00\xff"), "wide": np.longdouble(3),
    "time": np.datetime64("2026-03-01T10:00", "ms"), "span": np.timedelta64(5, "D"), "no time": np.datetime64("NaT"),
    "matrix": np.arange(6.0).reshape(2, 3), "by columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "a view": np.arange(500, dtype=np.uint16)[::3], "other byte order": np.arange(300, dtype=">i4"),
    "one cell": np.array(2.5), "nothing": np.zeros((0, 4), np.float32), "names": np.array(["a", "bcd"]),
    "flags": np.array([True, False]), "days": np.array(["2026-01-01"], "M8[D]"),
}  # fmt: skip


def loaded(content: Any, **options: bool) -> Any:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return load_torch(file.getvalue(), "w.pt", False)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", DATA)
def test_plain_numbers_and_arrays_come_back_as_they_were(name: str, zipped: bool):
    value, tensor = DATA[name], torch.arange(3.0)
    found = loaded({"at": [value], "w": tensor}, _use_new_zipfile_serialization=zipped)
    (back,) = found["at"]
    assert back.dtype == value.dtype.newbyteorder("=")  # as numpy itself has it
    assert back.shape == value.shape and torch.equal(found["w"], tensor)
    np.testing.assert_array_equal(np.asarray(back), value)


def test_the_state_of_numpys_random_numbers_comes_back():
    state = np.random.RandomState(4).get_state()
    again = np.random.RandomState(0)
    again.set_state(loaded(state))
    assert again.random() == np.random.RandomState(4).random()


@pytest.mark.parametrize(
    "content",
    [
        lambda state: {"model": state, "step": np.int64(12), "returns": np.linspace(0, 1, 40)},
        lambda state: {"optimizer": {"lr": np.float32(0.1)}, "policy_state_dict": state},
        lambda state: {"state_dict": {**state, "epoch": np.int64(3), "notes": "late", "best": None}},
        lambda state: {**state, "scores": np.zeros(3), "step": 4},
    ],
)
def test_weights_with_such_data_beside_them_play(
    content: Callable[[dict], dict], tmp_path: Path, net: PolicyNet, plays: Plays, capsys: pytest.CaptureFixture[str]
):
    torch.save(content(dict(net.state_dict())), tmp_path / "w.pt")
    assert plays(str(tmp_path / "w.pt")) and plays(str(tmp_path / "w.pt"))
    assert len(capsys.readouterr().err.splitlines()) == 1  # that there is no spec is said once


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"model": {"w": np.ones(2), "b": np.zeros(1)}, "step": 3}, "'model' is no module and .* 'w': ndarray"),
        ({"model": {"w": torch.ones(2), "opt": {"lr": 1}}}, "'model' is .*dict of 'opt': dict"),
        ({"policy": "v7", "step": np.int64(1)}, "'policy' is no module and no dict of tensors, but a str"),
        ({"step": np.int64(1), "lr": 0.1}, "of 'model', .*there is none, but 'step', 'lr'"),
        (np.zeros(3), "holds no weights but a ndarray"),
    ],
)
def test_where_no_weights_are_the_message_says_what_is_there(content: Any, problem: str, tmp_path: Path, plays: Plays):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(UserError, match=problem):
        plays(str(tmp_path / "w.pt"))


@pytest.mark.parametrize(
    "value",
    [np.array([1, None, "x"], object), np.zeros(2, [("a", "i4")]), np.void(b"abc"), np.random.default_rng(0),
     np.ma.masked_array(np.arange(2)), np.array([{}]), np.poly1d([1, 2])],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_objects_and_records_stay_refused(value: Any):
    with pytest.raises(UserError, match=r"trust_pickle=true"):
        loaded({"model": {"w": torch.ones(1)}, "more": value})


LONG = b"X" + (100_000).to_bytes(4, "little") + b"a" * 100_000
HUNGRY = {
    "bytes of any size": b"\x80\x02(cbuiltins\nbytearray\nJ\x00\x00\x00\x40\x85Rt.",
    "a text over and over": b"\x80\x02(" + LONG + b"q\x00X\x06\x00\x00\x00utf-32q\x01c_codecs\nencode\nq\x02"
    + b"h\x02h\x00h\x01\x86R" * 2_000 + b"t.",
}  # fmt: skip


@pytest.mark.parametrize("name", HUNGRY)
@pytest.mark.parametrize("member", ["x/data.pkl", "X/DATA.PKL", ""])
def test_a_few_bytes_that_ask_for_memory_are_refused(name: str, member: str):
    file = io.BytesIO()
    if member:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(member, HUNGRY[name])
    else:
        torch.save({}, file, _use_new_zipfile_serialization=False)
        saved = io.BytesIO(file.getvalue())
        for _ in range(3):
            pickle.load(saved)
        head, file = saved.getvalue()[: saved.tell()], io.BytesIO()
        file.write(head + HUNGRY[name] + pickle.dumps([], 2))
    with pytest.raises(UserError, match=r"Unsupported (bytearray|text)"):
        load_torch(file.getvalue(), "hers.pt", trust_pickle=False)
