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
work=${WORK:-/var/tmp/septet-peers}
. test/upstream.sh
programs="kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet"
mkdir -p "$work/bin"

build() {
	module $(printf "$upstream/cmd/%s " $programs)
	for program in $programs; do
		[ -x "$work/bin/$program" ] || compile $program $upstream/cmd/$program
	done
}

build
[ "${1:-}" = build ] && exit
export SEPTET_PEER_APISERVER=$work/bin/kube-apiserver SEPTET_PEER_CONTROLLERS=$work/bin/kube-controller-manager
export SEPTET_PEER_SCHEDULER=$work/bin/kube-scheduler SEPTET_PEER_PROXY=$work/bin/kube-proxy SEPTET_PEER_KUBELET=$work/bin/kubelet
go test -count=1 -timeout 30m -run 'Upstream|Kubeadm' ./test/peer ./test/scheduler ./test/proxy
