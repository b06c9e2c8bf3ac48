#!/usr/bin/env bash
# Makes the base images of the fixtures on the private engine of start.sh (which reaches no image registry): imitations built
# from Debian, PyPI and BusyBox packages, see bases.Dockerfile. On any other engine it does nothing: that one pulls the real
# images, and an imitation must never take an official name there. Images that are there already are kept.
#
#   . tests/engine/start.sh && tests/engine/bases.sh
set -euo pipefail

if [ -z "${HARDENER_ENGINE:-}" ]; then
  echo "not the private engine of start.sh: base images are pulled as usual"
  exit 0
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
context=$HARDENER_ENGINE/context
mkdir -p "$context"

# target of bases.Dockerfile, then the official names it stands for; slow ones first
targets=(
  "alpine alpine:3.20"
  "python python:3.12-slim python:3.12 python:3.11-slim"
  "golang golang:1.22"
  "jre eclipse-temurin:17-jre"
  "node node:20 node:20-slim"
  "php-apache php:8.2-apache"
  "nginx nginx:1.27"
  "php-cli php:8.2-cli"
  "tomcat tomcat:10.1"
  "httpd httpd:2.4"
  "jdk eclipse-temurin:17-jdk eclipse-temurin:17"
  "node-alpine node:20-alpine"
  "golang-alpine golang:1.22-alpine"
  "caddy caddy:2"
  "haproxy haproxy:2.9"
  "traefik traefik:v3.0"
)

certificates=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
mirror=${mirror:-http://deb.debian.org/debian}
recipe=$(cat "$here/bases.Dockerfile" "$here/bases.sh" "$certificates" | sha256sum | cut -c 1-16)
export here context recipe DOCKER_BUILDKIT=1

make_base() { # "target name..."
  local target=$1 name started=$SECONDS
  shift
  for name in "$@"; do
    if [ "$(docker image inspect -f '{{index .Config.Labels "hardener.recipe"}}' "$name" 2>/dev/null)" != "$recipe" ]; then
      docker build --quiet --network host --target "$target" --label "hardener.recipe=$recipe" -t "$name" \
        -f "$here/bases.Dockerfile" "$context" >"$context/../$target.log" 2>&1 || {
        tail -n 30 "$context/../$target.log" >&2
        return 1
      }
    fi
  done
  echo "  $* ($((SECONDS - started)) s)"
}
export -f make_base

missing=0
for line in "${targets[@]}" "debian debian:bookworm-slim"; do
  for name in ${line#* }; do
    [ "$(docker image inspect -f '{{index .Config.Labels "hardener.recipe"}}' "$name" 2>/dev/null)" = "$recipe" ] || missing=1
  done
done
if [ "$missing" = 0 ]; then
  echo "base images: all there"
  exit 0
fi

echo "base images (imitations from Debian and PyPI packages):"
if [ ! -f "$context/rootfs.tar" ]; then
  rm -rf "$HARDENER_ENGINE/rootfs"
  debootstrap --variant=minbase --include=ca-certificates bookworm "$HARDENER_ENGINE/rootfs" "$mirror" >"$HARDENER_ENGINE/debootstrap.log" 2>&1
  rm -rf "$HARDENER_ENGINE/rootfs"/var/cache/apt/archives/*.deb "$HARDENER_ENGINE/rootfs"/var/lib/apt/lists/*
  tar -C "$HARDENER_ENGINE/rootfs" -cf "$context/rootfs.part" .
  mv "$context/rootfs.part" "$context/rootfs.tar"
  rm -rf "$HARDENER_ENGINE/rootfs"
fi
cp "$certificates" "$context/ca.crt"
cat >"$context/apt.sources" <<X
Types: deb
URIs: $mirror
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
X
make_base debian debian:bookworm-slim
printf '%s\n' "${targets[@]}" | xargs -P 3 -I '{}' bash -euc 'make_base {}'
docker image prune --force >/dev/null # what an older recipe left
