"""The application's settings with keys for one test run, so that tests need no .env and make none.

Set through the environment, which programs that the tests start inherit.
"""

from __future__ import annotations

import os

from spirit_admin.secrets import random_encryption_key, random_secret_key

os.environ.setdefault("SECRET_KEY", random_secret_key())
os.environ.setdefault("FIELD_ENCRYPTION_KEYS", random_encryption_key())

from spirit_admin.settings import *  # noqa: F403 - after the keys, which it reads
