"""The package's own messages against proto/apus.proto, field by field."""

import dataclasses
import enum
import re
from pathlib import Path

import pytest

from apus import administration_messages, messages
from apus.errors import Code

PROTO = (Path(__file__).resolve().parents[3] / "proto" / "apus.proto").read_text()
FIELD = re.compile(r"^  (repeated )?(\w+) (\w+) = (\d+);", re.MULTILINE)
VALUE = re.compile(r"^  (\w+) = (\w+);", re.MULTILINE)


def block(kind, name):
    found = re.search(rf"^{kind} {name} {{(.*?)}}", PROTO, re.MULTILINE | re.DOTALL)
    assert found, f"{kind} {name} is not in the protocol"
    return found[1]


def declared(kind):
    return [value for module in (messages, administration_messages) for value in vars(module).values()
            if isinstance(value, type) and kind(value) and value.__module__ == module.__name__]


@pytest.mark.parametrize("message", declared(dataclasses.is_dataclass))
def test_fields(message):
    truth = {name: (bool(repeated), kind, int(number))
             for repeated, kind, name, number in FIELD.findall(block("message", message.__name__))}
    for field in dataclasses.fields(message):
        kind = field.metadata["kind"]
        kind = kind if isinstance(kind, str) else kind.__name__
        name = field.name.rstrip("_")  # `from` is a word of Python
        assert truth[name] == (field.metadata["repeated"], kind, field.metadata["number"]), name


@pytest.mark.parametrize("values", declared(lambda value: issubclass(value, enum.Enum)))
def test_values(values):
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", values.__name__).upper() + "_"
    truth = {name: int(number, 0) for name, number in VALUE.findall(block("enum", values.__name__))}
    for value in values:
        assert truth[prefix + value.name] == value


def test_codes_are_the_canonical_ones():
    assert [int(code) for code in Code] == list(range(1, 17))
    assert (Code.NOT_FOUND, Code.UNIMPLEMENTED, Code.UNAUTHENTICATED) == (5, 12, 16)
