"""What a run is called where its own name cannot be used."""

import hashlib
import re

LONGEST = 50  # characters: Kubernetes adds its own to 63


def session_name(run: str) -> str:
    """For tmux, to which dots and colons mean something."""
    return f"metta-{re.sub(r'[.:]', '_', run)}"


def dns_label(run: str) -> str:
    """For clusters: small letters, digits and dashes. Where that changes the name a digest keeps two runs apart."""
    label = re.sub(r"[^a-z0-9]+", "-", run.lower()).strip("-")
    if label == run and len(label) <= LONGEST and label[0].isalpha():
        return label
    digest = hashlib.sha256(run.encode()).hexdigest()[:6]
    return f"r-{label[: LONGEST - 9].strip('-')}-{digest}"
