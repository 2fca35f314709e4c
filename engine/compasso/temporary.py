"""Where working files lie: one folder for each process, which goes with it.

A process that is killed cannot tidy up, and working files hold people's data. So each process
holds a lock on its folder, and the next one removes the folders that nobody holds any more.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import stat
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

_PREFIX = "compasso-"
_LOCK = "lock"
_making = threading.Lock()
_own: dict[tuple[int, str], tuple[Path, int]] = {}  # by process and place: the folder, its lock


def working_folder() -> Path:
    """This process's folder; working files and folders are made in it."""
    place = (os.getpid(), tempfile.gettempdir())
    with _making:
        found = _own.get(place)
        if found is None or not found[0].is_dir():
            _forget_gone()
            _tidy(Path(place[1]))
            found = _own[place] = _make()
        return found[0]


def _make() -> tuple[Path, int]:
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    # It gets its name when it is held: what has that name and is not held is left over.
    draft = folder / f"{_LOCK}.new"
    lock = os.open(draft, os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o600)
    with suppress(OSError):  # a disk that has no locks: then nobody tidies up here
        fcntl.flock(lock, fcntl.LOCK_EX)
        draft.rename(folder / _LOCK)
    atexit.register(_remove, folder, os.getpid())
    return folder, lock


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # a child that was forked leaves its parent's alone
        shutil.rmtree(folder, ignore_errors=True)


def _forget_gone() -> None:
    """Let go of folders that somebody else has removed, or that are another process's."""
    for place, (folder, lock) in list(_own.items()):
        if place[0] != os.getpid() or not folder.is_dir():
            os.close(lock)
            del _own[place]


def _tidy(place: Path) -> None:
    """Remove the folders of processes that have died."""
    for file in place.glob(f"{_PREFIX}*/{_LOCK}"):
        try:
            about = file.parent.lstat()
            if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
                continue
            lock = os.open(file, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(file.parent, ignore_errors=True)
        except OSError:
            continue
        finally:
            os.close(lock)
