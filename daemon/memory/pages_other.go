//go:build !linux

package memory

// DropConstants has nothing to do where the container runtime does not run.
func DropConstants() {}

func unmapProgram() {}
