"""Rows that exist to be locked: what must be decided by one at a time takes one."""

from __future__ import annotations

from django.db import models


class Latch(models.Model):
    """name: of what is decided, such as ``admission``."""

    name = models.CharField(max_length=40, primary_key=True)

    def __str__(self) -> str:
        return self.name
