#!/usr/bin/env bash
# Makes a release of the newest commit twice, in two clones, and compares: the same source has to be the same bytes. Nothing is
# signed or published, and images are left to image-check.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source=$PWD
commit=$(git rev-parse HEAD)
mkdir "$work/bin"
ln -s "$CYCLONEDX" "$work/bin/cyclonedx-gomod"
PATH=$work/bin:$PATH

# release CLONE: what stands in CLONE/dist afterwards is what a tag would publish.
release() {
  git clone -q "$source" "$1"
  cd "$1"
  git checkout -q "$commit"
  export VERSION REVISION
  VERSION=$(cat VERSION)
  REVISION=$(git rev-parse --short=12 HEAD)
  git -c user.name=check -c user.email=check@localhost tag -a "v$VERSION" -m "v$VERSION"
  "$GORELEASER" release --clean --skip=docker,sign,publish,announce,validate >"$1.log" 2>&1 || { cat "$1.log"; exit 1; }
  cd - >/dev/null
}
echo "Two releases of $(git rev-parse --short=12 HEAD)"
release "$work/one"
# Another directory and another time must not show.
release "$work/another/place"
# A bill of materials says when it was made.
diff <(grep -v 'cdx.json$' "$work/one/dist/sha256sums.txt") <(grep -v 'cdx.json$' "$work/another/place/dist/sha256sums.txt") || { echo "Two builds differ"; exit 1; }

cd "$work/one/dist"
version=$(cat "$work/one/VERSION")
files=$(ls)
for want in openai_exporter-"$version".{linux,darwin}-{amd64,arm64}.{tar.gz,cdx.json} openai-exporter_"$version"_{amd64,arm64}.deb openai-exporter-"$version"-1.{x86_64,aarch64}.rpm; do
  grep -qxF "$want" <<<"$files" || { echo "There is no $want among"; echo "$files"; exit 1; }
  grep -qE "  $want\$" sha256sums.txt || { echo "sha256sums.txt has no $want"; exit 1; }
done
tar -xzf "openai_exporter-$version.linux-$(go env GOARCH).tar.gz" -C "$work"
for want in LICENSE LICENSE.genai-prices docs/configuration.md docs/runbooks/OpenAIKeyRejected.md deploy/systemd/openai_exporter.service; do
  [ -f "$(echo "$work"/openai_exporter-*)/$want" ] || { echo "The archive lacks $want"; exit 1; }
done
says=$("$work"/openai_exporter-*/openai_exporter --version | head -1)
grep -qF "version $version " <<<"$says" || { echo "The binary says: $says"; exit 1; }

if command -v dpkg-deb >/dev/null; then
  dpkg-deb --contents "openai-exporter_${version}_amd64.deb" >"$work/deb"
  for want in ./usr/bin/openai_exporter ./usr/lib/systemd/system/openai_exporter.service ./etc/openai_exporter/openai_exporter.yml ./usr/share/doc/openai-exporter/configuration.md \
    ./usr/share/doc/openai-exporter/runbooks/OpenAIKeyRejected.md ./usr/share/doc/openai-exporter/changelog.Debian.gz ./usr/share/man/man1/openai_exporter.1.gz; do
    grep -qE "root/root .* $want\$" "$work/deb" || { echo "The Debian package lacks $want, or it is not root's"; cat "$work/deb"; exit 1; }
  done
fi
echo "The same bytes twice:"
sed 's/^/  /' sha256sums.txt
