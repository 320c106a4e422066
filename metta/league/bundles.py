"""Uploaded bundles, looked at without running anything in them: is it a sound zip file that says what plays?"""

import json

from metta.common.errors import UserError
from metta.policy.stored.sources.archive import MAGIC, Archive
from metta.policy.stored.sources.place import MOST_SPEC_BYTES, SPEC

ORIGIN = "upload"  # what messages call it


def check_bundle(data: bytes) -> None:
    """Raise UserError for what is no zip file with a spec, and for a hostile one."""
    if not data.startswith(MAGIC):
        raise UserError(f"{ORIGIN}: no zip file")
    archive = Archive(data, ORIGIN)
    if not archive.has(SPEC):
        raise UserError(f"{ORIGIN}: no policy bundle, it has no {SPEC} (cogames create-bundle makes one)")
    try:
        spec = json.loads(archive.read(SPEC, MOST_SPEC_BYTES))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{ORIGIN}: {SPEC}: no JSON ({str(error)[:100]})") from None
    if not isinstance(spec, dict) or not isinstance(spec.get("class_path"), str) or not spec["class_path"]:
        raise UserError(f"{ORIGIN}: {SPEC}: class_path does not say which class plays")
