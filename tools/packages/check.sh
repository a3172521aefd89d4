#!/usr/bin/env bash
# Makes the packages of the newest commit for this machine, lets lintian and rpmlint read them, and installs, upgrades and
# removes both in a copy of this machine's root that has no network and no systemd. It needs root, for the mounts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[ "$(id -u)" = 0 ] || { echo "packages-check needs root"; exit 1; }
for program in lintian rpmlint rpm dpkg man unshare; do
  command -v "$program" >/dev/null || { echo "packages-check needs $program: apt-get install lintian rpmlint rpm dpkg man-db util-linux"; exit 1; }
done
work=$(mktemp -d)
cleanup() {
  umount -R "$work/root" 2>/dev/null || true
  umount "$work/over" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

echo "Packages of $(git rev-parse --short=12 HEAD)"
git clone -q . "$work/clone"
REVISION=$(git rev-parse --short=12 HEAD)
(
  cd "$work/clone"
  VERSION=$(cat VERSION)
  export VERSION REVISION
  # Other systems have packages of the same files.
  sed -i "s/goos: \[.*/goos: [linux]/; s/goarch: \[.*/goarch: [$(go env GOARCH)]/" .goreleaser.yaml
  "$GORELEASER" release --snapshot --clean --skip=archive,docker,sbom,sign >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
)
deb=$(ls "$work"/clone/dist/*.deb) rpm=$(ls "$work"/clone/dist/*.rpm)

echo "lintian"
lintian --allow-root --fail-on=error,warning "$deb"
echo "rpmlint"
said=$(rpmlint --config deploy/packages/rpmlint.toml "$rpm" || true)
grep -q ' 0 errors, 0 warnings' <<<"$said" || { echo "$said"; exit 1; }
[ "$(rpm --query --docfiles --package "$rpm" 2>/dev/null | grep -c '/doc/openai-exporter/')" -gt 20 ] || { echo "rpm does not know what is documentation"; exit 1; }

echo "A root without network and systemd"
mkdir "$work/over" "$work/root"
mount -t tmpfs tmpfs "$work/over"
mkdir "$work/over/upper" "$work/over/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/over/upper,workdir=$work/over/work" "$work/root"
mount -t tmpfs tmpfs "$work/root/run"
mount -t tmpfs tmpfs "$work/root/tmp"
cp "$deb" "$work/root/tmp/package.deb"
cp "$rpm" "$work/root/tmp/package.rpm"
# Images leave documentation out, which is what is looked for.
rm -f "$work"/root/etc/dpkg/dpkg.cfg.d/*
cp tools/packages/inside.sh "$work/root/tmp/inside.sh"
unshare --net --uts --ipc chroot "$work/root" /bin/bash /tmp/inside.sh "$(cat VERSION)"
