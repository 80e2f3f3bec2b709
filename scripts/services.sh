#!/bin/sh
# Says which programs the services tests lack, and fails then. The tests start private servers of their own.
set -eu
PATH="$PATH:/usr/sbin:/usr/local/sbin:/usr/lib/rabbitmq/bin"
missing=""
for pair in redis-server:redis-server rabbitmq-server:rabbitmq-server; do
    command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
done
if ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    missing="$missing postgresql"
fi
if [ -n "$missing" ]; then
    echo "These tests need programs that this machine lacks. As root: apt install --no-install-recommends$missing" >&2
    echo "(on macOS: brew install redis rabbitmq postgresql). Their services need not run." >&2
    exit 1
fi
