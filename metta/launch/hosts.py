"""The machines that ssh reaches, by name, from a YAML file."""

from pydantic import Field, PositiveFloat

from metta.common.documents import read_yaml
from metta.common.errors import UserError, suggest
from metta.common.settings import Settings, validated
from metta.config.files import CONFIGS

ROOT = CONFIGS.resolve().parent  # of the project: where devops/ lies
MOST_BYTES = 100_000


class Host(Settings):
    """One machine. `container` is where the commands run, through `docker exec`; without one they run on the host."""

    address: str = Field(description="name or number of the machine")
    user: str = "metta"
    port: int = Field(default=22, ge=1, le=65535)
    identity: str | None = Field(default=None, description="file of the private key; default: ssh's own")
    ssh_options: list[str] = Field(default=[], description="more of them, as StrictHostKeyChecking=yes")
    container: str | None = None
    data_dir: str = Field(default="/workspace/metta/train_dir", description="where runs lie, seen by the commands")
    aws: str = Field(default="/usr/local/bin/aws", description="the AWS command there")
    answer_seconds: PositiveFloat = Field(default=10, le=600, description="to wait until the machine answers")


class HostsFile(Settings):
    """The whole file."""

    hosts: dict[str, Host]


def read_hosts(path: str) -> dict[str, Host]:
    """The hosts of a file, whose path is relative to the folder of the project. Raises UserError."""
    return validated(HostsFile, read_yaml(ROOT / path, MOST_BYTES), f"{path}:").hosts


def find_host(name: str, path: str) -> Host:
    """The host of that name. Raises UserError with the nearest."""
    hosts = read_hosts(path)
    if name not in hosts:
        raise UserError(f"no host '{name}'{suggest(name, hosts)}: {path} has {', '.join(hosts) or 'none'}")
    return hosts[name]
