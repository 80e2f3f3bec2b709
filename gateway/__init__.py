"""The Django project: settings from declared variables, the Celery application, URLs and WSGI.

Nothing is imported here, so that a process can read a few settings before it loads Django and Celery
(`gateway.early`). Django's application loads `gateway.celery` (mailrelay.apps).
"""
