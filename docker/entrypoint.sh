#!/bin/sh
# entrypoint.sh PROCESS [ARGUMENT …]: start one of the gateway's processes in place of this shell.
# PROCESS is gateway, relay, worker, web, flower or migrate; any other word is a command of manage.py
# (doctor, mailq, sendtest, …), or else a program.
set -eu
cd "$(dirname "$0")/.."

process=${1:-gateway}
[ "$#" -eq 0 ] || shift

# A capability on a file that the container may not have makes exec fail: then ports below 1024 are the
# kernel's to give (net.ipv4.ip_unprivileged_port_start), or nobody asks for one.
python="python"
if python-port25 -c '' 2>/dev/null; then
    python="python-port25"
fi

# read_secret NAME: let NAME_FILE name a file with the value, for programs that do not read such files.
read_secret() {
    eval "file=\${$1_FILE:-}"
    if [ -n "$file" ]; then
        value=$(cat "$file")
        export "$1=$value"
    fi
}

case $process in
gateway) exec "$python" manage.py rungateway "$@" ;;
relay) exec "$python" manage.py runsmtp "$@" ;;
worker) exec python -m celery -A gateway worker --loglevel WARNING "$@" ;;
web)
    # Its other settings: gunicorn.conf.py. gunicorn touches a file every second; here it is in memory.
    exec python -m gunicorn --worker-tmp-dir /dev/shm "$@" gateway.wsgi
    ;;
flower)
    for name in FLOWER_BASIC_AUTH FLOWER_BROKER_API FLOWER_COOKIE_SECRET; do
        read_secret "$name"
    done
    if [ -z "${FLOWER_BASIC_AUTH:-}" ] && [ -z "${FLOWER_AUTH_PROVIDER:-}" ]; then
        echo "Flower would show the queue to everybody: set FLOWER_BASIC_AUTH (or FLOWER_BASIC_AUTH_FILE) to" \
            "user:password, or FLOWER_AUTH_PROVIDER." >&2
        exit 1
    fi
    exec python -m celery -A gateway flower --read-only --port="${FLOWER_PORT:-5555}" \
        --address="${FLOWER_ADDRESS:-0.0.0.0}" "$@"
    ;;
migrate) exec python manage.py migrate --noinput "$@" ;;
*)
    if [ -f "mailrelay/management/commands/$process.py" ] || ! command -v "$process" >/dev/null; then
        exec python manage.py "$process" "$@"
    fi
    exec "$process" "$@"
    ;;
esac
