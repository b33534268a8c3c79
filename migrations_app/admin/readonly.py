"""An admin page for rows that only the system writes: to be read, searched and filtered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib.admin.options import IncorrectLookupParameters
from django.db import DataError
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin

M = TypeVar("M", bound=Model)


class AskedList:
    """A list whose address may ask for anything: what no database can compare with is answered as
    Django answers a filter that there is not, by the whole list."""

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list, with its rows counted. Raises IncorrectLookupParameters."""
        try:
            return super().get_changelist_instance(request)  # type: ignore[misc]
        except (OverflowError, ValueError, DataError) as error:
            raise IncorrectLookupParameters(str(error)) from error


if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin as _DjangoAdmin

    class TypedAdmin(AskedList, ModelAdmin, _DjangoAdmin[M]):
        """unfold's admin, which has no stubs, typed as Django's own."""

else:

    class TypedAdmin(AskedList, ModelAdmin):
        """unfold's admin; subscripting it with a model is for the type checker only."""

        def __class_getitem__(cls, model: Any) -> type:
            return cls


class ReadOnlyAdmin(TypedAdmin[M]):
    """Nobody adds, changes or deletes here, a superuser included: history is append-only."""

    actions = None
    show_add_link = False
    list_per_page = 50
    show_full_result_count = False
    list_filter_submit = True

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False
