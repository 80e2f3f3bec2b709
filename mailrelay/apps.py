"""The Django application."""

from django.apps import AppConfig


class MailRelayConfig(AppConfig):
    name = "mailrelay"
    verbose_name = "Mail gateway"

    def ready(self) -> None:
        from django.db.models.signals import post_migrate

        import gateway.celery
        import gateway.checks  # noqa: F401 - registers the checks; the one before makes the Celery application
        from mailrelay.console import roles
        from mailrelay.outbox.operators import environment

        post_migrate.connect(environment.after_migrate, sender=self, dispatch_uid="environment-sender")
        post_migrate.connect(roles.ensure, sender=self, dispatch_uid="roles")
