package main

import "testing"

// Whatever the runtime sends is either refused or has ranges with room for pods.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"cniVersion":"1.0.0","name":"n","type":"septet-cni","ranges":["10.0.0.0/24","fd00::/64"],"mtu":1450,"ipMasq":true}`))
	f.Add([]byte(`{"ranges":["10.0.0.0/30"],"runtimeConfig":{"portMappings":[{"hostPort":80,"containerPort":80,"hostIP":"::"}]}}`))
	f.Add([]byte(`{"ranges":["::/0"],"prevResult":{"cniVersion":"1.0.0"}}`))
	f.Fuzz(func(t *testing.T, input []byte) {
		c, err := parse(input)
		if err != nil {
			return
		}
		for _, r := range c.Ranges {
			if !usable(r, gateway(r).Next()) {
				t.Errorf("%s has no room", r)
			}
		}
		for _, p := range c.RuntimeConfig.PortMappings {
			for _, r := range c.Ranges {
				if _, element, ok := mapping(p, gateway(r)); ok && len(element.Key)%4+len(element.Val)%4 != 0 {
					t.Errorf("%+v makes an element that is not aligned", p)
				}
			}
		}
	})
}
