"""`manage.py runsandbox`: the stand-in for Entra ID and Microsoft Graph, on this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from mailrelay.processes import with_sandbox
from mailrelay.processes.data_dir import StartError

if TYPE_CHECKING:
    import argparse


class Command(BaseCommand):
    help = "Run a sandbox of Entra ID and Microsoft Graph; what it delivers stays on this machine."
    requires_system_checks = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        try:
            with_sandbox.refuse_where_it_is_absent()
        except StartError as error:
            raise CommandError(str(error)) from None
        from sandbox.__main__ import add_arguments  # not in every installation

        add_arguments(parser, data_dir=settings.DATA_DIR / "sandbox")

    def handle(self, *_args: Any, **options: Any) -> None:
        from sandbox.__main__ import options_of
        from sandbox.running import run

        sys.exit(run(options_of(options)))
