#!/bin/bash
# check_fresh_debian.sh [FOLDER]: proves the README. A minimal Debian 12 is bootstrapped into a temporary folder (under
# FOLDER, default /var/tmp), the committed tree is cloned into it with nothing beside it, and the README's own
# set-up commands are run there as root, without a terminal. Needs root and debootstrap; takes as long as they take.
set -euo pipefail
cd "$(dirname "$0")/../.."

[ "$(id -u)" -eq 0 ] || { echo "run this as root" >&2; exit 1; }
mapfile -t commands < <(sed -n 's/^    \(apt-get update .*\)/\1/p' README.md)
[ ${#commands[@]} -eq 2 ] || { echo "expected two set-up commands in README.md, found ${#commands[@]}" >&2; exit 1; }

# The mirror that this machine itself installs from.
mirror=$(apt-get indextargets --format '$(SITE) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
         awk '$2 == "bookworm" && $3 == "main" { print $1; exit }')
[ -n "$mirror" ] || { echo "no bookworm mirror in this machine's apt configuration" >&2; exit 1; }

root=$(mktemp -d "${1:-/var/tmp}/fresh-debian.XXXXXX")
leave() {
  for mounted in proc dev/pts dev/shm dev; do
    umount "$root/$mounted" 2>/dev/null || true
  done
  # Never delete through a mount that would not go away.
  if mount | grep -q " $root/"; then
    echo "still mounted, left as it is: $root" >&2
  else
    rm -rf "$root" "$root.log"
  fi
}
trap leave EXIT

debootstrap --variant=minbase bookworm "$root" "$mirror" >"$root.log" || { tail "$root.log" >&2; exit 1; }
mount -t proc proc "$root/proc"
for folder in dev dev/pts dev/shm; do
  mount --bind "/$folder" "$root/$folder"
done
cp /etc/resolv.conf /etc/hosts "$root/etc/"
git clone -q --no-hardlinks . "$root/root/exaone.cpp"

for command in "${commands[@]}"; do
  echo "== fresh Debian 12: $command"
  started=$SECONDS
  chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    ${http_proxy:+http_proxy="$http_proxy"} /bin/sh -c "cd /root/exaone.cpp && $command" </dev/null
  echo "== exit 0 after $((SECONDS - started)) s"
done
