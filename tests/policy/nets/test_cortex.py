"""Settings of the recurrent core: what a pattern may say, and what comes of it."""

import re
import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError
from torch.utils.flop_counter import FlopCounterMode

from metta.policy.nets.components.cells import TOKENS
from metta.policy.nets.components.cortex import CortexSettings
from metta.policy.nets.modules.cells.lstm import Lstm
from metta.policy.nets.shapes import Shape
from tests.policy.nets.reference_core import ReferenceCore

GIVEN = Shape("vector", (128,))


def names(settings: CortexSettings) -> list[list[str]]:
    return [[cell.cell for cell in column] for column in settings.columns]


@pytest.mark.parametrize(
    ("pattern", "columns"),
    [
        ("Ag,A,S", [["agalite", "axon", "slstm"]] * 2),
        ("AXMS", [["axon", "attention", "mlstm", "slstm"]] * 2),
        ("AgAG", [["agalite", "axon", "mingru"]] * 2),
        ("L", [["lstm"]] * 2),
        (["Ag,A", "S"], [["agalite", "axon"], ["slstm"]]),
        ([["Ag", "A"], ["S"], ["C"]], [["agalite", "axon"], ["slstm"], ["conv"]]),
    ],
)
def test_a_pattern_says_which_cells_each_layer_has(pattern: str | list, columns: list[list[str]]) -> None:
    assert names(CortexSettings(pattern=pattern)) == columns


def test_cells_hold_just_those_of_the_pattern_with_every_setting() -> None:
    settings = CortexSettings.model_validate({"pattern": "Ag,S", "cells": {"Ag": {"heads": 4}, "X": {"memory": 7}}})
    assert set(settings.cells) == {"Ag", "S"}
    saved = settings.model_dump()
    assert saved["cells"]["Ag"] == {
        "cell": "agalite", "block": "gated", "factor": 4.0, "gate_bias": 2.0, "heads": 4, "eta": 6, "r": 2,
    }  # fmt: skip
    assert saved["num_layers"] == 2
    assert CortexSettings.model_validate(saved) == settings


def test_new_letters_may_stand_for_a_cell() -> None:
    settings = CortexSettings.model_validate({"pattern": "Z,S", "cells": {"Z": {"cell": "mlstm", "heads": 2}}})
    assert names(settings) == [["mlstm", "slstm"]] * 2
    assert settings.model_dump()["cells"]["Z"]["heads"] == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pattern": "Q,A"}, "no cell 'Q'.*known: L (LSTM), G (minGRU)"),
        ({"pattern": "AQ"}, "no cell 'Q'"),
        ({"pattern": "ag,S"}, "no cell 'ag'"),
        ({"pattern": ["Ag", ["q"]]}, "no cell 'q'"),
        ({"pattern": ""}, "no cell ''"),
        ({"pattern": []}, "names no layer"),
        ({"pattern": ["S", "A"], "num_layers": 3}, "num_layers=3, but the pattern lists 2"),
        ({"cells": {"Ag": {"heads": 3}}}, "cells.Ag: heads=3 does not divide its width 128"),
        ({"cells": {"Ag": {"hedas": 4}}}, "unknown key 'Ag.hedas' (did you mean heads?)"),
        ({"cells": {"Ag": {"heads": 0}}}, "Ag.heads=0"),
        ({"cells": {"S": {"cell": "slstn"}}}, "S.cell: there is no 'slstn' (did you mean slstm"),
        ({"cells": {"Q": {"heads": 4}}}, "'Q': say which `cell` it stands for"),
        ({"cells": {"a,b": {"cell": "mlstm"}}}, "'a,b': a cell's name in a pattern consists of letters"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(given: dict, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CortexSettings.model_validate(given)
    found = caught.value.errors()[0]["msg"]
    pattern = ".*".join(re.escape(part) for part in message.split(".*"))
    assert re.search(pattern, found) and "\n" not in found


def test_settings_are_checked_without_torch() -> None:
    code = "import sys, metta.policy.nets.components.cortex as c; c.CortexSettings(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_cell_of_the_table_tells_what_it_is() -> None:
    for cell in TOKENS.values():
        assert cell.title and cell.__doc__


def test_the_reference_core_has_as_many_parameters_as_the_original() -> None:
    core = CortexSettings().build(GIVEN, None)
    assert 1_450_000 <= sum(parameter.numel() for parameter in core.parameters()) <= 1_520_000


@pytest.mark.parametrize("pattern", ["Ag,A,S", "LGC", "M"])
@pytest.mark.parametrize("width", [64, 48])
def test_the_work_told_is_that_of_the_plain_formulas(pattern: str, width: int) -> None:
    settings = CortexSettings(d_hidden=64, pattern=pattern, num_layers=1, out=24)
    given = Shape("vector", (width,))
    core, time, batch = settings.build(given, None), 3, 8
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        x, resets = torch.randn(time, batch, width), torch.zeros(time, batch, dtype=torch.bool)
        ReferenceCore(core).unroll(x, core.initial_state(batch), resets)
    told = settings.work(given, None).forward
    assert counter.get_total_flops() / (time * batch) == pytest.approx(told, rel=0.05)


def test_the_output_may_be_projected_and_normalised() -> None:
    settings = CortexSettings(pattern="G", out=5, activation="tanh", post_norm=True)
    core = settings.build(GIVEN, None)
    output, _ = core.step(torch.randn(3, 128), core.initial_state(3))
    assert settings.output(GIVEN, None) == Shape("vector", (5,)) and output.shape == (3, 5)
    assert output.abs().max() <= 1


def test_the_router_learns_from_the_first_step_on() -> None:
    torch.manual_seed(0)
    core = CortexSettings(d_hidden=16, pattern="GAC", num_layers=1).build(Shape("vector", (16,)), None)
    before = core.initial_state(4)
    core.unroll(torch.randn(3, 4, 16), before, torch.zeros(3, 4, dtype=torch.bool)).pow(2).sum().backward()
    gradient = core.get_parameter("columns.0.router.weight").grad
    assert gradient is not None and gradient.abs().max() > 0


def test_an_lstm_keeps_the_names_of_torch() -> None:
    assert [name for name, _ in Lstm(3, 4).named_parameters()] == [
        "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0",
    ]  # fmt: skip
