"""Dotted settings: what words mean, and where values land."""

import pytest

from nextframe.core.errors import UserError
from nextframe.core.settings import parse_settings, set_dotted


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64),
        ("1e-3", 0.001),
        ("[1e-3, 2]", [0.001, 2]),
        ("{early: 1e-2}", {"early": 0.01}),
        ("true", True),
        ("null", None),
        ("64x64", "64x64"),
        ("inf", "inf"),  # a name, as any other
        ("", None),
        ("a=b", "a=b"),
    ],
)
def test_values_are_yaml_with_numbers_as_people_write_them(text, value):
    found = parse_settings([f"data.name={text}"])
    assert found == {"data.name": value}
    assert type(found["data.name"]) is type(value)


@pytest.mark.parametrize(("word", "message"), [("data.x", "SECTION.FIELD=VALUE"), ("data.x=[1", "cannot be read")])
def test_a_word_that_cannot_be_read_is_one_line(word, message):
    with pytest.raises(UserError, match=message) as caught:
        parse_settings([word])
    assert "\n" not in str(caught.value)


def test_a_dotted_name_reaches_a_field_inside_a_field():
    values = {"options": {"seed": 1, "count": 2}}
    set_dotted(values, "options.seed", 3)
    set_dotted(values, "horizon", 4)
    assert values == {"options": {"seed": 3, "count": 2}, "horizon": 4}
