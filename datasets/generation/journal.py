"""What models answered, kept until the run that asked has ended, so that nothing is asked twice."""

import sqlite3
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Answered:
    """One answer: its text, its tokens, and whether these were counted here, by estimate.

    `finish_reason` is the server's own word for why it ended; empty where it gave none.
    """

    text: str
    tokens_in: int
    tokens_out: int
    estimated: bool = False
    finish_reason: str = ""


@dataclass
class Spent:
    """What answers cost so far."""

    answers: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    estimated: int = 0  # answers whose tokens nobody told
    cost: Decimal = Decimal(0)
    cut_off: int = 0  # answers of which a part came; of all that is spent, by estimate:
    cut_off_tokens: int = 0
    cut_off_cost: Decimal = Decimal(0)

    @property
    def tokens(self) -> int:
        """Both directions together."""
        return self.tokens_in + self.tokens_out

    def add(self, answered: Answered, cost: Decimal) -> None:
        """One more."""
        self.answers += 1
        self.tokens_in += answered.tokens_in
        self.tokens_out += answered.tokens_out
        self.estimated += answered.estimated
        self.cost += cost

    def add_cut_off(self, part: Answered, cost: Decimal) -> None:
        """One that was cut off, for which many servers charge, too."""
        self.tokens_in += part.tokens_in
        self.tokens_out += part.tokens_out
        self.cost += cost
        self.cut_off += 1
        self.cut_off_tokens += part.tokens_in + part.tokens_out
        self.cut_off_cost += cost

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "answers": self.answers,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "estimated": self.estimated,
            "cost": f"{self.cost:f}",
            "cut_off": self.cut_off,
            "cut_off_tokens": self.cut_off_tokens,
            "cut_off_cost": f"{self.cut_off_cost:f}",
        }


class Journal:
    """Answers in a file. What a `put` has returned from survives a kill and a power cut.

    One process at a time uses it, from one thread at a time.
    """

    def __init__(self, path: Path) -> None:
        self._base = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._base.execute("PRAGMA journal_mode=WAL")
        self._base.execute("PRAGMA synchronous=FULL")
        self._base.execute(
            "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, text TEXT NOT NULL,"
            " tokens_in INTEGER, tokens_out INTEGER, estimated INTEGER, cost TEXT,"
            " finish_reason TEXT NOT NULL DEFAULT '') WITHOUT ROWID"
        )
        columns = {row[1] for row in self._base.execute("PRAGMA table_info(answers)")}
        if "finish_reason" not in columns:  # a journal begun before answers had one
            self._base.execute(
                "ALTER TABLE answers ADD COLUMN finish_reason TEXT NOT NULL DEFAULT ''"
            )
        self._base.execute(
            "CREATE TABLE IF NOT EXISTS cut_off (tokens_in INTEGER, tokens_out INTEGER, cost TEXT)"
        )

    def get(self, key: str) -> Answered | None:
        """An answer; None when there is none yet."""
        row = self._base.execute(
            "SELECT text, tokens_in, tokens_out, estimated, finish_reason FROM answers"
            " WHERE key = ?",
            (key,),
        ).fetchone()
        if row is None:
            return None
        text, tokens_in, tokens_out, estimated, finish_reason = row
        return Answered(text, tokens_in, tokens_out, bool(estimated), finish_reason)

    def put(self, key: str, answered: Answered, cost: Decimal) -> None:
        """Keeps an answer for good."""
        self._base.execute(
            "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                key,
                answered.text,
                answered.tokens_in,
                answered.tokens_out,
                answered.estimated,
                str(cost),
                answered.finish_reason,
            ),
        )

    def put_cut_off(self, part: Answered, cost: Decimal) -> None:
        """Keeps what an answer cost that was cut off."""
        self._base.execute(
            "INSERT INTO cut_off VALUES (?, ?, ?)", (part.tokens_in, part.tokens_out, str(cost))
        )

    def spent(self) -> Spent:
        """What all answers cost, and those that were cut off."""
        found = Spent()
        rows = self._base.execute("SELECT tokens_in, tokens_out, estimated, cost FROM answers")
        for tokens_in, tokens_out, estimated, cost in rows:
            found.add(Answered("", tokens_in, tokens_out, bool(estimated)), Decimal(cost))
        rows = self._base.execute("SELECT tokens_in, tokens_out, cost FROM cut_off")
        for tokens_in, tokens_out, cost in rows:
            found.add_cut_off(Answered("", tokens_in, tokens_out), Decimal(cost))
        return found

    def close(self) -> None:
        """Nothing more is to come."""
        self._base.close()
