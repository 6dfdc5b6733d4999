"""A home folder for whoever has none, as a container's nameless user: libraries keep caches and settings there."""

import os
import pwd
import sys
import tempfile
from pathlib import Path


def ensure_home() -> None:
    """Points HOME at a temporary folder where there is no home folder that can be written to, and says so."""
    home = Path(os.path.expanduser("~"))
    if home.is_absolute() and (_can_write(home) or (home / ".cache").is_dir()):  # filled when an image was built
        return
    os.environ["HOME"] = str(_temporary())
    os.environ.setdefault("USER", _user_name())  # what getpass asks before the passwd entry
    print(
        f"No home folder that can be written to: caches go to {os.environ['HOME']}. Set HOME to a folder that lasts, "
        "or what is downloaded is lost with this one.",
        file=sys.stderr,
    )


def _can_write(folder: Path) -> bool:
    """Whether a folder, or the nearest one above it that is there, takes new files."""
    while not folder.exists():
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _temporary() -> Path:
    """The same one for each command; another user's folder of that name is not trusted."""
    folder = Path(tempfile.gettempdir(), f"tangodistill-home-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.lstat()
    return folder if folder.is_dir() and about.st_uid == os.getuid() else Path(tempfile.mkdtemp())


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid{os.getuid()}"
