#!/usr/bin/env bash
# Starts a cluster on this machine, runs the example application on it and shows what to try next.
set -euo pipefail
septet=bin/septet
if [ "$(id -u)" -ne 0 ]; then
	echo "A node needs root: run this as root." >&2
	exit 1
fi
echo "── starting the cluster"
$septet server --background ${SEPTET_FLAGS:-}
echo "── loading the example application"
for _ in $(seq 100); do
	$septet image load bin/guestbook.tar >/dev/null 2>&1 && loaded=yes && break
	sleep 0.1
done
[ "${loaded:-}" = yes ] || $septet image load bin/guestbook.tar
$septet kubectl apply -f examples/guestbook/guestbook.yaml
$septet kubectl rollout status deployment/guestbook --timeout=60s
for _ in $(seq 100); do
	address=$($septet kubectl get service guestbook -o jsonpath='{.status.loadBalancer.ingress[0].ip}')
	[ -n "$address" ] && break
	sleep 0.1
done
echo "── it answers at http://$address/"
if command -v curl >/dev/null; then curl -sS --retry 5 --retry-all-errors "http://$address/"; fi
cat <<TEXT

Try next:
  $septet journey deployment/guestbook             how it came to be, step by step, through all seven components
  $septet kubectl get pods -o wide                 or plain kubectl: the context "septet" is in ~/.kube/config
  $septet kubectl scale deployment/guestbook --replicas=5
  $septet status                                   each component: healthy, or why not
  make down                                        stop and remove everything
TEXT
