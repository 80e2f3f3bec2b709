#!/bin/sh
# collect.sh VENV: gather the static files of the admin beside manage.py, and compile what is imported at start.
set -eu
venv=$1
DATA_DIR=$(mktemp -d)
export DATA_DIR
trap 'rm -rf "$DATA_DIR"' EXIT
"$venv/bin/python" manage.py collectstatic --noinput --verbosity 0
"$venv/bin/python" -m compileall -q gateway mailrelay
"$venv/bin/python" docker/prepare.py prepared.sqlite3
