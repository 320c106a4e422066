"""A library that is not there costs one line that names the extra."""

import sys
from importlib import import_module

import pytest

from metta.common.errors import MissingExtraError


@pytest.mark.parametrize(
    ("adapter", "library", "extra"),
    [
        ("gymnasium", "gymnasium", "gymnasium"),
        ("pettingzoo", "pettingzoo", "pettingzoo"),
        ("puffer", "pufferlib", "puffer"),
    ],
)
def test_a_missing_library_names_its_extra(adapter: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name.split(".")[0] == library or name == f"metta.adapters.{adapter}"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf"^{library} is not installed: pip install 'metta\[{extra}\]'$"):
        import_module(f"metta.adapters.{adapter}")
