"""Phone numbers and e-mail addresses in their normal form.

The rules are those of two libraries (Google's libphonenumber; email-validator, without any look
at the network). SQL takes the plain forms, whose result is plain to see; the rest asks Python,
once for each distinct value.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from compasso.mapping.dates import FilterError
from compasso.mapping.quoting import quote_text
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
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PLAIN_ADDRESS = rf"{_ATOM}(\.{_ATOM})*@({_LABEL}\.)+[A-Za-z]{{2,63}}"
# A domain that the library refuses, or a label that may be of another script.
_SPECIAL = r"--|[.@](arpa|invalid|local|localhost|onion|test)$"


def email_sql(value: Sql) -> Sql:
    """`email` for plain ASCII addresses."""
    text = strip(value, None).sql
    short = f"strlen({text}) <= 200 AND instr({text}, '@') <= 65"
    common = f"NOT regexp_matches(lower({text}), {quote_text(_SPECIAL)})"
    plain = f"({matches(text, _PLAIN_ADDRESS)} AND {short} AND {common})"
    empty = f"({text} IS NULL OR {text} = '')"
    sql = f"(CASE WHEN {text} <> '' THEN lower({text}) END)"
    guard = both(value.guard, (Guard(f"({empty} OR {plain})", "other than plain ASCII addresses"),))
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
    mobile = metadata.mobile.national_number_pattern if metadata and metadata.mobile else None
    if metadata is None or metadata.national_prefix_for_parsing or not alone or not mobile:
        raise NotCompiled(f"phone numbers of {region} have more than one form")
    return str(code), str(mobile)


def phone_sql(value: Sql, region: str) -> Sql:
    """`phone` for plain mobile numbers, where the library's data leaves no choice."""
    code, mobile = _mobile(region.upper())
    text = value.sql
    digits = f"regexp_replace({text}, '[ .-]', '', 'g')"
    written = matches(text, rf"(\+{code}[ .-]?)?[1-9]([ .-]?[0-9])*")
    national = f"(CASE WHEN left({text}, 1) = '+' THEN substr({digits}, {len(code) + 2}) ELSE {digits} END)"
    plain = f"({written} AND {matches(national, mobile)})"
    empty = f"({text} IS NULL OR {text} = '')"
    sql = f"(CASE WHEN {plain} THEN '+{code}' || {national} END)"
    guard = both(value.guard, (Guard(f"({empty} OR {plain})", "other than plain mobile numbers"),))
    return Sql(sql, TEXT, guard, letters=())
