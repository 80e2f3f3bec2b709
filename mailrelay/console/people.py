"""The screens of people: how they sign in, who may, and what they may do."""

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth import signals
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from mailrelay.console import throttle, totp
from mailrelay.console.site import site
from mailrelay.models import SecondFactor


class SignInForm(AdminAuthenticationForm):
    """Name, password, and the code of those who set an authenticator up."""

    code = forms.CharField(
        required=False,
        max_length=12,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )

    def get_invalid_login_error(self) -> ValidationError:
        if throttle.was_throttled(self.request):
            return ValidationError("Too many sign-ins failed. Wait a minute, then try once more.")
        return super().get_invalid_login_error()

    def confirm_login_allowed(self, user: AbstractBaseUser) -> None:
        super().confirm_login_allowed(user)  # type: ignore[arg-type]
        factor = totp.factor_of(user)
        if factor is not None and not totp.accept(factor, self.data.get("code", "")):
            tried = {"username": user.get_username()}
            signals.user_login_failed.send(sender=__name__, credentials=tried, request=self.request)
            raise ValidationError("Enter the six digits that your authenticator shows now; each counts once.")


class PeopleAdmin(UserAdmin):  # type: ignore[type-arg]
    """Django's own screen, with a way to help who lost the telephone."""

    actions = ("remove_second_factor",)

    @admin.action(description="Remove the second factor", permissions=["change"])
    def remove_second_factor(self, request: HttpRequest, rows: QuerySet[User]) -> None:
        removed, _ = SecondFactor.objects.filter(user__in=rows).delete()
        self.message_user(request, f"Second factors removed: {removed}.", messages.SUCCESS)


site.login_form = SignInForm
admin.register(User, site=site)(PeopleAdmin)
admin.register(Group, site=site)(GroupAdmin)
