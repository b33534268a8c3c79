"""Passwords at rest and in words; keys; a control database written by several processes."""

from __future__ import annotations

import pathlib
import pickle
import sqlite3
import subprocess
import sys

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django_q.models import OrmQ
from pytest_django import DjangoCaptureOnCommitCallbacks

from migrations_app import commands, crypto
from migrations_app.commands import OrderRefused
from migrations_app.models import Event, MigrationRequest, State, Target
from spirit_admin.secrets import kept_key, random_secret_key
from spirit_admin.settings import database
from tests.app.support import PASSWORD, make_person, make_request, make_target, put_in_state
from tests.conftest import Schema

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]

# Each process adds to one counter in transactions that read before they write.
WRITER = """
import sys, django
from django.conf import settings
from spirit_admin.settings import database
settings.configure(DATABASES={"default": database(sys.argv[1])})
django.setup()
from django.db import connection, transaction
for _ in range(100):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT n FROM counter")
        (n,) = cursor.fetchone()
        cursor.execute("UPDATE counter SET n = %s", [n + 1])
"""


def test_several_processes_write_sqlite_without_losing_or_refusing_a_write(
    tmp_path: pathlib.Path,
) -> None:
    file = tmp_path / "control.sqlite3"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE counter (n INTEGER)")
        connection.execute("INSERT INTO counter VALUES (0)")
    command = [sys.executable, "-c", WRITER, f"sqlite:///{file}"]
    processes = [
        subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in processes:
        _, said = process.communicate(timeout=100)
        assert process.returncode == 0, said
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT n FROM counter").fetchone() == (400,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_mysql_is_read_committed_strict_and_utf8mb4() -> None:
    options = database("mysql://u:p@h:3306/d")["OPTIONS"]
    assert options["charset"] == "utf8mb4"
    assert options["isolation_level"] == "read committed"
    assert options["sql_mode"] == "TRADITIONAL"


def test_a_key_is_required_unless_one_may_be_made_and_then_kept(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "var" / "secret_key"
    with pytest.raises(ImproperlyConfigured, match="SECRET_KEY is not set"):
        kept_key("SECRET_KEY", "", file, random_secret_key, may_make=False)
    made = kept_key("SECRET_KEY", "", file, random_secret_key, may_make=True)
    assert kept_key("SECRET_KEY", "", file, random_secret_key, may_make=True) == made
    assert kept_key("SECRET_KEY", "given", file, random_secret_key, may_make=False) == "given"
    assert file.stat().st_mode & 0o077 == 0


def test_a_password_is_stored_encrypted_and_never_shown(target: Target) -> None:
    stored = Target.objects.get()
    assert PASSWORD not in stored.stored_password
    assert stored.dsn().password == PASSWORD
    for text in (repr(stored), str(stored), stored.address, repr(stored.dsn()), str(stored.dsn())):
        assert PASSWORD not in text


def test_a_password_may_be_a_reference(monkeypatch: pytest.MonkeyPatch, target: Target) -> None:
    target.set_password("env:SPIRIT_SECRET_OF_THIS_TEST")
    with pytest.raises(crypto.SecretUnavailableError, match="SPIRIT_SECRET_OF_THIS_TEST"):
        target.dsn()
    monkeypatch.setenv("SPIRIT_SECRET_OF_THIS_TEST", PASSWORD)
    assert target.dsn().password == PASSWORD


def test_a_reference_reads_no_other_variable(target: Target) -> None:
    target.set_password("env:SECRET_KEY")
    with pytest.raises(crypto.SecretUnavailableError, match="begin with SPIRIT_SECRET_"):
        target.dsn()


def test_keys_rotate_and_a_lost_one_is_said_without_the_secret(settings: object) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.FIELD_ENCRYPTION_KEYS = [old]  # type: ignore[attr-defined]
    stored = crypto.encrypt(PASSWORD)
    settings.FIELD_ENCRYPTION_KEYS = [new, old]  # type: ignore[attr-defined]
    assert crypto.decrypt(stored) == PASSWORD
    settings.FIELD_ENCRYPTION_KEYS = [new]  # type: ignore[attr-defined]
    with pytest.raises(crypto.SecretUnavailableError, match="cannot be decrypted"):
        crypto.decrypt(stored)


def test_the_queue_carries_a_number_and_events_no_secret(
    draft: MigrationRequest,
    operator: User,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    put_in_state(draft, State.APPROVED)
    with django_capture_on_commit_callbacks(execute=True):
        commands.start(operator, draft)
    task = OrmQ.objects.get().task
    assert task["args"] == (draft.pk,)
    assert PASSWORD.encode() not in pickle.dumps(task)
    assert not any(PASSWORD in f"{e.message} {e.data}" for e in Event.objects.all())


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("this is not SQL", "ALTER TABLE"),
        ("ALTER TABLE nowhere ADD x INT", "There is no table"),
        ("ALTER TABLE orders RENAME TO o", "RENAME TABLE by itself"),
    ],
)
def test_a_bad_statement_is_refused_in_words(
    db: None, schema: Schema, requester: User, statement: str, words: str
) -> None:
    schema.execute("CREATE TABLE orders (id INT PRIMARY KEY)")
    request = make_request(make_target(schema.dsn), requester, statement=statement)
    with pytest.raises(OrderRefused, match=words):
        commands.submit(requester, request)
    assert request.state == State.DRAFT


def test_a_server_that_is_down_or_refuses_the_password_is_named_in_words(
    db: None, schema: Schema, target: Target
) -> None:
    person = make_person("rita", "Requesters")
    with pytest.raises(OrderRefused, match=r"127\.0\.0\.1"):
        commands.submit(person, make_request(target, person))
    wrong = make_target(schema.dsn, name="wrong password")
    wrong.set_password("not-the-password")
    wrong.save()
    with pytest.raises(OrderRefused) as refused:
        commands.submit(person, make_request(wrong, person))
    assert "Access denied" in str(refused.value) or "password" in str(refused.value)
    assert "not-the-password" not in str(refused.value)
