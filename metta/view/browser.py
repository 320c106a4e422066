"""Opening the page in a browser without telling its secret address to everybody on the machine."""

import os
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path

KEPT = 60.0  # seconds in which a browser reads the file, at most
WAY = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
    '<meta http-equiv="refresh" content="0; url={0}"><title>CoGsGuard</title></head>'
    '<body><a href="{0}">CoGsGuard</a></body></html>\n'
)


def can_open_browser() -> bool:
    """Whether this machine shows windows to the person at the keyboard."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        webbrowser.get()
        return True
    except webbrowser.Error:
        return False


@contextmanager
def browsing(address: str, seen: threading.Event) -> Iterator[None]:
    """Have a browser open `address`; `seen` says that it did.

    Everybody can read the arguments of a browser: they name a file that leads there, which only we can read and which
    goes as soon as it has been of use. Some browsers return only when they are closed: nobody waits for them.
    """
    # Browsers that are packed as snaps see neither /tmp nor hidden folders.
    handle, name = tempfile.mkstemp(".html", "cogames-", Path.home() if Path("/snap/bin").is_dir() else None)
    file = Path(name)
    with os.fdopen(handle, "w") as out:
        out.write(WAY.format(escape(address)))

    def remove() -> None:
        seen.wait(KEPT)
        file.unlink(missing_ok=True)

    def open_it() -> None:
        if not webbrowser.open(file.as_uri()):
            print("no browser could be opened: the address is for you to open", file=sys.stderr)

    for target in (remove, open_it):
        threading.Thread(target=target, daemon=True).start()
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
