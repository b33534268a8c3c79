"""Accounts and roles, in the site's look. A role is a group; its name says what it may do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.db.models import ManyToManyField
from django.forms import ModelForm, ModelMultipleChoiceField
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from migrations_app.admin.readonly import AskedList

if TYPE_CHECKING:
    _UserAdmin = UserAdmin[User]
else:  # Django's own cannot be subscripted while it runs
    _UserAdmin = UserAdmin

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class PersonAdmin(AskedList, _UserAdmin, ModelAdmin):
    """An account. Only a superuser or a holder of ``auth.change_user`` comes here."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    # What a person may do is said by roles; single permissions belong to those (RoleAdmin).
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Who it is", {"fields": ("first_name", "last_name", "email")}),
        ("What they may do", {"fields": ("groups", "is_active", "is_staff", "is_superuser")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    filter_horizontal = ()

    def formfield_for_manytomany(
        self, db_field: ManyToManyField[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelMultipleChoiceField[Any] | None:
        kwargs["widget"] = UnfoldAdminCheckboxSelectMultipleWidget
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        if field is None:
            return None
        if db_field.name == "groups":
            field.label = "Roles"
            field.help_text = "Each is described in the user guide; Roles lists all there are."
        else:
            page = request.resolver_match
            number = page.kwargs.get("object_id") if page else None
            field.queryset = Permission.objects.filter(user=number)
            field.label = "Single permissions"
            field.help_text = "Given earlier. Switch off what is to be taken away."
        return field

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Single permissions are shown where there are any, so that they can be taken away."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or not obj.user_permissions.exists():
            return fieldsets
        return (*fieldsets, ("Beside the roles", {"fields": ("user_permissions",)}))

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Only a superuser makes superusers."""
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, "is_superuser")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Nor does anybody else change one, whose password could be set."""
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def save_model(
        self, request: HttpRequest, obj: User, form: ModelForm[User], change: bool
    ) -> None:
        """Whoever is added here is to log in here, so *staff status* is on from the beginning."""
        if not change:
            obj.is_staff = True
        super().save_model(request, obj, form, change)


@admin.register(Group)
class RoleAdmin(AskedList, GroupAdmin, ModelAdmin):
    """A role: requester, approver, operator, or a site's own."""
