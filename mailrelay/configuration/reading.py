"""YAML with its positions: each value knows its line and its path, so that a refusal says where."""

from collections.abc import Iterable
from dataclasses import dataclass

import yaml

KINDS = {"str": "text", "int": "a number", "bool": "true or false", "null": "nothing", "float": "a number"}


class ConfigurationError(Exception):
    """The file, or what it asks for, cannot be used; the text says where, why and what to write instead."""


@dataclass(frozen=True, slots=True)
class Item:
    """A value of the file: `path` is its keys, such as `senders[2].mailbox`."""

    file: str
    path: str
    node: yaml.Node

    def error(self, sentence: str) -> ConfigurationError:
        """Make the error that says what is wrong with this value; raise it."""
        mark = self.node.start_mark
        path = f"{self.path}: " if self.path else ""
        return ConfigurationError(f"{self.file}:{mark.line + 1}:{mark.column + 1}: {path}{sentence}")

    def mapping(self, known: Iterable[str]) -> dict[str, "Item"]:
        """Give the entries of a mapping whose keys are all among `known`, each there once."""
        known = tuple(known)
        if not isinstance(self.node, yaml.MappingNode):
            raise self.error(f"must be a mapping with the keys {', '.join(known)}; it is {self._kind()}.")
        found: dict[str, Item] = {}
        for key_node, value_node in self.node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            place = Item(self.file, f"{self.path}.{key}" if self.path else key, key_node)
            if key not in known:
                raise place.error(f"is not a key that is known here. Known are {', '.join(known)}.")
            if key in found:
                raise place.error("stands here twice.")
            found[key] = Item(self.file, place.path, value_node)
        return found

    def entries(self) -> list[tuple[str, "Item"]]:
        """Give the entries of a mapping whose keys are anything, each there once; nothing has none."""
        if self._is("null"):
            return []
        if not isinstance(self.node, yaml.MappingNode):
            raise self.error(f"must be a mapping; it is {self._kind()}.")
        keys = [str(key.value) for key, _ in self.node.value if isinstance(key, yaml.ScalarNode)]
        return list(self.mapping(keys).items())

    def sequence(self) -> list["Item"]:
        if self._is("null"):
            return []
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.error(f"must be a list; it is {self._kind()}.")
        return [
            Item(self.file, f"{self.path}[{number}]", node) for number, node in enumerate(self.node.value)
        ]

    def text(self) -> str:
        """Give a text without spaces around it; nothing is the empty text."""
        if self._is("null"):
            return ""
        if not self._is("str"):
            raise self.error(f"must be text; it is {self._kind()}. Put it in quotes if it is meant so.")
        return str(self.node.value).strip()

    def scalar(self) -> str:
        """Give any scalar as it is written, without quotes and spaces around it; nothing is empty."""
        if self._is("null"):
            return ""
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.error(f"must be one value; it is {self._kind()}.")
        return str(self.node.value).strip()

    def is_nothing(self) -> bool:
        return self._is("null")

    def is_sequence(self) -> bool:
        return isinstance(self.node, yaml.SequenceNode)

    def is_mapping(self) -> bool:
        return isinstance(self.node, yaml.MappingNode)

    def _is(self, tag: str) -> bool:
        return isinstance(self.node, yaml.ScalarNode) and self.node.tag == f"tag:yaml.org,2002:{tag}"

    def _kind(self) -> str:
        """Name what the value is, never the value: it may be a secret that stands in the wrong place."""
        if isinstance(self.node, yaml.MappingNode):
            return "a mapping"
        if isinstance(self.node, yaml.SequenceNode):
            return "a list"
        return KINDS.get(self.node.tag.rpartition(":")[2], "something else")


def read(text: str, file: str) -> Item:
    """Parse `text`. Raises ConfigurationError with the position when it is not YAML."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        raise ConfigurationError(f"{place}: this is not YAML: {error.problem}.") from None
    except (yaml.YAMLError, RecursionError):
        raise ConfigurationError(f"{file}: this is not YAML that can be read.") from None
    if node is None:
        raise ConfigurationError(f"{file}: the file is empty.")
    return Item(file, "", node)
