"""From YAML to a checked project."""

from compasso.spec.load import PROJECT_FILE, load_project
from compasso.spec.types import (
    BudgetSettings,
    Cast,
    ConnectifSettings,
    ContactFieldSpec,
    FieldKind,
    FieldSpec,
    Guards,
    Limit,
    Project,
    ScheduleSpec,
    Secret,
    SourceSpec,
    SpecTest,
    StateSettings,
    Sync,
)

__all__ = [
    "PROJECT_FILE",
    "BudgetSettings",
    "Cast",
    "ConnectifSettings",
    "ContactFieldSpec",
    "FieldKind",
    "FieldSpec",
    "Guards",
    "Limit",
    "Project",
    "ScheduleSpec",
    "Secret",
    "SourceSpec",
    "SpecTest",
    "StateSettings",
    "Sync",
    "load_project",
]
