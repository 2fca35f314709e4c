"""Phone numbers and e-mail addresses: SQL takes the plain ones, and agrees with the libraries."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from roads import one, run, template

from compasso.mapping import normalize
from compasso.mapping.dates import FilterError
from compasso.mapping.sql import NotCompiled
from examples import property_test


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("{{ t | phone('ES') }}", "600 11 22 33", "+34600112233"),
        ("{{ t | phone('ES') }}", "+34 600-112-233", "+34600112233"),
        ("{{ t | phone('ES') }}", "0034600112233", "+34600112233"),
        ("{{ t | phone('ES') }}", "(+34) 91 123 45 67", "+34911234567"),
        ("{{ t | phone('FR') }}", "06 12 34 56 78", "+33612345678"),
        ("{{ t | phone }}", "00351912345678", "+351912345678"),
        ("{{ t | phone('PT') }}", "912 345 678", "+351912345678"),
        ("{{ t | phone('ES') }}", "", None),
        ("{{ t | phone('ES') }}", None, None),
        ("{{ t | phone('ES', invalid=none) }}", "12", None),
        ("{{ t | email }}", "  Ana.Perez@X.Es ", "ana.perez@x.es"),
        ("{{ t | email }}", "ana@ñ.es", "ana@xn--ida.es"),
        ("{{ t | email }}", "", None),
        ("{{ t | email(invalid=none) }}", "ana@", None),
    ],
)
def test_normal_forms(text, value, expected):
    assert one(text, {"t": value}) == (expected, None)


@pytest.mark.parametrize(
    ("text", "value", "error"),
    [
        ("{{ t | phone('ES') }}", "12", "template: is not a phone number"),
        ("{{ t | phone }}", "600112233", "template: is not a phone number with a country's prefix"),
        ("{{ t | phone('XX') }}", "600112233", "template: phone takes the two letters of a country, such as 'ES'"),
        ("{{ t | email }}", "ana@x", "template: is not an e-mail address"),
        ("{{ t | email }}", "ana@x.test", "template: is not an e-mail address"),
    ],
)  # fmt: skip
def test_what_is_none_is_an_error(text, value, error):
    assert one(text, {"t": value}) == (None, error)


addresses = st.one_of(
    st.from_regex(r"[a-zA-Z0-9_+.-]{1,8}@[a-zA-Z0-9.-]{1,8}\.(es|TEST|local|c1|com)", fullmatch=True),
    st.from_regex(r"[ \t]?[a-c.]{60,70}@[a-c-]{60,66}\.es ?", fullmatch=True),
    st.from_regex(r"[aé!#'._-]{1,4}@(xn--[a-z]{3}|ñ|a-b|1)\.(es|co\.uk|1)", fullmatch=True),
    st.emails(),
    st.text(max_size=6).map(lambda t: f"a@{t}.es"),
)  # fmt: skip


@property_test(20, 80)
@given(values=st.lists(addresses, min_size=5, max_size=20))
def test_addresses_are_the_same_on_both_roads(values):
    same_roads("{{ t | email }}", values)


def same_roads(text, values):
    rows = [{"t": value} for value in values]
    fields = {"f": template(text)}
    assert run(fields, rows) == run(fields, rows, only_jinja=True), values


COMPILED = []
for _region in sorted(phonenumbers.SUPPORTED_REGIONS):
    try:
        COMPILED.append((_region, *normalize._mobile(_region)))
    except NotCompiled:
        continue


def test_the_countries_that_sql_takes():
    regions = {region for region, _, _ in COMPILED}
    assert len(regions) > 60
    assert {"ES", "PT", "MX", "CL"} <= regions
    assert not {"FR", "IT", "US", "BR"} & regions


@property_test(8, 80)
@given(data=st.data())
def test_numbers_are_the_same_on_both_roads(data):
    region, code, mobile = data.draw(st.sampled_from(COMPILED))
    number = st.from_regex(mobile, fullmatch=True).filter(str.isascii)
    between = st.sampled_from(["", "", " ", "-", ".", "  ", " - "])
    prefix = st.sampled_from(
        ["", "", f"+{code}", f"+{code} ", f"00{code}", f"{code}", " ", "+ ", "(0)"]
    )
    values = []
    for _ in range(data.draw(st.integers(1, 8))):
        digits = data.draw(number)
        separators = [data.draw(between) for _ in digits]
        values.append(
            data.draw(prefix) + "".join(d + s for d, s in zip(digits, separators, strict=True))
        )
    values.append(data.draw(st.from_regex(r"[+ ]?[0-9 -]{3,14}", fullmatch=True)))
    same_roads(f"{{{{ t | phone('{region}') }}}}", values)


def test_a_filter_says_what_it_does_not_take():
    with pytest.raises(FilterError, match="not a phone number"):
        normalize.phone("9" * 5000, "ES")
    with pytest.raises(FilterError, match="not an e-mail"):
        normalize.email("a" * 5000 + "@x.es")
