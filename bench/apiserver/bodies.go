package main

import (
	"fmt"
	"strings"
)

const (
	namespace = "bench"
	podsPath  = "/api/v1/namespaces/" + namespace + "/pods"
)

// podBody is a Pod as a Deployment's ReplicaSet makes it; node may be empty, version is what an update changes.
func podBody(name, node string, version int) []byte {
	nodeName := ""
	if node != "" {
		nodeName = `"nodeName":"` + node + `",`
	}
	return []byte(`{"kind":"Pod","apiVersion":"v1","metadata":{"name":"` + name + `","namespace":"` + namespace + `","labels":{"app":"web","pod-template-hash":"5d4f8c7b9",` +
		`"share":"s` + name[len(name)-2:] + `","version":"v` + fmt.Sprint(version) + `"},"annotations":{"prometheus.io/scrape":"true","prometheus.io/port":"8080"},` +
		`"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-5d4f8c7b9","uid":"0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0","controller":true,"blockOwnerDeletion":true}]},` +
		`"spec":{` + nodeName + `"containers":[{"name":"web","image":"registry.example.com/web:1.2.3","ports":[{"name":"http","containerPort":8080,"protocol":"TCP"}],` +
		`"env":[{"name":"POD_NAME","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}},{"name":"LOG_LEVEL","value":"info"}],` +
		`"resources":{"limits":{"cpu":"500m","memory":"256Mi"},"requests":{"cpu":"100m","memory":"128Mi"}},` +
		`"volumeMounts":[{"name":"config","mountPath":"/etc/web"},{"name":"cache","mountPath":"/cache"}],` +
		`"livenessProbe":{"httpGet":{"path":"/healthz","port":8080},"periodSeconds":10},"readinessProbe":{"httpGet":{"path":"/readyz","port":8080},"periodSeconds":5}}],` +
		`"volumes":[{"name":"config","configMap":{"name":"web"}},{"name":"cache","emptyDir":{}}],` +
		`"restartPolicy":"Always","terminationGracePeriodSeconds":30,"serviceAccountName":"default","securityContext":{}}}`)
}

// mergeBody changes one annotation.
func mergeBody(value string) []byte {
	return []byte(`{"metadata":{"annotations":{"bench-at":"` + value + `"}}}`)
}

// applyBody is what a second manager wants to be so.
func applyBody(name string, version int) []byte {
	return []byte(`{"kind":"Pod","apiVersion":"v1","metadata":{"name":"` + name + `","namespace":"` + namespace + `","labels":{"tier":"front","revision":"r` + fmt.Sprint(version) +
		`"},"annotations":{"example.com/owner":"team-a","example.com/contact":"a@example.com"}}}`)
}

var filler = strings.Repeat("0123456789abcdef", 64)

// configMapBody holds 1 KB of data.
func configMapBody(name string) []byte {
	return []byte(`{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"` + name + `","namespace":"` + namespace + `"},"data":{"config.yaml":"` + filler + `"}}`)
}
