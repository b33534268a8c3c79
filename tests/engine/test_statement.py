"""Reading statements: what is found in them, what is refused, and in which words."""

from __future__ import annotations

import pytest

from migrations_app.engine import RefusedError, parse_change, parse_statement
from migrations_app.engine.names import TableNames


def test_table_schema_and_clauses_are_found() -> None:
    statement = parse_statement(
        "ALTER TABLE `shop`.`or``ders` ADD COLUMN x INT, ADD INDEX (x);", "d"
    )
    assert (statement.schema, statement.table) == ("shop", "or`ders")
    assert statement.alter_clauses == "ADD COLUMN x INT, ADD INDEX (x)"


def test_the_default_schema_is_used_when_none_is_named() -> None:
    assert parse_statement("alter table t add x int", "shop").schema == "shop"


def test_literals_may_hold_semicolons_quotes_percent_and_comment_marks() -> None:
    clauses = r"""ADD c VARCHAR(40) DEFAULT 'a;b''c%s' COMMENT "/* -- # it's */" """
    statement = parse_statement(f"ALTER TABLE t {clauses}", "d")
    assert statement.alter_clauses == clauses.strip()


def test_comments_are_left_out_and_do_not_make_another_statement() -> None:
    plain = parse_statement("ALTER TABLE t ADD x INT, ADD y INT", "d")
    commented = parse_statement(
        "/* why */ ALTER  TABLE t -- who\n ADD x INT, # what\n\tADD y INT ;", "d"
    )
    assert commented.normalized == plain.normalized
    assert commented.alter_clauses == plain.alter_clauses


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE t ADD x INT {# why #}",
        "ALTER TABLE t ADD x INT, {# why\n, DROP y #} ADD z INT",
        "{# why #} ALTER TABLE t ADD x INT",
        "ALTER TABLE t ADD x INT; {# why #}",
        "ALTER TABLE t ADD x INT /* why",
    ],
)
def test_what_is_a_comment_elsewhere_is_refused(sql: str) -> None:
    with pytest.raises(RefusedError):
        parse_change(sql, "d")


def test_braces_within_names_texts_and_comments_are_left_alone() -> None:
    clauses = "ADD `a{#b#}` INT COMMENT '{# why #}', ADD c INT DEFAULT 5--1, ADD d INT"
    parsed = parse_change(f"/* {{# x #}} */ ALTER TABLE t # {{# y\n {clauses} -- {{#", "d")
    assert parsed.first.alter_clauses == clauses


def test_renamed_and_dropped_columns_are_noted() -> None:
    statement = parse_statement(
        "ALTER TABLE t CHANGE COLUMN `A b` c INT, CHANGE d e INT, RENAME COLUMN f TO g, "
        "DROP COLUMN h, DROP i, DROP INDEX j, DROP PRIMARY KEY",
        "d",
    )
    assert statement.renamed_columns == {"a b": "c", "d": "e", "f": "g"}
    assert statement.dropped_columns == {"h", "i"}


@pytest.mark.parametrize(
    ("sql", "clauses"),
    [
        ("CREATE INDEX i ON t (a, b DESC)", "ADD INDEX i (a, b DESC)"),
        (
            "CREATE UNIQUE INDEX `i x` USING BTREE ON d.t (a(5))",
            "ADD UNIQUE INDEX `i x` USING BTREE (a(5))",
        ),
        ("DROP INDEX i ON t", "DROP INDEX i"),
    ],
)  # fmt: skip
def test_index_statements_become_alter_clauses(sql: str, clauses: str) -> None:
    assert parse_statement(sql, "d").alter_clauses == clauses


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("", "empty"),
        ("ALTER TABLE t", "changes nothing"),
        ("ALTER TABLE t ADD c VARCHAR(5) DEFAULT 'x", "could not be read"),
        ("ALTER TABLE t ADD c INT, ADD (d INT", "parentheses"),
        ("ALTER TABLE t ADD c INT,, ADD d INT", "comma"),
        ("DROP TABLE t", "begins with 'DROP TABLE'"),
        ("SELECT 1", "begins with 'SELECT 1'"),
        ("ALTER TABLE t ADD c INT; DROP TABLE u", "begins with 'DROP TABLE'"),
        ("ALTER TABLE t ADD c INT; ALTER TABLE u ADD c INT", "More than one statement"),
        ("ALTER TABLE t ADD c INT, ALGORITHM=INPLACE", "ALGORITHM"),
        ("ALTER TABLE t ADD c INT, LOCK = NONE", "LOCK"),
        ("ALTER TABLE t RENAME TO u", "Renaming the table"),
        ("ALTER TABLE t RENAME u", "Renaming the table"),
        ("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u (b)", "foreign keys"),
        ("ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES u (b)", "foreign keys"),
        ("ALTER TABLE t /*!80000 ADD c INT */", "executes"),
    ],
)
def test_what_is_no_online_change_is_refused_in_words(sql: str, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        parse_statement(sql, "d")


def test_several_refusals_are_reported_at_once() -> None:
    with pytest.raises(RefusedError) as caught:
        parse_statement("ALTER TABLE t RENAME TO u, ALGORITHM=COPY, LOCK=NONE", "d")
    assert len(caught.value.reasons) == 3


def test_long_names_are_shortened_without_colliding() -> None:
    one, other = TableNames("d", "x" * 63 + "a"), TableNames("d", "x" * 63 + "b")
    derived = [*(n.shadow for n in (one, other)), *(n.checkpoint for n in (one, other))]
    assert len(set(derived)) == 4
    assert all(len(name) <= 64 for name in derived)
    assert TableNames("d", "t").shadow == "_t_new"


def test_several_statements_are_one_change() -> None:
    change = parse_change(
        "ALTER TABLE a ADD x VARCHAR(9) DEFAULT ';' ; -- the other\n CREATE INDEX i ON b (y);", "d"
    )
    assert [names.table for names in change.all_names] == ["a", "b"]
    assert [statement.alter_clauses for statement in change.statements] == [
        "ADD x VARCHAR(9) DEFAULT ';'",
        "ADD INDEX i (y)",
    ]
    again = parse_change("ALTER TABLE a ADD x VARCHAR(9) DEFAULT ';';CREATE INDEX i ON b (y)", "d")
    assert change.normalized == again.normalized


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("ALTER TABLE a ADD x INT; ALTER TABLE `a` ADD y INT", "as one ALTER TABLE"),
        ("ALTER TABLE a ADD x INT; ALTER TABLE e.b ADD y INT", "several schemas"),
        (";;", "empty"),
    ],
)
def test_what_cannot_be_swapped_together_is_refused(sql: str, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        parse_change(sql, "d")


@pytest.mark.parametrize(
    ("clauses", "renamed", "dropped"),
    [
        ("RENAME COLUMN 2fa TO fa2", {"2fa": "fa2"}, set()),
        ("CHANGE 2fa fa2 CHAR(20)", {"2fa": "fa2"}, set()),
        ("CHANGE COLUMN fa 2fa CHAR(20)", {"fa": "2fa"}, set()),
        ("RENAME COLUMN similar TO related", {"similar": "related"}, set()),
        ("CHANGE`a``b` `c d`INT", {"a`b": "c d"}, set()),
        ("RENAME COLUMN`a`TO`b`", {"a": "b"}, set()),
        ("DROP COLUMN 2fa, DROP `index`, DROP INDEX k", {}, {"2fa", "index"}),
    ],
)
def test_names_are_read_as_the_server_reads_them(
    clauses: str, renamed: dict[str, str], dropped: set[str]
) -> None:
    statement = parse_statement(f"ALTER TABLE t {clauses}", "shop")
    assert statement.renamed_columns == renamed
    assert statement.dropped_columns == dropped
