"""YAML whose words mean what they mean on a command line: only `true` and `false` are truth values, and numbers are
decimal. YAML 1.1 reads `yes` as true, `010` as 8 and `1:30` as 90; here all of them are text, as a word of such a form
is, which the setting then takes or refuses. `1e3` is a number. A key that comes twice is an error.
"""

import re
from typing import Any

import yaml
from yaml.composer import ComposerError

STARTS = "-+.0123456789"
BREAKS = re.compile("[\x85\u2028\u2029]")
KEPT = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")
FORMS = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)", STARTS),
    (
        "float",
        r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+)"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        STARTS,
    ),
)


class Loader(yaml.SafeLoader):
    """Reads plain values."""

    yaml_implicit_resolvers = {
        start: [form for form in forms if form[0] in KEPT]
        for start, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        keys: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in keys:
                    raise ComposerError(None, None, f"the key {key.value} comes twice", key.start_mark)
                keys.add((key.tag, key.value))
        return node


class Dumper(yaml.SafeDumper):
    """Writes plain values so that `Loader` and readers of YAML 1.1 read the same."""

    yaml_implicit_resolvers = {start: [*forms] for start, forms in yaml.SafeDumper.yaml_implicit_resolvers.items()}

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """PyYAML folds line breaks of Unicode as if they were spaces; between double quotes they are escaped."""
        style = '"' if BREAKS.search(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)


Dumper.add_representer(str, Dumper.represent_str)

for _name, _form, _starts in FORMS:
    for _kind in (Loader, Dumper):
        _kind.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"^(?:{_form})$"), list(_starts))


def load(text: str) -> Any:
    """What a text means. Raises yaml.YAMLError."""
    return yaml.load(text, Loader)


def dump(document: Any, dumper: type[Dumper] = Dumper, **options: Any) -> str:
    """A document of plain values, in its own order."""
    return yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True, **options)
