"""Files to begin a policy of one's own with: `cogames make-policy`."""

from pathlib import Path
from typing import Literal, get_args

from metta.common.errors import UserError, suggest
from metta.common.files import ensure_new, writing

Kind = Literal["scripted", "trainable"]
NAME = "my_policy"  # of the module, in the templates


def make_policy_template(kind: Kind, out: Path) -> Path:
    """Write the template to a Python file that is not there yet. Raise UserError if that cannot be."""
    kinds = get_args(Kind)
    if kind not in kinds:
        raise UserError(f"no template {kind!r}{suggest(kind, kinds)}; there are {', '.join(kinds)}")
    out = Path(out)
    if out.suffix != ".py" or not out.stem.isidentifier():
        raise UserError(f"{out}: must be a name that Python can import, such as {NAME}.py")
    text = Path(__file__).with_name(f"{kind}.py").read_text()
    ensure_new(out)
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with open(out, "x") as file:
            file.write(text.replace(NAME, out.stem))
    return out
