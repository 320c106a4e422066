"""What all that talks to Weights & Biases shares: whether someone is logged in, what things are called there.

The client itself is imported where it is used: that takes a second.
"""

import logging
import netrc
import os
import re
from types import ModuleType
from urllib.parse import urlparse

NAME_LENGTH = 128
ARTIFACT_TYPE = "model"
PROJECT = "metta"  # where nothing else is said


def wandb_client() -> ModuleType:
    """The client's module, kept from printing and prompting."""
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # else an exit waits for reports to a server that hangs
    import wandb

    logging.getLogger("wandb").setLevel(logging.ERROR)
    return wandb


def logged_in() -> bool:
    """Whether a key for W&B is there, without asking anybody for one."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    settings = wandb_client().setup().settings
    if settings.api_key:
        return True
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(urlparse(settings.base_url).netloc) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def artifact_name(run: str) -> str:
    """Under which name a run's checkpoints are kept: the run's, with what W&B does not allow shown as '-'."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", run)[:NAME_LENGTH]


def one_line(error: BaseException) -> str:
    """An error of the client in a line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
