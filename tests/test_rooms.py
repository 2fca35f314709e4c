"""The rooms of the house: a room imports only from the rooms below it."""

import ast
from pathlib import Path

import pytest

ROOMS = [
    "model",
    "spec",
    "targets",
    "mapping",
    "sources",
    "connectif",
    "state",
    "planning",
    "applying",
    "rendering",
    "scheduling",
    "sandbox",
    "rehearsing",
    "cli",
]
PACKAGE = Path(__file__).parent.parent / "engine" / "compasso"
MODULES = sorted(
    p for p in PACKAGE.rglob("*.py") if p.relative_to(PACKAGE).parts[0] != "__init__.py"
)


def room_of(dotted: str) -> str | None:
    parts = dotted.split(".")
    return parts[1] if parts[0] == "compasso" and len(parts) > 1 else None


def imported_rooms(path: Path) -> set[str]:
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the room"
            base = node.module or ""
            names = [base, *(f"{base}.{alias.name}" for alias in node.names if base == "compasso")]
        rooms |= {room for name in names if (room := room_of(name)) in ROOMS}
    return rooms


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_imports_only_from_rooms_below(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room in {"schemas", "launch", "engine", "temporary"}:  # ground: files, the process's DuckDB
        return
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    if room == "sandbox":
        allowed = set(ROOMS[: ROOMS.index("targets") + 1]) | {"sandbox"}
    assert imported_rooms(path) <= allowed


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_module_is_over_500_lines(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 500
