package cloud

import (
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/septet-io/septet/client"
)

// clientBuilder gives a provider clients of its own, as cloudprovider.ControllerClientBuilder. All have this component's identity.
type clientBuilder struct{ set *client.Set }

func (b clientBuilder) Config(name string) (*rest.Config, error) {
	config := rest.CopyConfig(b.set.Config)
	config.UserAgent = name
	return config, nil
}

func (b clientBuilder) ConfigOrDie(name string) *rest.Config {
	config, err := b.Config(name)
	if err != nil {
		panic(err) // what the name of the method promises
	}
	return config
}

func (b clientBuilder) Client(name string) (kubernetes.Interface, error) {
	config, err := b.Config(name)
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

func (b clientBuilder) ClientOrDie(name string) kubernetes.Interface {
	made, err := b.Client(name)
	if err != nil {
		panic(err) // what the name of the method promises
	}
	return made
}
