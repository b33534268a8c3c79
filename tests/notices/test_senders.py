"""Several processes at once, each with its own connections to one control database."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import threading

import pytest
from django.conf import settings

from tests.conftest import Schema
from tests.notices.support import Receiver

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
NOTICES = 30
SENDERS = 3

MAKE = f"""
from django.contrib.auth.models import User
from migrations_app import lifecycle
from migrations_app.models import MigrationRequest, NoticeChannel, Target
person = User.objects.create(username="rita")
target = Target.objects.create(name="t", host="h", user="u", database="d")
request = MigrationRequest.objects.create(
    target=target, requester=person, statement="ALTER TABLE t ADD x INT", schema_name="d",
    table_name="t",
)
channel = NoticeChannel(name="chat")
channel.set_address("ADDRESS")
channel.save()
for number in range({NOTICES}):
    lifecycle.record(request, "failed", f"number {{number}}")
"""
# They begin together: when their standard input ends.
SEND = """
import sys
from migrations_app.notices import addresses, sending
addresses.check("json://127.0.0.1/")  # loads what is loaded late
print("ready", flush=True)
sys.stdin.read()
print(sending.send_due())
"""
COUNT = """
from migrations_app.models import NoticeDelivery
print(NoticeDelivery.objects.exclude(delivered_at=None).filter(attempts=1).count())
"""
RACE = """
from django.contrib.auth.models import User
from migrations_app import lifecycle
from migrations_app.models import Event, MigrationRequest, NoticeChannel, NoticeDelivery, Target
from migrations_app.notices import outbox
person = User.objects.create(username="rita")
target = Target.objects.create(name="t", host="h", user="u", database="d")
request = MigrationRequest.objects.create(
    target=target, requester=person, statement="ALTER TABLE t ADD x INT", schema_name="d",
    table_name="t",
)
channel = NoticeChannel(name="chat")
channel.set_address("json://127.0.0.1:1/")
channel.save()
listening = outbox.listening

def deleted_meanwhile(event):
    found = listening(event)
    NoticeChannel.objects.filter(pk=channel.pk).delete()
    return found

outbox.listening = deleted_meanwhile
lifecycle.record(request, "failed", "It broke.")
assert Event.objects.get().message == "It broke."
assert not NoticeDelivery.objects.exists()
print("as it should be")
"""


def environment(database_url: str, folder: pathlib.Path) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": database_url,
        "VAR_DIR": str(folder),
        "DJANGO_SETTINGS_MODULE": "spirit_admin.settings",
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_ENCRYPTION_KEYS": ",".join(settings.FIELD_ENCRYPTION_KEYS),
    }


def manage(variables: dict[str, str], *arguments: str) -> str:
    """Run manage.py; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=CHECKOUT, env=variables, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(200)
def test_several_senders_at_once_send_each_notice_once(
    tmp_path: pathlib.Path, receiver: Receiver
) -> None:
    variables = environment(f"sqlite:///{tmp_path / 'control.sqlite3'}", tmp_path)
    manage(variables, "migrate", "--verbosity", "0")
    manage(variables, "shell", "-c", MAKE.replace("ADDRESS", receiver.address))
    # The first notice of each sender is answered when all of them have sent one.
    receiver.barrier = threading.Barrier(SENDERS)
    reading, writing = os.pipe()
    senders = [
        subprocess.Popen(
            [sys.executable, "manage.py", "shell", "-v", "0", "-c", SEND],
            cwd=CHECKOUT, env=variables, text=True,
            stdin=reading, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(SENDERS)
    ]  # fmt: skip
    os.close(reading)
    try:
        for sender in senders:
            assert sender.stdout is not None
            assert sender.stdout.readline() == "ready\n"
    finally:
        os.close(writing)
    said = [sender.communicate(timeout=100) for sender in senders]
    assert all(sender.returncode == 0 for sender in senders), said
    tried = [int(out) for out, _ in said]
    assert sum(tried) == NOTICES
    assert all(tried)
    messages = [str(message["message"]).splitlines()[0] for message in receiver.received]
    assert sorted(messages) == sorted(f"number {number}" for number in range(NOTICES))
    assert manage(variables, "shell", "-c", COUNT).split()[-1] == str(NOTICES)


@pytest.mark.timeout(200)
def test_a_channel_that_is_deleted_meanwhile_does_not_undo_the_order(
    tmp_path: pathlib.Path, schema: Schema
) -> None:
    dsn = schema.dsn
    url = f"mysql://{dsn.user}:{dsn.password}@{dsn.host}:{dsn.port}/{dsn.database}"
    variables = environment(url, tmp_path)
    manage(variables, "migrate", "--verbosity", "0")
    assert "as it should be" in manage(variables, "shell", "-c", RACE)
