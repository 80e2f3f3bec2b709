#!/bin/sh
# make-secrets.sh [rabbitmq|redis]: write the secret files of compose.yaml into secrets/ beside it, once.
# What is there stays, but for broker_url, which follows the broker that is named.
# The client secret of the Entra application is read from AZURE_CLIENT_SECRET, or from standard input.
set -eu
cd "$(dirname "$0")"
broker=${1:-rabbitmq}
umask 077
mkdir -p secrets

# write NAME VALUE: make the file where there is none. Group and others may read the file, in a folder that
# they may not enter: containers see it under their own user.
write() {
    [ -e "secrets/$1" ] || printf '%s' "$2" >"secrets/$1"
    chmod 444 "secrets/$1"
}
random() { openssl rand -hex 24; }

for name in postgres_password rabbitmq_password redis_password grafana_password superuser_password; do
    write $name "$(random)"
done
write django_secret_key "$(random)"
write field_encryption_keys "$(openssl rand -base64 32 | tr +/ -_)"
write flower_basic_auth "watch:$(random)"
write database_url "postgres://gateway:$(cat secrets/postgres_password)@postgres:5432/gateway"

rm -f secrets/broker_url
case $broker in
rabbitmq) write broker_url "amqp://gateway:$(cat secrets/rabbitmq_password)@rabbitmq:5672//" ;;
redis) write broker_url "redis://:$(cat secrets/redis_password)@redis:6379/0" ;;
*)
    echo "make-secrets.sh knows rabbitmq and redis, not $broker." >&2
    exit 1
    ;;
esac

if [ ! -e secrets/azure_client_secret ]; then
    if [ -z "${AZURE_CLIENT_SECRET:-}" ] && [ -t 0 ]; then
        printf 'Client secret of the Entra application (it is not shown): ' >&2
        stty -echo
        read -r AZURE_CLIENT_SECRET
        stty echo
        echo >&2
    elif [ -z "${AZURE_CLIENT_SECRET:-}" ]; then
        read -r AZURE_CLIENT_SECRET || true
    fi
    write azure_client_secret "${AZURE_CLIENT_SECRET:-}"
fi
echo "The secrets are in $PWD/secrets; the administrator's password is in superuser_password." >&2
