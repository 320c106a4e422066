"""The package as it is handed out: a source archive, a wheel made of that, and the wheel without the repository."""

import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no repository says which files belong to it")
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def build(kind: str, source: Path, folder: Path) -> Path:
    command = [sys.executable, "-P", "-c", BUILD, f"build_{kind}", str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=True)
    return folder / done.stdout.split()[-1]


def tracked(*folders: str) -> list[str]:
    command = ["git", "ls-files", "-z", *folders]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")[:-1]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source archive, and the wheel that is built from what is in it."""
    folder = tmp_path_factory.mktemp("archives")
    copy = folder / "copy"
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_symlink():
            (copy / name).symlink_to((ROOT / name).readlink())
        elif (ROOT / name).is_file():
            (copy / name).write_bytes((ROOT / name).read_bytes())
    sdist = build("sdist", copy, folder)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return sdist, build("wheel", folder / sdist.name.removesuffix(".tar.gz"), folder)


def test_the_wheel_holds_every_file_of_the_package_settings_and_documents(archives: tuple[Path, Path]) -> None:
    names = set(zipfile.ZipFile(archives[1]).namelist())
    files = [Path(name) for name in tracked("metta", "recipes", "configs", "docs")]
    code = {file for file in files if file.parts[0] in ("metta", "recipes") and file.suffix not in ("", ".sh")}
    data = {"metta" / file for file in files if file.parts[0] == "configs" or file.match("docs/*.md")}
    assert len(code) > 300 and len(data) > 60
    assert not {str(file) for file in code | data} - names


def test_the_package_works_in_an_environment_of_its_own_outside_of_the_repository(
    archives: tuple[Path, Path], tmp_path: Path
) -> None:
    """Other packages are those of this environment, without what leads from there to the repository."""
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env/bin/python"
    (packages,) = (tmp_path / "env/lib").glob("*/site-packages")
    zipfile.ZipFile(archives[1]).extractall(packages)
    (packages / "others.pth").write_text(sysconfig.get_paths()["purelib"])

    def run(*words: str) -> str:
        command = [str(python), "-P", "-m", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert run("metta.cli.cogames", "version").strip().endswith(version)
    assert "cogsguard_machina_1" in run("metta.cli.cogames", "missions")
    assert "# Training" in run("metta.cli.cogames", "docs", "training")
    code = "import metta, recipes; from metta.config.layers import options; print(metta.__file__, options('agent'))"
    told = subprocess.run([str(python), "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert str(packages) in told.stdout and "'lstm'" in told.stdout
