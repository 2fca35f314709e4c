"""Where a project file names secrets: only ever by reference."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from compasso.model import Diagnostic
from compasso.spec.document import Document
from compasso.spec.types import NotificationSettings, Secret, nearest

if TYPE_CHECKING:
    from compasso.spec.shapes import ProjectShape

_SECRET = re.compile(r"\$\{(env|file):[^}]+\}")


def check_secret(
    name: str,
    reference: str,
    path: tuple[str, ...],
    document: Document,
    problems: list[Diagnostic],
) -> None:
    """A secret stands in no file of the project; its place is named."""
    place = nearest(document.positions, path, document.file)
    if not _SECRET.fullmatch(reference):
        variable = "CONNECTIF_API_KEY" if name == "api_key" else f"{name.upper()}_URL"
        thing = "key" if name == "api_key" else "address"
        problems.append(
            Diagnostic(
                message=f"`{name}` must be a reference to a secret, never the {thing} itself",
                code="secret-in-file",
                position=place,
                hint=f"write ${{env:{variable}}}, and set that variable",
            )
        )
    elif reference.startswith("${file:"):
        file = document.file.parent / reference.removeprefix("${file:").removesuffix("}")
        if not file.resolve().is_relative_to(document.file.parent):
            problems.append(
                Diagnostic(
                    message=f"the file of `{name}` leads out of the project",
                    position=place,
                    hint="keep it inside the project and out of Git, or use ${env:NAME}",
                )
            )


def notifications_of(shape: ProjectShape, root: Path, document: Document) -> NotificationSettings:
    """The project's notifications."""
    given = shape.notifications
    if given is None:
        return NotificationSettings()
    place = nearest(document.positions, ("notifications", "webhook"), document.file)
    return NotificationSettings(Secret(given.webhook, root, place), tuple(given.on))
