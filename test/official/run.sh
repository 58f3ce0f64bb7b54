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
work=${WORK:-/var/tmp/septet-official}
septet=${SEPTET_BINARY:-$PWD/bin/septet}
data=$work/cluster
mirror=10.98.0.1:5000 # the machine, as all nodes see it
export KUBECONFIG=$data/admin.kubeconfig
mkdir -p "$work/bin" "$work/images" "$work/results"

. test/upstream.sh

# programs builds what the suite and its images are made of.
programs() {
	module github.com/onsi/ginkgo/v2/ginkgo "$upstream/test/e2e" "$upstream/test/images/agnhost" k8s.io/sample-apiserver
	local images=$upstream/test/images
	compile agnhost $images/agnhost
	compile nnp $images/nonewprivs
	compile regression-issue-74839 $images/regression-issue-74839
	compile resource-consumer $images/resource-consumer
	compile consume-cpu $images/resource-consumer/consume-cpu
	compile sample-apiserver k8s.io/sample-apiserver
	compile ginkgo github.com/onsi/ginkgo/v2/ginkgo
	compile e2e.test "$upstream/test/e2e" test
}

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
		-module "$(source_of_upstream)"
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
