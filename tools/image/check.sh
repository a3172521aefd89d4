#!/usr/bin/env bash
# Builds the image with buildah and runs it as a cluster would: as user 65532, with a read-only root and one volume. It needs no
# registry: images that stand in for the bases are made of what this machine has, so it is the Dockerfile that is
# checked and not the bases. It needs root, for chroot and mounts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[ "$(id -u)" = 0 ] || { echo "image-check needs root"; exit 1; }
for program in buildah curl unshare; do
  command -v "$program" >/dev/null || { echo "image-check needs $program: apt-get install buildah curl util-linux"; exit 1; }
done

work=$(mktemp -d)
pids=()
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$work"
}
trap cleanup EXIT
export BUILDAH_ISOLATION=chroot
buildah() { command buildah --storage-driver vfs --root "$work/storage" --runroot "$work/runroot" "$@"; }

echo "Stand-ins for the base images"
goroot=$(go env GOROOT) modules=$(go env GOMODCACHE) cache=$(go env GOCACHE)
base=$(buildah from scratch)
root=$(buildah mount "$base")
mkdir -p "$root"/{usr,etc,tmp,proc,dev,sys} "$root$goroot" "$root/go/pkg/mod" "$root/cache"
for dir in bin lib lib64 sbin; do [ ! -e "/$dir" ] || ln -s "usr/$dir" "$root/$dir"; done
buildah config --env "PATH=$goroot/bin:/usr/bin:/bin" --env GOPATH=/go --env GOCACHE=/cache --env GOTOOLCHAIN=local --env GOPROXY=off "$base"
buildah commit -q "$base" docker.io/library/golang:1.26.8 >/dev/null
base=$(buildah from scratch)
root=$(buildah mount "$base")
mkdir -p "$root"/{etc/ssl/certs,tmp,proc,dev,sys}
echo 'nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin' >"$root/etc/passwd"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/" 2>/dev/null || true
buildah commit -q "$base" gcr.io/distroless/static-debian12:nonroot >/dev/null

echo "Build"
# A stand-in has another digest than what it stands for.
sed 's/@sha256:[0-9a-f]*//' Dockerfile >"$work/Dockerfile"
buildah bud -q --pull-never --format docker --ignorefile .dockerignore \
  --volume /usr:/usr:ro --volume "$goroot:$goroot:ro" --volume "$modules:/go/pkg/mod:rw" --volume "$cache:/cache:rw" \
  --build-arg BUILDPLATFORM=linux/$(go env GOARCH) --build-arg TARGETOS=linux --build-arg "TARGETARCH=$(go env GOARCH)" \
  --build-arg VERSION=9.9.9 --build-arg REVISION=abc --file "$work/Dockerfile" --tag exporter . >/dev/null

echo "What the image says about itself"
config=$(buildah inspect --type image exporter)
for want in '"User": "65532:65532"' '"/data": {}' '"10095/tcp": {}' '"org.opencontainers.image.version": "9.9.9"' '"healthcheck"' '"org.opencontainers.image.source"'; do
  grep -qF -- "$want" <<<"$config" || { echo "The image lacks $want"; exit 1; }
done

echo "Run as 65532 with a read-only root"
container=$(buildah from --pull-never exporter)
root=$(buildah mount "$container")
size=$(du -sm "$root" | cut -f1)
[ ! -e "$root/bin/sh" ] || { echo "There is a shell"; exit 1; }
[ "$(stat -c %u:%g "$root/data")" = 65532:65532 ] || { echo "/data belongs to $(stat -c %u:%g "$root/data")"; exit 1; }
mkdir "$work/data" "$work/config"
chown 65532:65532 "$work/data"
chmod 755 "$work" "$work/config"
mkdir "$root/config"
cat >"$work/config/openai_exporter.yml" <<YML
organizations:
  - name: image
    api_key_file: key
    base_url: http://127.0.0.1:18096/v1
YML
echo sk-admin-image >"$work/config/key"
inside() {
  exec unshare --mount --propagation private bash -c '
    mount --bind "$1" "$1"
    mount --bind "$2" "$1/data"
    mount --bind "$3" "$1/config"
    mount -o remount,bind,ro "$1/config"
    mount -o remount,bind,ro "$1"
    root=$1; shift 3
    exec chroot --userspec=65532:65532 "$root" "$@"' -- "$root" "$work/data" "$work/config" "$@"
}
(inside /bin/openai_exporter simulate --listen-address=127.0.0.1:18096) >"$work/simulate.log" 2>&1 &
pids+=($!)
(inside /bin/openai_exporter --config.file=/config/openai_exporter.yml --web.listen-address=127.0.0.1:18095) >"$work/exporter.log" 2>&1 &
exporter=$!
pids+=("$exporter")
for _ in $(seq 100); do
  ! curl -fsS -o /dev/null http://127.0.0.1:18095/-/ready 2>/dev/null || break
  kill -0 "$exporter" 2>/dev/null || { cat "$work/exporter.log"; exit 1; }
  sleep 0.2
done
curl -fsS http://127.0.0.1:18095/-/ready >/dev/null || { cat "$work/exporter.log"; exit 1; }
(inside /bin/openai_exporter healthcheck --url=http://127.0.0.1:18095/-/healthy) || { echo "The health check says no"; exit 1; }
curl -fsS -o "$work/metrics" http://127.0.0.1:18095/metrics
grep -q '^openai_exporter_build_info{.*version="9.9.9"' "$work/metrics" || { echo "build_info has another version"; exit 1; }
[ -n "$(find "$work/data" -type f -user 65532)" ] || { echo "There is no state in /data"; exit 1; }
grep -q '^Uid:[[:space:]]65532' "/proc/$exporter/status" || { echo "It runs as $(grep Uid "/proc/$exporter/status")"; exit 1; }
kill -TERM "$exporter"
code=0
wait "$exporter" || code=$?
[ "$code" = 0 ] || { echo "SIGTERM ended it with $code"; cat "$work/exporter.log"; exit 1; }
! (inside /bin/openai_exporter healthcheck --url=http://127.0.0.1:18095/-/healthy) 2>/dev/null || { echo "The health check finds a server that is gone"; exit 1; }
# The root really was read-only: state elsewhere than on the volume is refused.
! (inside /bin/openai_exporter --storage.path=/elsewhere --config.file=/config/openai_exporter.yml --web.listen-address=127.0.0.1:18095) >"$work/elsewhere.log" 2>&1 || { echo "The root can be written"; exit 1; }
grep -q 'read-only file system' "$work/elsewhere.log" || { cat "$work/elsewhere.log"; exit 1; }
echo "The image is sound: ${size} MB, no shell, state on the volume, stops cleanly"
