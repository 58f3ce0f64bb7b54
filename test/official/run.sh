#!/usr/bin/env bash
# Runs upstream's own conformance suite, as it is, against a cluster of two nodes with real containers on this machine.
#
#   test/official/run.sh             all of it
#   FOCUS='sig-node' SKIP='Serial' PROCS=6 test/official/run.sh
#   test/official/run.sh build       only build upstream's programs and the images
#   test/official/run.sh up|test|down   only one step of the rest
#
# Upstream's code is built in a module of its own below $WORK and never becomes part of this one. It takes the Go module
# proxy, Debian's packages, root, and on two cores about half an hour the first time.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=v1.36.2
work=${WORK:-/var/tmp/septet-official}
septet=${SEPTET_BINARY:-$PWD/bin/septet}
data=$work/cluster
mirror=10.98.0.1:5000 # the machine, as all nodes see it
export KUBECONFIG=$data/admin.kubeconfig
mkdir -p "$work/bin" "$work/images" "$work/results"

# module writes a module that requires all of upstream at one version.
module() {
	mkdir -p "$work/module" && cd "$work/module"
	[ -f go.sum ] && return
	cat >go.mod <<-MOD
		module official
		go 1.26.0
		require k8s.io/kubernetes $version
	MOD
	local source
	source=$(go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
	sed -n 's|^[[:space:]]*\(k8s.io/[a-z-]*\) => ./staging.*|\1|p' "$source/go.mod" | while read -r part; do
		go mod edit -replace "$part=$part@${version/v1/v0}"
	done
	cat >programs.go <<-GO
		//go:build programs

		package programs

		import (
			_ "github.com/onsi/ginkgo/v2/ginkgo"
			_ "k8s.io/kubernetes/test/e2e"
			_ "k8s.io/kubernetes/test/images/agnhost"
			_ "k8s.io/sample-apiserver"
		)
	GO
	GOFLAGS=-mod=mod go mod tidy
}

# programs builds what the suite and its images are made of.
programs() (
	module
	export CGO_ENABLED=0 GOFLAGS="-buildvcs=false -mod=mod"
	local flags="-s -w -X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"
	local images=k8s.io/kubernetes/test/images
	go build -ldflags "$flags" -o "$work/bin/agnhost" $images/agnhost
	go build -ldflags "$flags" -o "$work/bin/nnp" $images/nonewprivs
	go build -ldflags "$flags" -o "$work/bin/regression-issue-74839" $images/regression-issue-74839
	go build -ldflags "$flags" -o "$work/bin/resource-consumer" $images/resource-consumer
	go build -ldflags "$flags" -o "$work/bin/consume-cpu" $images/resource-consumer/consume-cpu
	go build -ldflags "$flags" -o "$work/bin/sample-apiserver" k8s.io/sample-apiserver
	go build -ldflags "$flags" -o "$work/bin/ginkgo" github.com/onsi/ginkgo/v2/ginkgo
	go test -c -vet=off -ldflags "$flags" -o "$work/bin/e2e.test" k8s.io/kubernetes/test/e2e
)

# packages unpacks Debian packages with all that they depend on into a folder.
packages() (
	local into=$1
	shift
	[ -d "$into" ] && return
	mkdir -p "$into.debs" && cd "$into.debs"
	apt-get download $(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
		--no-enhances "$@" | grep '^[a-z]' | sort -u | grep -vE '^(debconf|cdebconf|dpkg|.*awk|base-files|libelogind0)') >/dev/null
	mkdir -p "$into.new"
	for package in *.deb; do dpkg -x "$package" "$into.new"; done
	rm -rf "$into.new"/usr/share/{doc,man,locale,info}
	mv "$into.new" "$into" && rm -rf "$into.debs"
)

# images writes an archive of each image that the suite runs.
images() {
	apt-get update -qq
	packages "$work/debian" bind9-dnsutils curl libc-bin netcat-openbsd iproute2 bash
	packages "$work/nginx" nginx-light
	packages "$work/shell" bash-static
	gcc -Os -static -nostdlib -ffreestanding -fno-stack-protector -o "$work/bin/pause" runtime/pause/pause.c
	gcc -Os -static -o "$work/bin/sh" test/official/shell/sh.c
	ln -sf "$septet" "$work/bin/septet"
	go build -o "$work/bin/official" ./test/official
	"$work/bin/official" -programs "$work/bin" -debian "$work/debian" -shell "$work/shell" -nginx "$work/nginx" -out "$work/images" \
		-module "$(go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')"
}

# up starts the cluster, and a registry that stands for upstream's.
up() {
	local node
	for node in "$data" "$data/machines/$(hostname | tr '[:upper:]' '[:lower:]')-2"; do
		mkdir -p "$node/registries/registry.k8s.io"
		printf 'server = "http://%s"\n[host."http://%s"]\n  capabilities = ["pull", "resolve"]\n' $mirror $mirror \
			>"$node/registries/registry.k8s.io/hosts.toml"
	done
	"$septet" server --background --nodes 2 --data-dir "$data" --write-kubeconfig none
	"$work/bin/official" -serve $mirror -out "$work/images" >/dev/null 2>&1 &
	echo $! >"$work/mirror.pid"
	until [ "$("$septet" kubectl get nodes --no-headers | grep -cw Ready)" = 2 ]; do sleep 0.2; done
}

# run runs the suite: first what can run side by side, then what needs the cluster for itself.
run() {
	local focus="\[Conformance\]" status=0
	[ -z "${FOCUS:-}" ] || focus="${FOCUS}.*\[Conformance\]"
	printf '#!/bin/sh\nexec %s kubectl "$@"\n' "$septet" >"$work/bin/kubectl" && chmod +x "$work/bin/kubectl"
	suite parallel -p --procs="${PROCS:-6}" --focus="$focus" --skip="\[Serial\]${SKIP:+|$SKIP}" || status=1
	suite serial --focus="\[Serial\].*\[Conformance\]|\[Conformance\].*\[Serial\]" ${SKIP:+--skip="$SKIP"} || status=1
	return $status
}

suite() {
	local name=$1
	shift
	"$work/bin/ginkgo" "$@" --timeout=6h --no-color --silence-skips --output-dir="$work/results" --json-report="$name.json" \
		"$work/bin/e2e.test" -- --kubeconfig="$KUBECONFIG" --provider=skeleton --kubectl-path="$work/bin/kubectl" \
		--kubelet-root-dir="$data" --disable-log-dump --dump-logs-on-failure=false >"$work/results/$name.log" 2>&1
	tail -n 3 "$work/results/$name.log"
}

down() {
	[ ! -f "$work/mirror.pid" ] || kill "$(cat "$work/mirror.pid")" || true
	rm -f "$work/mirror.pid"
	"$septet" down --data-dir "$data" --write-kubeconfig none
}

case "${1:-all}" in
build) programs && images ;;
up) up ;;
test) run ;;
down) down ;;
all)
	programs && images
	trap down EXIT
	up && run
	;;
*) sed -n '2,12p' "$0" && exit 2 ;;
esac
