"""The admin site of the gateway."""

from django.contrib.admin import AdminSite


class GatewayAdminSite(AdminSite):
    site_header = "Mail gateway"
    site_title = "Mail gateway"
    index_title = "Overview"


site = GatewayAdminSite(name="admin")
