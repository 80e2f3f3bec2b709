#!/bin/sh
# Puts into .venv/tools/clients what tests/clients, tests/browser and tests/upstream need and no package installs
# beside the others: nodemailer and axe-core (npm), a plugin of pytest, and Exim, unpacked because Debian installs
# one mail server only. Does nothing when that is done; says what stays away, which the tests then skip with the
# same reason.
set -eu
cd "$(dirname "$0")/.."
folder=.venv/tools/clients
stamp=$folder/.installed
wanted="$(cat tests/clients/programs/package-lock.json tests/upstream/requirements.txt | cksum) 2 $PWD"
if [ "$(cat $stamp 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
mkdir -p $folder/node $folder/exim
complete=yes

scripts/setup.sh
.venv/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes --upgrade \
    --target $folder/python -r tests/upstream/requirements.txt

if command -v npm >/dev/null; then
    cp tests/clients/programs/package.json tests/clients/programs/package-lock.json $folder/node/
    (cd $folder/node && npm ci --ignore-scripts --no-fund --no-audit --loglevel error)
else
    echo "npm is not here: neither nodemailer nor accessibility is tried. On Debian: apt install npm" >&2
    complete=""
fi

if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    if [ ! -x $folder/exim/usr/sbin/exim4 ]; then
        scratch=$(mktemp -d)
        trap 'rm -rf "$scratch"' EXIT
        chmod 755 "$scratch"
        (cd "$scratch" && apt-get download -qq exim4-daemon-light) 2>"$scratch/said" || {
            cat "$scratch/said" >&2
            echo "Exim could not be downloaded; after apt-get update it may be." >&2
            exit 1
        }
        dpkg -x "$scratch"/exim4-daemon-light_*.deb $folder/exim
    fi
    # Exim looks for the user that it was built for; the package itself would make it.
    getent passwd Debian-exim >/dev/null ||
        useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin Debian-exim
else
    echo "Exim is unpacked by root on Debian only: it is not tried." >&2
    complete=""
fi
[ -z "$complete" ] || echo "$wanted" >$stamp
