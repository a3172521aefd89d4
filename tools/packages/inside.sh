#!/usr/bin/env bash
# Runs in the root that check.sh makes.
set -euo pipefail
version=$1
config=/etc/openai_exporter/openai_exporter.yml state=/var/lib/openai_exporter/openai_exporter.db
fail() { echo "$*"; exit 1; }

installed() {
  said=$(/usr/bin/openai_exporter --version | head -1)
  grep -qF "version $version " <<<"$said" || fail "$1: the binary says $said"
  for file in "$config" /usr/lib/systemd/system/openai_exporter.service /usr/share/openai_exporter/rules/openai-alerts.yml /usr/share/openai_exporter/dashboards/spend.json \
    /usr/share/doc/openai-exporter/configuration.md /usr/share/doc/openai-exporter/runbooks/OpenAIKeyRejected.md; do
    [ -f "$file" ] || fail "$1: there is no $file"
  done
  man --where openai_exporter >/dev/null || fail "$1: there is no man page"
  page=$(MANWIDTH=80 man openai_exporter 2>&1) || fail "$1: man: $page"
  grep -q 'storage.path' <<<"$page" || fail "$1: the man page does not have the flags"
}
# What the administrator has: a changed configuration, and totals.
use() {
  echo '# changed' >>"$config"
  mkdir -p "$(dirname "$state")"
  echo totals >"$state"
}
kept() { grep -q '# changed' "$config" && [ -f "$state" ] || fail "$1: configuration or totals are gone"; }

said=$(dpkg --install /tmp/package.deb 2>&1) || fail "$said"
grep -q 'Put an admin key into' <<<"$said" || fail "the installation does not say what comes next: $said"
installed dpkg
[ -f /usr/share/doc/openai-exporter/changelog.Debian.gz ] || fail "there is no Debian changelog"
use
said=$(dpkg --install /tmp/package.deb 2>&1) || fail "$said"
kept "dpkg, installed again"
said=$(dpkg --remove openai-exporter 2>&1) || fail "$said"
kept "dpkg, removed"
[ ! -e /usr/bin/openai_exporter ] || fail "dpkg leaves the binary"
said=$(dpkg --purge openai-exporter 2>&1) || fail "$said"
[ ! -e "$config" ] && [ -f "$state" ] || fail "after dpkg --purge the configuration is there, or the totals are gone"
echo "  dpkg: installed, installed again, removed and purged; the totals stay"

# The database of this root is dpkg's, which does not tell rpm what is there.
said=$(rpm --install --nodeps /tmp/package.rpm 2>&1) || fail "$said"
grep -q 'Put an admin key into' <<<"$said" || fail "the installation does not say what comes next: $said"
installed rpm
use
said=$(rpm --upgrade --force --nodeps /tmp/package.rpm 2>&1) || fail "$said"
kept "rpm, installed again"
said=$(rpm --erase openai-exporter 2>&1) || fail "$said"
[ ! -e /usr/bin/openai_exporter ] || fail "rpm leaves the binary"
[ -f "$state" ] && grep -q '# changed' "$config.rpmsave" || fail "after rpm --erase the totals or the changed configuration are gone"
echo "  rpm: installed, installed again and erased; the totals and what was changed stay"
