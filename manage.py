#!/usr/bin/env python
"""Django's command line for the gateway: `manage.py help` lists what it can do."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    from gateway.start import run

    run(sys.argv)


if __name__ == "__main__":
    main()
