"""Strings, comments and identifiers of a statement, as sqlglot's MySQL tokenizer finds them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlglot import Token
from sqlglot.dialects.mysql import MySQL
from sqlglot.errors import TokenError

from migrations_app.engine.errors import RefusedError

USAGE = "Write ALTER TABLE (or CREATE INDEX, DROP INDEX)."
# What may stand between two tokens. The tokenizer also takes {# … #} for a comment.
_BETWEEN = re.compile(r"(?:\s|--[^\n]*|#[^\n]*|/\*.*?\*/)*+", re.DOTALL)


def source(sql: str, tokens: Sequence[Token]) -> str:
    """The tokens' own text, with one space wherever something stood between two of them."""
    parts: list[str] = []
    end = None
    for token in tokens:
        if end is not None and token.start > end + 1:
            parts.append(" ")
        parts.append(sql[token.start : token.end + 1])
        end = token.end
    return "".join(parts)


def tokenize(sql: str) -> list[Token]:
    """Without comments. Raises RefusedError for what the server would read in another way."""
    try:
        tokens = MySQL.Tokenizer().tokenize(sql)
    except (TokenError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise RefusedError(f"The statement could not be read: {reason}. {USAGE}") from None
    if any(comment.startswith(("!", "+")) for token in tokens for comment in token.comments):
        raise RefusedError(
            "Comments that the server executes (/*! … */ or /*+ … */) are not allowed: "
            "write what they hold as plain SQL, or leave it out."
        )
    _refuse_other_comments(sql, tokens)
    return tokens


def _refuse_other_comments(sql: str, tokens: Sequence[Token]) -> None:
    """What was left out must be what the server leaves out, or it reads another statement."""
    begins = [0, *(token.end + 1 for token in tokens)]
    ends = [*(token.start for token in tokens), len(sql)]
    for begin, end in zip(begins, ends, strict=True):
        if not _BETWEEN.fullmatch(sql, begin, end):
            raise RefusedError(
                f"{sql[begin:end].strip()[:80]!r} is no comment for MySQL. Write comments as "
                f"/* … */, or leave it out. {USAGE}"
            )
