package network

import "encoding/json"

// conflist is the CNI configuration (spec 1.0.0) of the carried plugin.
func conflist(bridge, dataDir string, mtu int, subnets []string) ([]byte, error) {
	type object = map[string]any
	plugin := object{
		"type": "septet-cni", "bridge": bridge, "ranges": subnets, "dataDir": dataDir,
		"capabilities": object{"portMappings": true},
	}
	if mtu > 0 {
		plugin["mtu"] = mtu
	}
	return json.MarshalIndent(object{"cniVersion": "1.0.0", "name": "septet", "plugins": []object{plugin}}, "", "  ")
}
