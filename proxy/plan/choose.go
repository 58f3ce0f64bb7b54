package plan

import (
	"slices"

	"github.com/septet-io/septet/proxy/state"
)

// choice is the endpoints of one port that serve, in one family.
type choice struct {
	// cluster serve under the policy Cluster; local are those on this node, for the policy Local.
	cluster, local []state.Endpoint
	// any says that there are endpoints somewhere, though perhaps none that may serve here.
	any bool
}

// choose decides which endpoints serve. Ready ones do; where there are none, those that end but still serve do (KEP-1669). Hints
// narrow the policy Cluster down to the near ones (KEP-2433).
func choose(endpoints []state.Endpoint, family Family, needLocal bool, node, zone string) choice {
	var ready, ending []state.Endpoint
	for _, e := range endpoints {
		switch {
		case !family.Has(e.Addr.Addr()):
		case e.Ready:
			ready = append(ready, e)
		case e.Serving && e.Terminating:
			ending = append(ending, e)
		}
	}
	c := choice{cluster: near(ready, node, zone), any: len(ready)+len(ending) > 0}
	if len(c.cluster) == 0 {
		c.cluster = ending
	}
	if needLocal {
		if c.local = local(ready); len(c.local) == 0 {
			c.local = local(ending)
		}
	}
	return c
}

func local(endpoints []state.Endpoint) []state.Endpoint {
	var found []state.Endpoint
	for _, e := range endpoints {
		if e.Local {
			found = append(found, e)
		}
	}
	return found
}

// near keeps the endpoints that are meant for this node, or else for this zone. Hints count only if every endpoint has them and some
// endpoint is meant for us: else they are being changed.
func near(ready []state.Endpoint, node, zone string) []state.Endpoint {
	forNode := meant(ready, node, func(e *state.Endpoint) []string { return e.Nodes })
	if len(forNode) > 0 {
		return forNode
	}
	if forZone := meant(ready, zone, func(e *state.Endpoint) []string { return e.Zones }); zone != "" && len(forZone) > 0 {
		return forZone
	}
	return ready
}

// meant returns the endpoints whose hints name the place; none if some endpoint has no hints.
func meant(ready []state.Endpoint, place string, hints func(*state.Endpoint) []string) []state.Endpoint {
	var found []state.Endpoint
	for i := range ready {
		list := hints(&ready[i])
		if len(list) == 0 {
			return nil
		}
		if slices.Contains(list, place) {
			found = append(found, ready[i])
		}
	}
	return found
}
