"""YAML without its traps: aliases, keys that stand twice, words that turn into booleans."""

import re
from typing import Any

import yaml

BOOLEAN = "tag:yaml.org,2002:bool"
BOOLEAN_WORDS = re.compile("(?:true|True|TRUE|false|False|FALSE)$")


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that refuses what would surprise its reader."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse an alias: a few of them can stand for a billion words."""
        if self.check_event(yaml.events.AliasEvent):
            raise _refused("an alias is not allowed", self)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that stands twice: the last one would silently win."""
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise _refused(f"the key `{key}` stands twice", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)


# As in YAML 1.2, only true and false are booleans: `on`, `no` and `y` are words.
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, BOOLEAN_WORDS if tag == BOOLEAN else words) for tag, words in resolvers]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def strict_yaml(text: str) -> Any:
    """The document in ``text``.

    Raises:
        yaml.YAMLError: it is no YAML, uses an alias, or a key stands twice; with its place.
    """
    loader = _StrictLoader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _refused(problem: str, place: Any) -> yaml.constructor.ConstructorError:
    mark = place.start_mark if hasattr(place, "start_mark") else place.get_mark()
    return yaml.constructor.ConstructorError(None, None, problem, mark)
