package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/platforms"
	"github.com/urfave/cli/v3"
)

// criNamespace is the containerd namespace in which CRI keeps images and containers.
const criNamespace = "k8s.io"

// Labels by which CRI knows images as its own, and keeps some of them from being collected.
const (
	labelManaged = "io.cri-containerd.image"
	labelPinned  = "io.cri-containerd.pinned"
)

// imageCommand is `image import`: it prints the names of the imported images as one JSON list.
func imageCommand() *cli.Command {
	return &cli.Command{
		Name:  "image",
		Usage: "Work with images, without a registry",
		Commands: []*cli.Command{{
			Name:      "import",
			Usage:     "Import the images of OCI or Docker archives, plain or compressed (- is standard input)",
			ArgsUsage: "FILE...",
			Flags: []cli.Flag{
				&cli.BoolFlag{Name: "pin", Usage: "Keep the images from being collected as unused"},
				&cli.StringFlag{Name: "snapshotter", Value: "overlayfs", Usage: "Unpack the images for this snapshotter"},
			},
			Action: func(ctx context.Context, cmd *cli.Command) error {
				if cmd.NArg() == 0 {
					return errors.New("image import: no file given")
				}
				return importAll(ctx, cmd)
			},
		}},
	}
}

func importAll(ctx context.Context, cmd *cli.Command) error {
	client, err := containerd.New(cmd.Root().String("address"), containerd.WithDefaultNamespace(criNamespace))
	if err != nil {
		return err
	}
	defer client.Close()
	labels := map[string]string{labelManaged: "managed"}
	if cmd.Bool("pin") {
		labels[labelPinned] = "pinned"
	}
	ctx = namespaces.WithNamespace(ctx, criNamespace)
	names := []string{}
	for _, file := range cmd.Args().Slice() {
		got, err := importFile(ctx, client, file, labels, cmd.String("snapshotter"))
		if err != nil {
			return fmt.Errorf("importing %s: %w", file, err)
		}
		names = append(names, got...)
	}
	return json.NewEncoder(os.Stdout).Encode(names)
}

// importFile stores and unpacks the images of one archive and returns their names.
func importFile(ctx context.Context, client *containerd.Client, file string, labels map[string]string, snapshotter string) ([]string, error) {
	var in io.Reader = os.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	plain, err := compression.DecompressStream(in)
	if err != nil {
		return nil, err
	}
	defer plain.Close()

	// The lease keeps the collector away until every layer is unpacked and referenced.
	ctx, done, err := client.WithLease(ctx)
	if err != nil {
		return nil, err
	}
	defer done(ctx)
	imported, err := client.Import(ctx, plain,
		containerd.WithImageLabels(labels),
		containerd.WithImageRefTranslator(archive.AddRefPrefix("")),
		containerd.WithSkipMissing(),
		containerd.WithImportPlatform(platforms.Default()))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, image := range imported {
		if err := unpack(ctx, client, image, snapshotter); err != nil {
			return nil, fmt.Errorf("unpacking %s: %w", image.Name, err)
		}
		names = append(names, image.Name)
	}
	if len(names) == 0 {
		return nil, errors.New("the archive names no image (neither the annotation io.containerd.image.name nor a repository tag)")
	}
	return names, nil
}

func unpack(ctx context.Context, client *containerd.Client, image images.Image, snapshotter string) error {
	return containerd.NewImage(client, image).Unpack(ctx, snapshotter)
}
