#!/usr/bin/env python
"""Django's command line for the gateway: `manage.py help` lists what it can do."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "rungateway":
        _begin_before_django()
    elif command:
        _let_the_gateway_do_it()
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    finally:
        _stop_writer()


def _begin_before_django() -> None:
    """Answer probes and prepare the database while this process is small."""
    from mailrelay.processes import starting
    from mailrelay.processes.data_dir import StartError

    if {"-h", "--help"} & set(sys.argv):
        return
    try:
        starting.begin(sys.argv[2:])
    except StartError as error:
        sys.exit(f"CommandError: {error}")


def _let_the_gateway_do_it() -> None:
    """Where memory is scarce, hand the command to the gateway that runs here, and end."""
    from mailrelay import memory

    if not memory.scarce():
        return
    from gateway.early import files
    from gateway.env import Environment
    from mailrelay.processes import remote

    code = remote.carried_out(sys.argv[1:], files(Environment()).data_dir)
    if code is not None:
        sys.exit(code)


def _stop_writer() -> None:
    """End the thread that writes to the database, where a command has begun one."""
    writer = sys.modules.get("mailrelay.outbox.db.writer")
    if writer is not None:
        writer.stop_process_writer()


if __name__ == "__main__":
    main()
