#!/bin/bash
# Installs the Debian packages that building and testing need, where any is missing.
set -euo pipefail

packages=(
  g++ ccache cmake ninja-build pkg-config
  libcli11-dev libedit-dev libfmt-dev libjpeg62-turbo-dev libpng-dev libspdlog-dev libssl-dev libutf8proc-dev
  libwebp-dev libxxhash-dev nlohmann-json3-dev
  libbenchmark-dev libgtest-dev libpcre2-dev python3
  fish groff tmux zsh
)

missing=()
for package in "${packages[@]}"; do
  if [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)" != installed ]; then
    missing+=("$package")
  fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "missing packages: ${missing[*]}; install them as root" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "Installing ${missing[*]}" >&2
install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive
         apt-get install -y -q --no-install-recommends "${missing[@]}")
"${install[@]}" || { "${as_root[@]}" apt-get update -q && "${install[@]}"; }
