#!/usr/bin/env bash
# Gives the calling shell a Docker Engine with BuildKit and Compose v2 for the end-to-end tests.
#
#   . tests/engine/start.sh               (sourced; FOLDER is $HARDENER_ENGINE_DIR, by default ~/.cache/hardener-engine)
#
# An engine that answers already is used as it is. Otherwise (Debian 12, as root) a private one is started from
# Debian's packages, with its own data, socket and configuration under FOLDER; no image registry is needed.
# Exports, for a private engine only: PATH, DOCKER_HOST, DOCKER_CONFIG, HARDENER_ENGINE=FOLDER, and, when it was not running
# yet, its process as HARDENER_ENGINE_STARTED. Stop it with:  kill "$(cat FOLDER/dockerd.pid)"

_hardener_engine() {
  local folder=$1
  if docker version >/dev/null 2>&1; then return; fi
  if [ "$(id -u)" != 0 ] || ! grep -q '^VERSION_CODENAME=bookworm' /etc/os-release; then
    echo "no Docker Engine answers, and a private one needs Debian 12 and root; start yours and try again" >&2
    return 1
  fi
  mkdir -p "$folder" && folder=$(cd "$folder" && pwd) || return 1
  if [ ! -e "$folder/unpacked" ]; then _hardener_unpack "$folder" || return 1; fi
  export PATH="$folder/root/usr/bin:$folder/root/usr/sbin:$PATH"
  export DOCKER_HOST="unix://$folder/docker.sock" DOCKER_CONFIG="$folder/config" HARDENER_ENGINE="$folder"
  if docker version >/dev/null 2>&1; then return; fi
  rm -f "$folder/docker.sock" "$folder/dockerd.pid"
  # No iptables and no default bridge: neither is to be had in a sandbox. Builds use --network host, tests their own network.
  setsid nohup dockerd --iptables=false --ip6tables=false --bridge=none --data-root "$folder/data" \
    --exec-root "$folder/exec" --pidfile "$folder/dockerd.pid" -H "$DOCKER_HOST" >"$folder/dockerd.log" 2>&1 </dev/null &
  for _ in $(seq 120); do
    if docker version >/dev/null 2>&1; then
      HARDENER_ENGINE_STARTED=$(cat "$folder/dockerd.pid")
      export HARDENER_ENGINE_STARTED
      return
    fi
    sleep 0.5
  done
  echo "the private engine does not answer; the end of $folder/dockerd.log:" >&2
  tail -n 5 "$folder/dockerd.log" >&2
  return 1
}

# Docker 26 comes from trixie (bookworm's BuildKit knows no heredocs); runc from bookworm, as trixie's wants a newer libc.
_hardener_unpack() (
  set -e
  folder=$1
  mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
  mirror=${mirror:-http://deb.debian.org/debian}
  needed=(debootstrap iptables procps runc)
  if ! dpkg -s "${needed[@]}" >/dev/null 2>&1; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${needed[@]}" >/dev/null
  fi
  mkdir -p "$folder/lists/partial" "$folder/debs" "$folder/root" "$folder/config/cli-plugins"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$folder/trixie.list"
  trixie=(apt-get -qq -o "Dir::Etc::sourcelist=$folder/trixie.list" -o Dir::Etc::sourceparts=-
    -o "Dir::State::lists=$folder/lists" -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root)
  "${trixie[@]}" update
  cd "$folder/debs"
  "${trixie[@]}" download docker.io docker-cli containerd docker-buildx docker-compose
  for package in *.deb; do dpkg -x "$package" "$folder/root"; done
  ln -sf "$folder"/root/usr/libexec/docker/cli-plugins/* "$folder/config/cli-plugins/"
  touch "$folder/unpacked"
)

if _hardener_engine "${HARDENER_ENGINE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/hardener-engine}"; then
  docker version --format 'engine {{.Server.Version}}'
else
  false
fi
