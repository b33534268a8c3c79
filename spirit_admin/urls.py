"""Addresses: the pages of the admin, the API, and what monitors ask."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from migrations_app import health
from migrations_app.api.site import api

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.prometheus),
    path("api/v1/", api.urls),
    path("admin/", admin.site.urls),
]
