//go:build !linux

package carried

// dropReadOnlyPages has nothing to do where the container runtime does not run.
func dropReadOnlyPages() {}
