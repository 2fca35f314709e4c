"""The spec language as pydantic models: what may be written, before it is given its meaning.

`schemas/project.schema.json` and `schemas/spec.schema.json` are made from these models.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

Name = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        max_length=100,
        description="Letters, digits, hyphen, dot and underscore.",
    ),
]
LimitText = Annotated[
    str | int | float, Field(description="A share such as `5%`, or a number of rows.")
]
Scalar = str | int | float | bool | None


class Shape(BaseModel):
    """Refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ConnectifShape(Shape):
    """How to reach the account."""

    base_url: str = Field(
        "https://api.connectif.cloud",
        description="Where the API is. The variable CONNECTIF_BASE_URL overrides it.",
    )
    api_key: str = Field(
        "${env:CONNECTIF_API_KEY}",
        description="The key, as a reference to a secret: ${env:NAME} or ${file:PATH}.",
    )
    late_seconds: int = Field(
        90,
        ge=0,
        description="How long after it was sent Connectif may still carry out a request whose "
        "answer was lost. A purchase is sent again only after that.",
    )


class BudgetShape(Shape):
    """How many requests a minute may be made."""

    requests_per_minute: int = Field(100, ge=1, description="The account's limit.")
    reserve: int = Field(0, ge=0, description="How many are left for the account's other clients.")


class StateShape(Shape):
    """Where the state is kept."""

    backend: str = Field("local", description="local: in the folder .compasso of the project.")
    values: Literal["full", "hashed"] = Field(
        "full", description="hashed: only hashes of the values rest in the state."
    )
    keys: Literal["clear", "hashed"] | None = Field(
        None,
        description="Whether keys rest in clear. With `values: hashed` they are hashed too, unless "
        "this says clear; deletes need them in clear.",
    )
    history: str = Field(
        "400d",
        pattern="^([1-9][0-9]{0,4}d|forever)$",
        description="How long the history of applies is kept: days, such as 90d, or forever.",
    )


class FailuresShape(Shape):
    """What becomes of records that the API refuses again and again."""

    quarantine_after: int = Field(
        5, ge=1, description="After so many tries a record is left out of plans."
    )


class NotificationsShape(Shape):
    """Who hears of an apply that did not go well."""

    webhook: str = Field(
        description="Where to POST the news, as a reference to a secret: ${env:NAME} or ${file:PATH}."
    )
    on: list[Literal["failure", "rejects"]] = Field(
        ["failure"],
        description="failure: an error, or failed records. rejects: rows that were left out.",
    )


class EnvironmentShape(Shape):
    """What differs in one environment."""

    connectif: dict[str, str] = Field(default_factory=dict)
    budget: dict[str, int] = Field(default_factory=dict)
    state: dict[str, str] = Field(default_factory=dict)
    connections: dict[Name, str] = Field(default_factory=dict)
    vars: dict[str, Scalar] = Field(default_factory=dict)


class ProjectShape(Shape):
    """The file compasso.yml at the root of a project."""

    project: Name
    connectif: ConnectifShape = Field(default_factory=ConnectifShape.model_construct)
    budget: BudgetShape = Field(default_factory=BudgetShape.model_construct)
    state: StateShape = Field(default_factory=StateShape.model_construct)
    failures: FailuresShape = Field(default_factory=FailuresShape.model_construct)
    notifications: NotificationsShape | None = None
    connections: dict[Name, str] = Field(
        default_factory=dict,
        description="Databases by name; each address is a reference to a secret: ${env:NAME} "
        "or ${file:PATH}. Specs use them by their names.",
    )
    vars: dict[str, Scalar] = Field(
        default_factory=dict, description="Values that every mapping can use as vars.NAME."
    )
    specs: list[str] = Field(
        default_factory=lambda: ["specs/**/*.yml", "specs/**/*.yaml"],
        description="Globs that find the spec files.",
    )
    environments: dict[str, EnvironmentShape] = Field(
        default_factory=dict, description="Overlays, chosen with --env."
    )


class FieldShape(Shape):
    """A field with a cast, or a constant."""

    from_: str | None = Field(None, alias="from", description="A column, or a template.")
    value: Any = Field(None, description="A constant.")
    type: Literal["text", "integer", "decimal", "boolean", "date", "list", "json"] | None = Field(
        None, description="What the value is cast to."
    )
    format: str | list[str] | None = Field(
        None, description="How a date is written, as strptime patterns: %d/%m/%Y."
    )
    separator: str | None = Field(None, min_length=1, description="What stands between items.")
    decimal: Literal[".", ","] | None = Field(None, description="The decimal point.")


class LinesOriginShape(Shape):
    """Where the lines stand, if not in the rows that share the key."""

    column: str | None = Field(None, description="A column that holds a list of lines.")
    source: dict[str, Any] | None = Field(None, description="A second source, one row a line.")
    on: str | dict[str, str] | None = Field(
        None,
        description="The column that both sources have; or {column of the lines: column of the "
        "rows}.",
    )


class LinesShape(Shape):
    """A field that is a list of lines, such as the products of a purchase."""

    lines: Literal["rows"] | LinesOriginShape = Field(
        description="rows (those that share the key), {column: NAME}, or {source: …, on: NAME}."
    )
    fields: dict[str, str | FieldShape] = Field(description="The mapping of each line.")
    tolerance: float | int | Literal["any"] | None = Field(
        None,
        description="How far totalPrice may be from the sum of the lines; `any`: not checked. "
        "Half a cent a line by default.",
    )


def _form(value: Any) -> str:
    if isinstance(value, LinesShape) or (isinstance(value, dict) and "lines" in value):
        return "LinesShape"
    return "FieldShape" if isinstance(value, (dict, FieldShape)) else "Text"


MappedShape = Annotated[
    Annotated[str, Tag("Text")]
    | Annotated[FieldShape, Tag("FieldShape")]
    | Annotated[LinesShape, Tag("LinesShape")],
    Discriminator(_form),
]


class SinceShape(Shape):
    """A day: `2024-03-01`."""

    since: str = Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")


class RetireShape(Shape):
    """How a product is put out of sight."""

    availability: Literal["outofstock"] | None = Field(None, description="It cannot be bought.")
    isBlacklisted: Literal[True] | None = Field(  # noqa: N815 - Connectif's own name
        None, description="It is kept out of recommendations."
    )


class RejectsShape(Shape):
    """How many rows may be invalid before the plan fails."""

    max: LimitText


class GuardsShape(Shape):
    """What stops a plan that would do too much."""

    max_delete: LimitText | None = None
    max_change: LimitText | None = None


class ScheduleShape(Shape):
    """When the sync is due."""

    cron: str = Field(description="Five fields, such as */30 6-23 * * *.")
    timezone: str = Field("UTC", description="Such as Europe/Madrid.")
    deadline: str | int | None = Field(None, description="How long it may take: 20m, 1h, 90s.")


class TestShape(Shape):
    """An example: this row must become this record."""

    __test__ = False
    row: dict[str, Any] | list[dict[str, Any]] = Field(
        description="A row of the source; a list of rows for a record that is made of several. "
        "Lines of a second source stand under the key `lines`."
    )
    expect: dict[str, Any] | None = Field(
        description="The record; null when the row must be left out by `when`."
    )


class SyncShape(Shape):
    """Which rows of a source become which records of a target."""

    kind: Literal["sync"]
    name: Name
    owner: str | None = Field(None, description="Who answers for it.")
    source: dict[str, Any] = Field(
        description="One of csv, parquet, jsonl, json with the path of the file, and its options."
    )
    target: str = Field(description="contacts, products, purchases or custom-events/ALIAS.")
    key: str | list[str] | None = Field(None, description="The field that identifies a record.")
    when: str | None = Field(None, description="Which rows: a template that is true for them.")
    fields: dict[str, MappedShape] = Field(
        description="For each field: a column, a template, or a mapping with `from` or `value`; "
        "with `lines`, a list."
    )
    duplicates: Literal["error", "first", "last"] = "error"
    order_by: str | None = Field(None, description="A column, and `desc` if it runs downwards.")
    missing: Literal["keep", "delete", "retire"] = "keep"
    nulls: Literal["omit", "clear"] = "omit"
    rejects: RejectsShape | None = None
    guards: GuardsShape = Field(default_factory=GuardsShape.model_construct)
    route: Literal["auto", "calls", "import"] = "auto"
    priority: Literal["low", "normal", "high"] = "normal"
    schedule: ScheduleShape | None = None
    retire: RetireShape | None = Field(
        None,
        description="Products, with `missing: retire`: {availability: outofstock} (the default), "
        "{isBlacklisted: true}, or both.",
    )
    on_change: Literal["report", "replace"] | None = Field(
        None,
        description="Purchases: a changed one is only reported (default), or deleted and made "
        "again.",
    )
    trigger_event: bool | SinceShape | None = Field(
        None,
        description="Purchases: whether workflows that wait for a purchase start; {since: DATE}: "
        "only for purchases of that day and later.",
    )
    create_contact: bool | None = Field(
        None, description="Events: make the contact if it is not in the account."
    )
    delivery: Literal["at_most_once", "at_least_once"] | None = Field(
        None,
        description="Events whose answer was lost: sent again (at_least_once, the default), or "
        "not (at_most_once).",
    )
    tests: list[TestShape] = Field(default_factory=list)


class OptionShape(Shape):
    """One choice of a radio or checkbox field."""

    id: str = Field(min_length=1, max_length=150)
    label: str


class ContactFieldShape(Shape):
    """One custom field of the account."""

    id: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_()\[\]{}-]*$",
        max_length=150,
        description="Starts with a letter; letters, digits, hyphen, underscore, brackets.",
    )
    name: str = Field(min_length=1)
    type: Literal[
        "text", "email", "phone", "integer", "decimal", "date", "checkbox", "radio", "boolean"
    ]
    required: bool = False
    default: Any = None
    default_country_code: str | None = Field(None, pattern=r"^[0-9]{1,4}$")
    max_length: int | None = Field(None, ge=1, le=5000)
    min_value: float | int | None = None
    max_value: float | int | None = None
    min_date: str | None = None
    max_date: str | None = None
    options: list[OptionShape] = Field(default_factory=list, max_length=120)


class ContactFieldsShape(Shape):
    """The account's own contact fields."""

    kind: Literal["contact-fields"]
    name: Name = "contact-fields"
    owner: str | None = None
    fields: list[ContactFieldShape]
