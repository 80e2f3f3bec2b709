"""`manage.py runsandbox`: the stand-in for Entra ID and Microsoft Graph, on this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand

from mailrelay.sandbox.__main__ import add_arguments, options_of
from mailrelay.sandbox.running import run

if TYPE_CHECKING:
    import argparse


class Command(BaseCommand):
    help = "Run a sandbox of Entra ID and Microsoft Graph; what it delivers stays on this machine."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add_arguments(parser, data_dir=settings.DATA_DIR / "sandbox")

    def handle(self, *_args: Any, **options: Any) -> None:
        sys.exit(run(options_of(options)))
