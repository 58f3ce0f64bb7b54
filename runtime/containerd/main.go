// Command septet-containerd is containerd with the plugins that a kubelet needs and no others, and with one
// subcommand more: `image import` puts image archives into the store without a registry.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/containerd/v2/cmd/containerd/command"
)

func main() {
	app := command.App()
	app.Name = "septet-containerd"
	app.Flags = append(app.Flags, logFlag())
	app.Before = startLog
	app.Commands = append(app.Commands, imageCommand())
	if err := app.Run(context.Background(), os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "septet-containerd:", err)
		os.Exit(1)
	}
}
