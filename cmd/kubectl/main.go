// Command kubectl is kubectl itself, built from its library. It is a binary of its own, carried compressed inside septet
// and run by `septet kubectl`, because linking it would cost every septet process 35 MB of memory.
package main

import (
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"

	_ "k8s.io/client-go/plugin/pkg/client/auth" // the sign-in methods that a kubeconfig may name
)

func main() {
	command := cmd.NewDefaultKubectlCommand()
	if err := cli.RunNoErrOutput(command); err != nil {
		util.CheckErr(err)
	}
}
