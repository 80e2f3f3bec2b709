#!/bin/bash
# newest-python.sh: the unit suites on the newest Python promised, and the differential test between it and the oldest.
# As root on Debian: it makes a small Debian of the release that has this Python in a temporary folder, from the
# mirror that this machine's own apt uses, and removes it at the end. OLDEST=… is the other Python's environment.
set -euo pipefail
cd "$(dirname "$0")/.."

# The suites without servers and processes; one folder more costs about a minute.
suites=(tests/mime tests/graph tests/routing tests/smtp)
release=forky # Python 3.14
oldest=${OLDEST:-.venv/bin/python}

absent() {
    echo "newest-python: $1" >&2
    [ "${REQUIRE_SERVICES:-}" != 1 ] || exit 1
    exit 0
}
[ "$(id -u)" = 0 ] || absent "skipped: it makes a Debian of its own, which takes root"
command -v mmdebstrap >/dev/null || absent "skipped: mmdebstrap is not installed (apt install mmdebstrap)"

root=$(mktemp -d)
clean_up() { rm -rf --one-file-system "$root"; }
trap clean_up EXIT

# mirror: where this machine's own apt finds Debian.
mirror() {
    sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\).*/\2/p' \
        /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null |
        grep -v security | head -n 1
}

# inside COMMAND: run it in the new Debian, with this tree at /project and this machine's settings of pip.
inside() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare --mount --pid --fork --kill-child bash -euc '
        root=$1 && shift
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount --bind . "$root/project"
        exec chroot "$root" env PATH=/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp PYTHONDONTWRITEBYTECODE=1 \
            sh -euc "cd /project && $*"' inside "$root" "$@"
}

echo "Making a Debian $release with the newest Python …"
packages=python3,python3-venv,ca-certificates,procps,git,make
mmdebstrap --quiet --variant=minbase --include="$packages" "$release" "$root" "$(mirror)"
mkdir -p "$root/project" "$root/etc/ssl/certs"
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
[ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$root/etc/"
unset PIP_FIND_LINKS
inside 'python3 -m venv /venv && python3 --version'
inside 'pip --disable-pip-version-check install --quiet --require-hashes -r requirements/dev.txt'

"$oldest" -m scripts.differential >"$root/digests"
inside 'python -m scripts.differential --against /digests'
inside "pytest -q -n 2 --dist loadfile -m 'not soak and not services' ${suites[*]}"
