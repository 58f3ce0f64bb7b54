package controllers

import "strings"

// cloud are upstream's controllers that work for a cloud only, by name and alias: there and here cloud-controller-manager runs them, and
// to name them is without effect.
const cloud = `service-lb-controller service node-route-controller route cloud-node-lifecycle-controller cloud-node-lifecycle`

// missing are upstream's controllers that are not here, by name and alias. They may be switched off, and are refused where a selection
// asks for one by its name.
const missing = `
	device-taint-eviction-controller
	kube-apiserver-serving-clustertrustbundle-publisher-controller
	persistentvolume-attach-detach-controller attachdetach
	persistentvolume-expander-controller persistentvolume-expander
	podcertificaterequest-cleaner-controller
	podgroup-protection-controller
	resourceclaim-controller resource-claim-controller
	resourcepoolstatusrequest-controller
	selinux-warning-controller
	storage-version-migrator-controller svm
	storageversion-garbage-collector-controller storage-version-gc
	ttl-controller ttl`

func among(names, name string) bool {
	for _, n := range strings.Fields(names) {
		if n == name {
			return true
		}
	}
	return false
}
