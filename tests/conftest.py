"""What holds for all tests."""

import shutil
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from metta.common.ranks import available_cores

# How long an example takes says how busy the machine is. Examples are the same in every run;
# `pytest --hypothesis-profile explore` looks for others.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("shared", settings.get_profile("explore"), derandomize=True)
settings.load_profile("shared")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip

# Files that take a minute or more: they are begun first, so that no process ends long after the others.
LONG = (
    "game/test_cuda", "sweep/test_runs", "rl/test_trained_together", "test_notebooks", "rl/test_commands_together",
    "rl/learning/test_learning_together", "rl/test_launcher", "test_end_to_end", "launch/test_ssh", "test_gpu_book",
    "rl/test_machina1", "rl/run/test_wandb", "rl/run/test_interruptions", "game/test_reference",
    "rl/experience/test_external", "test_package", "test_benchmarks",
)  # fmt: skip


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: tests also wait, for clocks and for each other's processes."""
    return min(8, available_cores()) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files of tests for pytest-xdist, which hands them out one after the other (`--dist loadfile`)."""
    first = {f"tests/{name}.py": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: first.get(item.nodeid.partition("::")[0], len(LONG)))


@pytest.fixture(autouse=True)
def whole_numbers() -> Iterator[None]:
    """No test leaves a region of torch in which the tests after it would round."""
    yield
    if (torch := sys.modules.get("torch")) is not None:
        open_regions = torch.autocast_increment_nesting() - 1
        torch.autocast_decrement_nesting()
        assert not open_regions and not torch.is_autocast_enabled("cpu")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without a window; the test is skipped where there is none.

    One to a file of tests: while it is open its thread runs an event loop, and other tests run their own.
    """
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        yield browser
        browser.close()
