#!/usr/bin/env bash
# Installs what builds and tests need and this machine lacks, from Debian's packages. Does nothing if all is there.
set -euo pipefail
missing=()
command -v gcc >/dev/null || missing+=(gcc libc6-dev)
command -v pkg-config >/dev/null || missing+=(pkg-config)
pkg-config --exists libseccomp 2>/dev/null || missing+=(libseccomp-dev)
[ -x /bin/busybox ] || missing+=(busybox-static)
command -v git >/dev/null || missing+=(git)
[ ${#missing[@]} -eq 0 ] && exit 0
if ! command -v apt-get >/dev/null; then
	echo "Please install: ${missing[*]}" >&2
	exit 1
fi
echo "── installing ${missing[*]}"
run=""
[ "$(id -u)" -eq 0 ] || run=sudo
$run apt-get update -qq
DEBIAN_FRONTEND=noninteractive $run apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
