package main

import (
	"fmt"
	"time"
)

const configMapsPath = "/api/v1/namespaces/" + namespace + "/configmaps"

// manyConfigMaps creates ConfigMaps of 1 KB through the API, and looks at the memory.
func (b *bench) manyConfigMaps() error {
	op := operation{"create", b.call("POST", asJSON, asJSON), 201, func(n int) (string, []byte) {
		return configMapsPath, configMapBody(fmt.Sprintf("config-%06d", n))
	}}
	if _, err := b.drive(fmt.Sprintf("create %d ConfigMaps of 1 KB, 64 clients", b.configMaps), op, 64, b.configMaps, 0); err != nil {
		return err
	}
	if err := b.list(fmt.Sprintf("LIST %d ConfigMaps, JSON", b.configMaps), b.call("GET", "", asJSON), configMapsPath); err != nil {
		return err
	}
	return b.memory("memory after ConfigMaps")
}

// restart starts the server on all that the loads before have left in etcd.
func (b *bench) restart() error {
	if err := b.stop(); err != nil {
		return err
	}
	took, err := b.start()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("start with %d objects in etcd", b.pods+b.configMaps)
	b.report.millis(name+", until /readyz", took)
	began := time.Now()
	c, err := b.dial()
	if err != nil {
		return err
	}
	defer c.close()
	for _, path := range []string{allPods, configMapsPath} {
		got, err := c.do(b.call("GET", "", asProtobuf), path, nil, nil)
		if err != nil || got.status != 200 {
			return fmt.Errorf("%s: status %d: %w", path, got.status, err)
		}
	}
	b.report.millis(name+", until everything was listed once", took+time.Since(began))
	m, err := b.meter()
	if err != nil {
		return err
	}
	b.report.millis(name+": server CPU until then", m.api)
	return b.memory("memory after that start")
}
