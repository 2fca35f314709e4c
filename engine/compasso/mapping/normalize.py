"""Phone numbers and e-mail addresses in their normal form.

The rules are those of two libraries (Google's libphonenumber; email-validator, without any look
at the network). SQL takes the plain forms, whose result is plain to see; the rest asks Python,
once for each distinct value.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from compasso.mapping.dates import FilterError
from compasso.mapping.sql import TEXT, Guard, NotCompiled, Sql, both
from compasso.mapping.text import matches, strip

_RAISE: Any = object()
_LONGEST = 1_000


def phone(value: Any, region: str | None = None, invalid: Any = _RAISE) -> Any:
    """A phone number in E.164 form. `region` is the country of numbers without a prefix.

    A number that cannot exist raises FilterError, or gives `invalid`.
    """
    import phonenumbers

    if value is None or not str(value).strip():
        return None
    text = str(value).strip()
    if len(text) <= _LONGEST:
        if region is None and text.startswith("00"):
            text = "+" + text[2:]
        if region is not None and region.upper() not in phonenumbers.SUPPORTED_REGIONS:
            raise FilterError("phone takes the two letters of a country, such as 'ES'")
        try:
            number = phonenumbers.parse(text, region.upper() if region else None)
            if phonenumbers.is_valid_number(number):
                return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        except phonenumbers.NumberParseException:
            pass
    if invalid is not _RAISE:
        return invalid
    raise FilterError("is not a phone number" + ("" if region else " with a country's prefix"))


def email(value: Any, invalid: Any = _RAISE) -> Any:
    """An e-mail address, checked, without blanks around it, in lower case.

    What is no address raises FilterError, or gives `invalid`.
    """
    import email_validator

    if value is None or not str(value).strip():
        return None
    text = str(value).strip()
    try:
        if len(text) <= _LONGEST:
            found = email_validator.validate_email(text, check_deliverability=False)
            return f"{found.local_part}@{found.ascii_domain}".lower()
    except email_validator.EmailNotValidError:
        pass
    if invalid is not _RAISE:
        return invalid
    raise FilterError("is not an e-mail address")


_ATOM = "[A-Za-z0-9_+-]+"
# No two hyphens together: they may stand for another script.
_LABEL = "[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*"
_PLAIN_ADDRESS = rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+[A-Za-z]{{2,}}"
# An address so short has no part that is too long.
_SHORT = 64
# Domains that the library refuses.
_SPECIAL = "'arpa', 'invalid', 'local', 'localhost', 'onion', 'test'"


def email_sql(value: Sql) -> Sql:
    """`email` for plain ASCII addresses."""
    text = strip(value, None).sql
    plain = (
        f"(strlen({text}) <= {_SHORT} AND {matches(text, _PLAIN_ADDRESS)} "
        f"AND lower(split_part({text}, '.', -1)) NOT IN ({_SPECIAL}))"
    )
    good = f"(CASE WHEN {text} <> '' THEN {plain} ELSE true END)"
    sql = f"nullif(lower({text}), '')"
    guard = both(value.guard, (Guard(good, "other than plain ASCII addresses"),))
    return Sql(sql, TEXT, guard, letters=())


@lru_cache
def _mobile(region: str) -> tuple[str, str]:
    """A country's prefix, and the form of its mobile numbers. Raises NotCompiled."""
    import phonenumbers

    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise NotCompiled(f"{region!r} is no country")
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    code = phonenumbers.country_code_for_region(region)
    alone = phonenumbers.region_codes_for_country_code(code) == (region,)
    described = metadata.mobile if metadata else None
    mobile = described.national_number_pattern if described else None
    if metadata is None or metadata.national_prefix_for_parsing or not alone or not mobile:
        raise NotCompiled(f"phone numbers of {region} have more than one form")
    if described is None or str(described.example_number).startswith("0"):
        raise NotCompiled(f"phone numbers of {region} have more than one form")
    return str(code), str(mobile)


def phone_sql(value: Sql, region: str) -> Sql:
    """`phone` for plain mobile numbers, where the library's data leaves no choice."""
    code, mobile = _mobile(region.upper())
    digits = f"translate({value.sql}, ' .-', '')"
    plain = matches(digits, rf"(?:\+{code})?(?:{mobile})")
    empty = f"({value.sql} IS NULL OR {value.sql} = '')"
    number = f"(CASE WHEN left({digits}, 1) = '+' THEN {digits} ELSE '+{code}' || {digits} END)"
    good = f"(CASE WHEN {plain} THEN true ELSE {empty} END)"
    guard = both(value.guard, (Guard(good, "other than plain mobile numbers"),))
    return Sql(f"(CASE WHEN {plain} THEN {number} END)", TEXT, guard, letters=())
