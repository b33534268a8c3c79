"""Settings, all from the environment or ``.env``; ``.env.example`` explains each."""

from __future__ import annotations

import pathlib
import warnings
from typing import Any

import environ
from csp.constants import NONE, SELF, UNSAFE_INLINE
from django.templatetags.static import static
from django.urls import reverse_lazy

from spirit_admin.secrets import kept_key, random_encryption_key, random_secret_key

BASE_DIR = pathlib.Path(__file__).resolve().parent.parent
env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env")

VAR_DIR = pathlib.Path(env.str("VAR_DIR", default=str(BASE_DIR / "var")))
VAR_DIR.mkdir(parents=True, exist_ok=True)

DEBUG = env.bool("DEBUG", default=False)
_MAY_MAKE_KEYS = DEBUG or env.bool("GENERATE_KEYS", default=False)
# The commands that only use the engine (see manage.py) sign and decrypt nothing: any keys will do.
_NO_KEYS_NEEDED = env.bool("SPIRIT_ENGINE_ONLY", default=False)
SECRET_KEY = kept_key(
    "SECRET_KEY",
    env.str("SECRET_KEY", default=random_secret_key() if _NO_KEYS_NEEDED else ""),
    VAR_DIR / "secret_key",
    random_secret_key,
    may_make=_MAY_MAKE_KEYS,
)
# The first encrypts, all decrypt.
FIELD_ENCRYPTION_KEYS: list[str] = env.list("FIELD_ENCRYPTION_KEYS", default=[]) or [
    kept_key(
        "FIELD_ENCRYPTION_KEYS",
        random_encryption_key() if _NO_KEYS_NEEDED else "",
        VAR_DIR / "field_encryption_key",
        random_encryption_key,
        may_make=_MAY_MAKE_KEYS,
    )
]

# Environment variables that a target's password may refer to, by how their names begin.
SECRET_VARIABLES_PREFIX = env.str("SECRET_VARIABLES_PREFIX", default="SPIRIT_SECRET_")

ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# Behind a proxy that ends TLS and sets X-Forwarded-Proto itself.
HTTPS = env.bool("HTTPS", default=False)
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=3600)
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_q",
    "ninja",  # serves the API's page from here, without the internet
    "migrations_app",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "spirit_admin.urls"
WSGI_APPLICATION = "spirit_admin.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


def database(url: str) -> dict[str, Any]:
    """A database's settings, with what its engine needs to serve several processes well."""
    settings: dict[str, Any] = dict(environ.Env.db_url_config(url))
    options = settings.setdefault("OPTIONS", {})
    engine = settings["ENGINE"]
    if engine.endswith("sqlite3"):
        # Writers wait for each other instead of failing: the write lock is taken when a
        # transaction begins, and readers are not in the way of the log.
        options.setdefault("timeout", 30)
        options.setdefault("transaction_mode", "IMMEDIATE")
        options.setdefault("init_command", "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
    elif engine.endswith("mysql"):
        options.setdefault("charset", "utf8mb4")
        options.setdefault("isolation_level", "read committed")
        options.setdefault("sql_mode", "TRADITIONAL")
        # Times are stored as UTC; NOW() must mean the same, or leases are off by hours.
        options.setdefault("init_command", "SET time_zone = '+00:00'")
    # To open one takes as long as all the queries of a poll: SQLite's too.
    settings["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=60)
    settings["CONN_HEALTH_CHECKS"] = not engine.endswith("sqlite3")
    return settings


DATABASES = {
    "default": database(
        env.str("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'spirit_admin.sqlite3'}")
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")

LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = env.str("TIME_ZONE", default="UTC")

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
# WhiteNoise warns about a folder that is missing.
STATIC_ROOT.mkdir(exist_ok=True)
# Pages work without `collectstatic`; with it, files are served from STATIC_ROOT.
WHITENOISE_USE_FINDERS = True

# -- the queue
#
# `control` has short tasks and the schedule; `runner` has runs, one task a process. The queue only
# wakes them: what is run is decided by rows. Figures: a run may last for days, and a delivery of
# it must not be repeated meanwhile, so `retry` is a year; a lost one is found by the supervisor.
RUNNER_CONCURRENCY = env.int("RUNNER_CONCURRENCY", default=4)
# A run that has not shown itself for as long has lost its request, which another worker takes up.
LEASE_SECS = env.float("LEASE_SECS", default=30.0)
SUPERVISE_EVERY_SECS = env.float("SUPERVISE_EVERY_SECS", default=10.0)
# On all workers together; a target has a limit of its own.
MAX_CONCURRENT_RUNS = env.int("MAX_CONCURRENT_RUNS", default=20)
_REDIS_URL = env.str("REDIS_URL", default="")
_BROKER: dict[str, Any] = {"redis": _REDIS_URL} if _REDIS_URL else {"orm": "default"}
_CONTROL: dict[str, Any] = {
    "workers": 1,
    "timeout": 120,
    "retry": 180,
    "max_attempts": 3,
    "catch_up": False,
    "poll": 1.0,
    "save_limit": 250,
    "guard_cycle": 1.0,
}
# It takes "no time-out" for a mistake; a run may take days, and is not delivered again for a year.
warnings.filterwarnings("ignore", "Retry and timeout are misconfigured", UserWarning)
_RUNNER: dict[str, Any] = {
    "workers": RUNNER_CONCURRENCY,
    "queue_limit": 1,
    "bulk": 1,
    "recycle": 1,
    "timeout": None,
    "retry": 366 * 24 * 3600,
    "ack_failures": True,
    "max_attempts": 1,
    "scheduler": False,
    "poll": 1.0,
    "save_limit": 250,
    "guard_cycle": 1.0,
}
Q_CLUSTER: dict[str, Any] = {
    "name": "control",
    **_BROKER,
    **_CONTROL,
    "ALT_CLUSTERS": {"runner": {**_BROKER, **_RUNNER}},
}
# Cluster states live in the cache: a file is seen by web server and workers alike.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": VAR_DIR / "cache",
    }
}

# -- checkpoints and what is kept
#
# Hours before a checkpoint at rest expires at which people are warned; again at a sixth of it.
CHECKPOINT_WARN_HOURS = env.float("CHECKPOINT_WARN_HOURS", default=24.0)
# A copy that is held back by load or a replica for longer is told of, and is on the home page.
THROTTLED_LONG_SECS = env.float("THROTTLED_LONG_SECS", default=600.0)
# Days; 0: for ever. Requests, events, orders, runs and checkpoints are never removed.
RETENTION_SAMPLES_FULL_DAYS = env.int("RETENTION_SAMPLES_FULL_DAYS", default=1)
RETENTION_SAMPLES_MINUTE_DAYS = env.int("RETENTION_SAMPLES_MINUTE_DAYS", default=7)
RETENTION_SAMPLES_DAYS = env.int("RETENTION_SAMPLES_DAYS", default=90)
RETENTION_TASKS_DAYS = env.int("RETENTION_TASKS_DAYS", default=14)
RETENTION_SESSIONS_DAYS = env.int("RETENTION_SESSIONS_DAYS", default=7)
RETENTION_NOTICES_DAYS = env.int("RETENTION_NOTICES_DAYS", default=30)
RETENTION_TOKENS_DAYS = env.int("RETENTION_TOKENS_DAYS", default=90)

# -- metrics
#
# Off unless one is set: what a scraper sends as its bearer token, or that nobody needs one.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
METRICS_PUBLIC = env.bool("METRICS_PUBLIC", default=False)

# -- notices
#
# Where people reach these pages, for the links in notices: https://spirit.example.com
SITE_URL = env.str("SITE_URL", default="")
# The services that notices may be sent through, by the schemes of apprise's addresses. Only such as
# are on the network: others run programs or read files where notices are sent from.
NOTICE_SCHEMES: list[str] = env.list(
    "NOTICE_SCHEMES",
    default=[
        "http", "https", "json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos",
        "slack", "workflow", "workflows", "discord", "tgram", "gchat", "webex", "wxteams", "mmost",
        "mmosts", "rocket", "rockets", "matrix", "matrixs", "signal", "signals", "zulip",
        "pagerduty", "opsgenie", "ntfy", "ntfys", "gotify", "gotifys", "pover",
    ],
)  # fmt: skip

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "filters": {"without addresses": {"()": "migrations_app.notices.discretion.WithoutAddresses"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "plain"},
        "nowhere": {"class": "logging.NullHandler"},
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        # Its INFO lines show addresses and queries of every request.
        "django.db.backends": {"level": "WARNING"},
        # Those that send notices write addresses with their secrets; failures are logged by us.
        "apprise": {
            "handlers": ["nowhere"],
            "propagate": False,
            "level": "WARNING",
            "filters": ["without addresses"],
        },
        "urllib3": {"level": "ERROR"},
        "requests_oauthlib": {"level": "WARNING"},
        "oauthlib": {"level": "WARNING"},
    },
}
UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Spirit Admin",
    "SITE_HEADER": "Spirit Admin",
    "SITE_SUBHEADER": "Online schema changes for MySQL",
    "SITE_SYMBOL": "database",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("migrations_app/icon.svg"),
        }
    ],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {
        "show_search": False,
        "navigation": "migrations_app.admin.sidebar.navigation",
    },
    "DASHBOARD_CALLBACK": "migrations_app.admin.home.dashboard",
    # In spirit.css instead: a style written into the page would have to be allowed.
    "COLORS": lambda request: {},
    "STYLES": [lambda request: static("migrations_app/spirit.css")],
    "SCRIPTS": [
        lambda request: static("migrations_app/expressions.js"),
        lambda request: static("migrations_app/times.js"),
        lambda request: static("migrations_app/live.js"),
        lambda request: static("migrations_app/controls.js"),
        lambda request: static("migrations_app/sql.js"),
    ],
}
# Nothing from elsewhere, and nothing that is written into a page runs: no eval, no inline script,
# no style element. Only style attributes are left, which the admin's pages use for widths.
CONTENT_SECURITY_POLICY: dict[str, Any] = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "style-src-attr": [UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
