"""Who holds a lock, in words."""

from __future__ import annotations

import getpass
import json
import os
from pathlib import Path


def user_name() -> str:
    """The name of this process's user, or the number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def holder_text(info: Path) -> str:
    """Which command holds a lock, by the file beside it."""
    try:
        held = json.loads(info.read_text("utf-8"))
        return f"{held['command']} by {held['who']} (process {held['pid']}) since {held['since']}"
    except (OSError, ValueError, KeyError):
        return "another command is starting"
