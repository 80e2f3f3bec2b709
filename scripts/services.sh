#!/bin/sh
# Says which programs the services tests lack, and fails then. The tests start private servers of their own.
set -eu
PATH="$PATH:/usr/sbin:/usr/local/sbin:/usr/lib/rabbitmq/bin"
missing=""
for pair in redis-server:redis-server rabbitmq-server:rabbitmq-server swaks:swaks curl:curl msmtp:msmtp \
    php:php-cli javac:default-jdk-headless nc:netcat-openbsd npm:npm node:nodejs postconf:postfix; do
    command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
done
[ -e /usr/share/java/javax.mail.jar ] || missing="$missing libmail-java"
[ -e /usr/share/php/Symfony/Component/Mailer/autoload.php ] || missing="$missing php-symfony-mailer"
perl -MNet::SSLeay -e1 2>/dev/null || missing="$missing libnet-ssleay-perl"
ls /usr/lib/*/sasl2/libplain.so >/dev/null 2>&1 || missing="$missing libsasl2-modules"
if ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    missing="$missing postgresql"
fi
if [ -n "$missing" ]; then
    echo "These tests need programs that this machine lacks. As root: apt install --no-install-recommends$missing" >&2
    echo "(on macOS there is brew for most; make test skips what is absent). Their services need not run." >&2
    exit 1
fi
