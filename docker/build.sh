#!/bin/sh
# build.sh [ARGUMENT of docker buildx build …]: build the image from the digest that the base's tag has today.
# VERSION defaults to the project's. Example: docker/build.sh --load --tag graph-mail-gateway:dev
set -eu
cd "$(dirname "$0")/.."
tag=$(sed -n 's/^ARG PYTHON_IMAGE=//p' docker/Dockerfile | head -n 1)
digest=$(docker buildx imagetools inspect "$tag" --format '{{.Manifest.Digest}}')
version=${VERSION:-$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)}
exec docker buildx build --file docker/Dockerfile \
    --build-arg "PYTHON_IMAGE=$tag@$digest" \
    --build-arg "VERSION=$version" \
    --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
    --build-arg "CREATED=$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
    "$@" .
