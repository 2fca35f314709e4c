"""YAML 1.2 text to nodes with their marks: by libyaml where it reads as ruamel.yaml does.

ruamel.yaml decides what a text means and what is wrong with it; reading one spec with it takes
5 ms. libyaml takes a twentieth of that, but knows YAML 1.1. So it only finds where the parts of a
text are; what a plain word is (`no` is a word, `0o17` a number) is asked of ruamel.yaml. A text
with anything that the two might read in two ways, and every text that libyaml refuses, goes to
ruamel.yaml alone. `tests/spec/test_two_parsers.py` holds that nobody can tell.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any

# What the two are known to read in two ways, or what is not sure enough to be tried.
_UNSURE = re.compile(
    r"^(?:%|---|\.\.\.)"  # directives, and marks of documents
    r"|!(?!= )"  # tags, but not Jinja's !=
    r"|(?:^|[\s\[\]{},:?-])[&*][\w-]"  # anchors and aliases
    r"|[|>][-+0-9]* *(?:#|\n *(?:#|$))"  # a block of text behind a comment or an empty line
    r"|\?(?:[\s,\]}]|$)"  # keys that are written with ?
    r"|['\"]:[^\s,\]}]"  # a key in quotes with its value right behind the colon
    r"|[\t\r\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]",  # blanks and line ends of other kinds
    re.MULTILINE,
)
TEXT_TAG = "tag:yaml.org,2002:str"
_DEEPEST = 60  # deeper than a document may be, and far from the end of C's stack


def compose(text: str) -> Any:
    """The root node of a text, None if it has none. Raises ruamel.yaml's errors."""
    if _UNSURE.search(text) is None:
        found = _quickly(text)
        if found is not None:
            return found
    return safe_yaml().compose(text)


def construct(tag: str, text: str) -> Any:
    """The value of a scalar. Raises ruamel.yaml's errors, and Python's."""
    from ruamel.yaml.nodes import ScalarNode

    return safe_yaml().constructor.construct_object(ScalarNode(tag, text))


def safe_yaml() -> Any:
    """ruamel.yaml's loader of plain values, written in Python."""
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True)


def _quickly(text: str) -> Any:
    """The root node by libyaml; None if it is not at hand or does not take the text."""
    composer = _composer()
    if composer is None:
        return None
    from yaml import YAMLError

    try:
        return composer(text).get_single_node()
    except (YAMLError, ValueError):
        return None


@cache
def _composer() -> Any:
    try:
        from yaml._yaml import CParser
    except ImportError:  # PyYAML without libyaml
        return None

    class Composer(CParser):
        """libyaml's nodes with YAML 1.2's tags. The names of the methods are PyYAML's."""

        depth = 0

        def resolve(self, kind: type, value: str | None, implicit: Any) -> str:
            name = kind.__name__
            if name == "ScalarNode":
                return _tag_of(value or "") if implicit[0] else TEXT_TAG
            return f"tag:yaml.org,2002:{'seq' if name == 'SequenceNode' else 'map'}"

        def descend_resolver(self, _parent: Any, _index: Any) -> None:
            self.depth += 1
            if self.depth > _DEEPEST:
                raise ValueError("too deep")

        def ascend_resolver(self) -> None:
            self.depth -= 1

    return Composer


@lru_cache(maxsize=4096)
def _tag_of(word: str) -> str:
    """The tag of a plain word in YAML 1.2."""
    from ruamel.yaml.nodes import ScalarNode

    return str(_resolver().resolve(ScalarNode, word, (True, False)))


@cache
def _resolver() -> Any:
    return safe_yaml().resolver
