#!/bin/sh
# customize.sh ROOT: make a Debian with its own Python look like the base that docker/Dockerfile names.
set -eu
root=$1
ln -sf /usr/bin/python3 "$root/usr/local/bin/python3"
ln -sf /usr/bin/python3 "$root/usr/local/bin/python"
# The base has no compiled files of the standard library; Debian's packages make them.
find "$root/usr/lib" "$root/usr/share" -name '*.pyc' -delete
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
cp "$IMAGE_TEST_PIP_CONF" "$root/etc/pip.conf"
