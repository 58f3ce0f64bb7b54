// Package probe finds out whether containers have started, are alive and are
// ready, by running a command in them or by connecting to them over HTTP, TCP or
// gRPC as their probes say.
package probe
