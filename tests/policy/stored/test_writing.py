"""safetensors files as we write them, read by safetensors itself."""

import hashlib
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, load_file

from metta.policy.stored.forms.writing import TYPES, on_host, serialized, write_tensors

SHAPES = st.lists(st.integers(0, 4), max_size=3)


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.tuples(st.sampled_from([*TYPES]), SHAPES), max_size=8))
def test_safetensors_reads_back_every_type_and_shape(kinds: dict[str, tuple[torch.dtype, list[int]]]) -> None:
    kinds = {name: kind for name, kind in kinds.items() if name != "__metadata__"}
    tensors = {name: (torch.rand(shape) * 100).to(dtype) for name, (dtype, shape) in kinds.items()}
    read = load(b"".join(serialized(tensors)))
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype and torch.equal(read[name], tensor)


def test_a_written_file_has_the_hash_that_is_told(tmp_path: Path) -> None:
    told = write_tensors(tmp_path / "a", {"x": torch.arange(1000.0), "y": torch.tensor(3)})
    assert told == hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest()
    assert load_file(tmp_path / "a")["y"] == 3


@pytest.mark.parametrize("tensor", [torch.arange(12.0).view(3, 4).T, torch.ones(3, requires_grad=True)])
def test_what_lies_otherwise_is_laid_out_first(tensor: torch.Tensor) -> None:
    assert torch.equal(load(b"".join(serialized(on_host({"x": tensor}))))["x"], tensor)
