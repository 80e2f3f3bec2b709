"""The Django project: settings from declared variables, the Celery application, URLs and WSGI."""

from gateway.celery import app as celery_app

__all__ = ["celery_app"]
