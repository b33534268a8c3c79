"""The application's place in Django."""

from __future__ import annotations

from django.apps import AppConfig


class MigrationsAppConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "migrations_app"
    verbose_name = "Schema changes"
