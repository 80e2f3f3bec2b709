"""The screens of people: who may log in, and what they may do."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User

from mailrelay.console.site import site

admin.register(User, site=site)(UserAdmin)
admin.register(Group, site=site)(GroupAdmin)
