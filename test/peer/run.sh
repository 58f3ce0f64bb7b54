#!/usr/bin/env bash
# Runs the tests that put upstream's own programs in the place of ours, one at a time, and ours in the place of upstream's.
#
#   test/peer/run.sh         build them and run the tests
#   test/peer/run.sh build   only build them
#
# Upstream's code is built in a module of its own below $WORK and never becomes part of this one. On two cores that takes a
# quarter of an hour the first time. The tests of kube-proxy and the kubelet need root, and upstream's kube-proxy
# needs nft in the PATH.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=v1.36.2
work=${WORK:-/var/tmp/septet-peers}
programs="kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet"
mkdir -p "$work/bin" "$work/module"

# module writes a module that requires all of upstream at one version.
module() (
	cd "$work/module"
	[ -f go.sum ] && return
	cat >go.mod <<-MOD
		module peers
		go 1.26.0
		require k8s.io/kubernetes $version
	MOD
	local source
	source=$(go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
	sed -n 's|^[[:space:]]*\(k8s.io/[a-z-]*\) => ./staging.*|\1|p' "$source/go.mod" | while read -r part; do
		go mod edit -replace "$part=$part@${version/v1/v0}"
	done
	{
		echo '//go:build programs'
		echo 'package programs'
		for program in $programs; do echo "import _ \"k8s.io/kubernetes/cmd/$program\""; done
	} >programs.go
	GOFLAGS=-mod=mod go mod tidy
)

build() (
	module
	cd "$work/module"
	export CGO_ENABLED=0 GOFLAGS="-buildvcs=false -mod=mod"
	local flags="-s -w -X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"
	for program in $programs; do
		[ -x "$work/bin/$program" ] || go build -ldflags "$flags" -o "$work/bin/$program" "k8s.io/kubernetes/cmd/$program"
	done
)

build
[ "${1:-}" = build ] && exit
export SEPTET_PEER_APISERVER=$work/bin/kube-apiserver SEPTET_PEER_CONTROLLERS=$work/bin/kube-controller-manager
export SEPTET_PEER_SCHEDULER=$work/bin/kube-scheduler SEPTET_PEER_PROXY=$work/bin/kube-proxy SEPTET_PEER_KUBELET=$work/bin/kubelet
go test -count=1 -timeout 30m -run 'Upstream|Kubeadm' ./test/peer ./test/scheduler ./test/proxy
