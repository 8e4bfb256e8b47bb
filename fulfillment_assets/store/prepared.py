"""SQL that is prepared, and sent in one message, by those who run it over a few rows at a time.

PostgreSQL reads and plans a long statement for about as long as it takes to run it over a few
rows, and a message there and back takes its time, too. Who runs it over a whole file must not
prepare it: the plan depends on how many rows there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import TextClause

_PARAMETER: Final = re.compile(r"(?<!:):(\w+)")
_PREPARED: Final = "prepared"
_MESSAGE: Final = "message"


@dataclass(frozen=True)
class Statement:
    """One SQL statement that gives nothing back.

    Attributes:
        name: of the prepared statement; unique in the project.
        sql: with `:name` for each parameter.
        types: the PostgreSQL type of each parameter.
    """

    name: str
    sql: str
    types: Mapping[str, str] = field(default_factory=dict)
    _text: TextClause = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Read the text once: a long one takes as long to read as to send."""
        object.__setattr__(self, "_text", sa.text(self.sql))

    def execute(self, connection: Connection, values: Mapping[str, Any]) -> None:
        """Run it now; inside `one_message`, when the block ends."""
        message: Message | None = connection.info.get(_MESSAGE)
        if message is None:
            connection.execute(self._text, dict(values))
        else:
            message.add_statement(self, values)

    @property
    def preparation(self) -> str:
        """The SQL that prepares it."""
        places = {name: f"${place}" for place, name in enumerate(self.types, start=1)}
        sql = _PARAMETER.sub(lambda found: places[found[1]], self.sql)
        kinds = f"({', '.join(self.types.values())})" if self.types else ""
        return f"PREPARE {self.name} {kinds} AS {sql}"

    @property
    def call(self) -> str:
        """The SQL that runs it once it is prepared, with psycopg2's placeholders."""
        arguments = ", ".join(f"%({name})s" for name in self.types)
        return f"EXECUTE {self.name}({arguments})" if arguments else f"EXECUTE {self.name}"


class Message:
    """Statements that are sent together.

    Args:
        connection: over which.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._cursor = connection.connection.cursor()
        self._prepared: set[str] = connection.info.setdefault(_PREPARED, set())
        self._parts: list[bytes] = []

    def add_rows(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows, at least one; `table` and `columns` are names that we chose."""
        place = f"({', '.join(['%s'] * len(columns))})"
        values = b",".join(self._cursor.mogrify(place, row) for row in rows)
        self._parts.append(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ".encode() + values)

    def add_statement(self, statement: Statement, values: Mapping[str, Any]) -> None:
        """Run a statement; it is prepared at once, if it is not yet."""
        if statement.name not in self._prepared:
            self._cursor.execute(statement.preparation)
            self._prepared.add(statement.name)
        self._parts.append(self._cursor.mogrify(statement.call, values))

    def send(self) -> None:
        """Send what was added, and wait until it is done."""
        text = b"; ".join(self._parts).decode()
        self._connection.exec_driver_sql(text.replace("%", "%%"))

    def close(self) -> None:
        """Free what it holds."""
        self._cursor.close()


@contextmanager
def one_message(connection: Connection) -> Iterator[Message]:
    """Send the statements of the block prepared, together, and in order, when it ends.

    None of them may be needed by what the block itself does on the connection. In a transaction
    they are a part of it. On a connection in autocommit mode the message is a transaction of its
    own: all of it is done, or nothing (PostgreSQL's documentation, 54.2.2.1, "Multiple Statements
    in a Simple Query").
    """
    message = connection.info[_MESSAGE] = Message(connection)
    try:
        yield message
    finally:
        del connection.info[_MESSAGE]
        message.close()
    message.send()
