// Package clients tests that the programs and libraries which people use work with septet as they are: envtest of
// controller-runtime, client-go, the Helm library, and two versions of kubectl. It is a module of its own, so that what these
// need never becomes a part of septet.
package clients
