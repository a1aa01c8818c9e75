"""YAML that says one thing: no key twice, and what is no YAML is told in one line."""

from collections.abc import Hashable
from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Plain values only, and each key of a mapping once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in keys:
                line = key_node.start_mark.line + 1
                raise ValueError(f"line {line}: expected each key once, found {key!r} again")
            if isinstance(key, Hashable):
                keys.add(key)
        return super().construct_mapping(node, deep)


def plain_values(text: str) -> Any:
    """Return the values of a YAML text.

    Raises:
        ValueError: It is no YAML, or a key stands twice; with one line about it.
    """
    try:
        return yaml.load(text, _Loader)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
