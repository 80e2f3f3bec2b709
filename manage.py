#!/usr/bin/env python
"""Django's command line for the gateway: `manage.py help` lists what it can do."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    if sys.argv[1:2] == ["rungateway"] and not {"-h", "--help"} & set(sys.argv):
        _begin_before_django()
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


def _begin_before_django() -> None:
    """Answer probes and prepare the database while this process is small."""
    from mailrelay.processes import starting
    from mailrelay.processes.data_dir import StartError

    try:
        starting.begin(sys.argv[2:])
    except StartError as error:
        sys.exit(f"CommandError: {error}")


if __name__ == "__main__":
    main()
