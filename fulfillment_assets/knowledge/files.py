"""The files of a knowledge base: Markdown with a YAML front matter that holds the rules as data.

`{{ refund.automatic_limit_usd }}` in the text is filled in from the rules, so that a number
stands in one place only. Inside a file of one warehouse or one template `warehouse` and
`template` are its own rules.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import yaml
from pydantic import Field, StringConstraints, ValidationError

from fulfillment_assets.knowledge.audience import Audience
from fulfillment_assets.knowledge.errors import KnowledgeError

Category: TypeAlias = Literal["policy", "sla", "template", "note", "resolution"]
Line: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=200)]

_FRONT_MATTER: Final = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)
REFERENCE: Final = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")


class FrontMatter(Audience):
    """What stands at the head of a file."""

    title: Line
    category: Category
    version: Line
    effective_from: dt.date
    rules: Mapping[str, Any] = Field(default_factory=dict)

    @property
    def audience(self) -> Audience:
        """For whom the file is meant."""
        return Audience.model_construct(
            agent_type=self.agent_type,
            severity=self.severity,
            warehouse=self.warehouse,
            mode=self.mode,
        )


@dataclass(frozen=True, slots=True)
class KnowledgeFile:
    """A file as it stands on disk.

    Attributes:
        source: its path below the knowledge base, with `/`.
        front: its front matter.
        body: the Markdown below, with references still in it.
    """

    source: str
    front: FrontMatter
    body: str


def read_files(directory: Path) -> list[KnowledgeFile]:
    """All `*.md` files below a directory, by path.

    Raises:
        KnowledgeError: there is none, or one cannot be read; the message names file and field.
    """
    paths = sorted(directory.rglob("*.md"))
    if not paths:
        raise KnowledgeError(
            f"{directory} holds no .md file; set FULFILLMENT_KNOWLEDGE_DIR to a knowledge base"
        )
    return [_read(path, path.relative_to(directory).as_posix()) for path in paths]


def _read(path: Path, source: str) -> KnowledgeFile:
    try:
        head, body = front_matter(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise KnowledgeError(f"{source}: is not UTF-8 text: {error}") from None
    except yaml.YAMLError as error:
        raise KnowledgeError(f"{source}: the front matter is no YAML: {error}") from None
    if head is None:
        raise KnowledgeError(
            f"{source}: must begin with a front matter, YAML between two lines of ---"
        )
    try:
        return KnowledgeFile(source, FrontMatter.model_validate(head), body)
    except ValidationError as error:
        raise KnowledgeError(described(source, "", error)) from None


def front_matter(text: str) -> tuple[Any, str]:
    """The YAML at the head of a text, None where there is none, and the text below it.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    found = _FRONT_MATTER.match(text)
    if found is None:
        return None, text.strip() + "\n"
    return yaml.safe_load(found[1]) or {}, found[2].strip() + "\n"


def described(source: str, prefix: str, error: ValidationError) -> str:
    """What is wrong with a file, a line for each field."""
    lines = []
    for one in error.errors():
        field = ".".join(filter(None, [prefix, *map(str, one["loc"])])) or "front matter"
        reason = one["msg"].removeprefix("Value error, ")
        given = "" if one["type"] in {"missing", "value_error"} else f" (given: {one['input']!r})"
        lines.append(f"{source}: {field}: {reason}{given}")
    return "\n".join(lines)


def filled_in(source: str, body: str, values: Mapping[str, Any]) -> str:
    """The text with each `{{ path }}` replaced by the value that the path leads to.

    Raises:
        KnowledgeError: a path leads nowhere, or to something that is no single value or list.
    """

    def value(found: re.Match[str]) -> str:
        path = found[1]
        try:
            return _text(_look_up(values, path))
        except (KeyError, IndexError, TypeError, ValueError):
            raise KnowledgeError(
                f"{source}: {found[0]} leads to no value of the rules; check its spelling"
            ) from None

    return REFERENCE.sub(value, body)


def _look_up(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values[int(name)] if isinstance(values, Sequence) else values[name]
    return values


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, dt.time):
        return f"{value:%H:%M}"
    if isinstance(value, bool | Mapping):
        raise TypeError("not a value to read")
    if isinstance(value, int | Decimal):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dt.date):
        return value.isoformat()
    return ", ".join(_text(item) for item in value)
