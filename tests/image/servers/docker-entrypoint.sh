#!/bin/sh
# docker-entrypoint.sh postgres|rabbitmq-server|redis-server [ARGUMENT …]: what the images of the three do at
# their start as far as docker/compose.yaml relies on it, with the servers of Debian.
set -eu

as() {
    user=$1
    shift
    exec setpriv --reuid="$user" --regid="$user" --init-groups "$@"
}

case $1 in
postgres)
    bin=$(echo /usr/lib/postgresql/*/bin)
    data=/var/lib/postgresql/data
    install -d -o postgres -g postgres -m 700 "$data"
    install -d -o postgres -g postgres /run/postgresql
    if [ ! -s "$data/PG_VERSION" ]; then
        cp "$POSTGRES_PASSWORD_FILE" /tmp/password
        chown postgres /tmp/password
        (as postgres "$bin/initdb" --pgdata="$data" --username="$POSTGRES_USER" --pwfile=/tmp/password \
            --auth-host=scram-sha-256 --encoding=UTF8)
        rm /tmp/password
        echo "host all all all scram-sha-256" >>"$data/pg_hba.conf"
        (as postgres "$bin/pg_ctl" --pgdata="$data" --options="-c listen_addresses=" --wait start)
        (as postgres createdb --username="$POSTGRES_USER" "$POSTGRES_DB")
        (as postgres "$bin/pg_ctl" --pgdata="$data" --mode=fast --wait stop)
    fi
    as postgres "$bin/postgres" -D "$data" -c "listen_addresses=*"
    ;;
rabbitmq-server)
    # A word of RabbitMQ 4 that Debian's 3.10 does not know.
    sed -i '/^default_queue_type/d' /etc/rabbitmq/conf.d/*.conf
    {
        echo "default_user = $RABBITMQ_DEFAULT_USER"
        echo "default_pass = $RABBITMQ_DEFAULT_PASS"
    } >/etc/rabbitmq/conf.d/30-user.conf
    echo "[rabbitmq_management]." >/etc/rabbitmq/enabled_plugins
    chown -R rabbitmq:rabbitmq /var/lib/rabbitmq /etc/rabbitmq
    export HOME=/var/lib/rabbitmq
    as rabbitmq /usr/lib/rabbitmq/bin/rabbitmq-server
    ;;
redis-server)
    shift
    install -d -o redis -g redis /data
    cd /data
    as redis redis-server --bind 0.0.0.0 --protected-mode no "$@"
    ;;
*) exec "$@" ;;
esac
