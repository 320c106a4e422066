"""Zip files, read in memory and never unpacked. They may come from strangers."""

import io
import stat
from pathlib import PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from metta.common.errors import UserError
from metta.policy.stored.sources.place import MOST_BYTES, BrokenBundleError, leads_out

MAGIC = b"PK\x03\x04"
MOST_MEMBERS = 2_000
MOST_PATH, MOST_PART, MOST_DEPTH = 1_024, 255, 32  # bytes of a path and of each part, folders above a file
MOST_RATIO = 100  # unpacked to packed; weights hardly shrink
SMALL = 1 << 20  # bytes to which any ratio is allowed
CHUNK = 1 << 20


class _Pieces(io.BytesIO):
    """Refuses to hand out much at once: a directory of millions of members is not even listed."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = self.getbuffer().nbytes - self.tell() if size is None or size < 0 else size
        if data > 4 * CHUNK:
            raise BadZipFile("its directory is too large")
        return super().read(size)


class Archive:
    """The files of a zip file, those of its single folder if there is one. Raise UserError for a hostile one,
    BrokenBundleError for a damaged one."""

    def __init__(self, data: bytes, origin: str) -> None:
        self.origin = origin
        try:
            self._zip = ZipFile(_Pieces(data))
        except (BadZipFile, NotImplementedError, ValueError, OSError) as error:
            raise BrokenBundleError(f"{origin}: no sound zip file ({error})") from None
        self._check(len(data))
        names = [member.filename for member in self._zip.infolist() if not member.is_dir()]
        tops = {name.split("/")[0] for name in names}
        inside = all("/" in name for name in names)
        self._prefix = f"{tops.pop()}/" if inside and len(tops) == 1 else ""

    def _check(self, packed: int) -> None:
        infos = self._zip.infolist()
        if len(infos) > MOST_MEMBERS:
            raise UserError(f"{self.origin}: {len(infos):,} files in the zip, more than {MOST_MEMBERS:,}")
        for info in infos:
            if problem := _problem(info):
                raise UserError(f"{self.origin}: {problem} in the zip: {info.filename[:MOST_PATH]!r}")
        paths = {PurePosixPath(info.filename): info for info in infos}  # a//b and a/./b are a/b
        if len(paths) < len(infos):
            raise UserError(f"{self.origin}: two files of one name in the zip")
        for folder in {above for path in paths for above in path.parents} & paths.keys():
            if not paths[folder].is_dir():
                raise UserError(f"{self.origin}: a file that is a folder too in the zip: {str(folder)!r}")
        unpacked = sum(info.file_size for info in infos)
        if unpacked > MOST_BYTES:
            raise UserError(f"{self.origin}: unpacks to {unpacked:,} bytes, more than {MOST_BYTES:,}")
        if unpacked > max(SMALL, MOST_RATIO * packed):
            raise UserError(f"{self.origin}: {packed:,} bytes unpack to {unpacked:,}: a zip bomb")

    def has(self, name: str) -> bool:
        return self._prefix + name in self._zip.namelist()

    def names(self) -> list[str]:
        """All its files."""
        return [info.filename.removeprefix(self._prefix) for info in self._zip.infolist() if not info.is_dir()]

    def read(self, name: str, most: int = MOST_BYTES) -> bytes:
        where = f"{self.origin}/{name}"
        if not self.has(name):
            raise FileNotFoundError(2, "No such file in the zip", where)
        member = self._zip.getinfo(self._prefix + name)
        if member.file_size > most:
            raise UserError(f"{where}: larger than {most:,} bytes")
        try:
            with self._zip.open(member) as file:  # ends after file_size bytes, whatever is packed
                return b"".join(iter(lambda: file.read(CHUNK), b""))
        except Exception as error:  # each kind of compression has errors of its own
            raise BrokenBundleError(f"{where}: damaged or cut short ({error})") from None


def _problem(info: ZipInfo) -> str:
    """What is wrong with a member; "" for a plain file or folder within the archive."""
    if leads_out(info.filename):
        return "a path that leads out"
    path = info.filename.encode()
    if (
        len(path) > MOST_PATH
        or path.count(b"/") > MOST_DEPTH
        or any(len(part) > MOST_PART for part in path.split(b"/"))
    ):
        return "a path that is too long"
    mode = stat.S_IFMT(info.external_attr >> 16)
    if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        return "a link or device"
    return "an encrypted file" if info.flag_bits & 1 else ""
