#!/bin/sh
# Installs what tests/deploy checks docker/ and deploy/ with, into .venv/tools. Does nothing when that is done.
set -eu
cd "$(dirname "$0")/.."
tools=.venv/tools
stamp=$tools/.installed
wanted="$(cat requirements/deploy.txt requirements/tracing.txt tests/deploy/schemas/package-lock.json | cksum) $PWD"
if [ "$(cat $stamp 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
scripts/setup.sh
echo "Installing the checkers of docker/ and deploy/ into $tools …"
[ -x $tools/bin/python ] || .venv/bin/python -m venv $tools
$tools/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements/deploy.txt
# What traces need, apart from .venv: tests start processes with it and without.
rm -rf $tools/tracing
$tools/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes --target $tools/tracing \
    -r requirements/tracing.txt
if command -v npm >/dev/null; then
    mkdir -p $tools/node
    cp tests/deploy/schemas/package.json tests/deploy/schemas/package-lock.json $tools/node/
    (cd $tools/node && npm ci --ignore-scripts --no-fund --no-audit --loglevel error)
else
    echo "npm is not here: custom kinds are not checked. On Debian: apt install npm" >&2
fi
echo "$wanted" >$stamp
