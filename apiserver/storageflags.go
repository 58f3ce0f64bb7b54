package apiserver

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/septet-io/septet/apiserver/store"
)

// storageFlags are those about etcd and what lies in it.
type storageFlags struct {
	health, ready time.Duration
	leaseReuse    int64
	mediaType     string
	deleteWorkers int
}

// The forms in which objects can lie in etcd.
const (
	storedProtobuf = "application/vnd.kubernetes.protobuf"
	storedJSON     = "application/json"
	storedYAML     = "application/yaml"
)

func (f *storageFlags) add(flags *pflag.FlagSet) {
	flags.DurationVar(&f.health, "etcd-healthcheck-timeout", etcdTime, "how long etcd may take to answer the check \"etcd\" of /livez and /healthz")
	flags.DurationVar(&f.ready, "etcd-readycheck-timeout", etcdTime, "how long etcd may take to answer the check \"etcd-readiness\" of /readyz")
	flags.Int64Var(&f.leaseReuse, "lease-reuse-duration-seconds", int64(store.DefaultLeaseReuse/time.Second), "how long events that live equally long may share a lease of etcd")
	flags.StringVar(&f.mediaType, "storage-media-type", storedProtobuf, "form of objects in etcd: application/vnd.kubernetes.protobuf or application/json; either is read")
	flags.IntVar(&f.deleteWorkers, "delete-collection-workers", 1, "how many objects of a collection are deleted at a time")
}

// check is every error of the values, each naming its flag.
func (f *storageFlags) check() error {
	var errs []error
	for name, limit := range map[string]time.Duration{"etcd-healthcheck-timeout": f.health, "etcd-readycheck-timeout": f.ready} {
		if limit <= 0 {
			errs = append(errs, fmt.Errorf("--%s must be positive", name))
		}
	}
	if f.leaseReuse <= 0 {
		errs = append(errs, errors.New("--lease-reuse-duration-seconds must be positive"))
	}
	switch f.mediaType {
	case "", storedProtobuf, storedJSON:
	case storedYAML:
		errs = append(errs, fmt.Errorf("--storage-media-type %q is not supported, only %s and %s", f.mediaType, storedJSON, storedProtobuf))
	default:
		errs = append(errs, fmt.Errorf("--storage-media-type %q invalid, allowed values: %s, %s", f.mediaType, storedJSON, storedProtobuf))
	}
	if f.deleteWorkers < 1 || f.deleteWorkers > maxDeleteWorkers {
		errs = append(errs, fmt.Errorf("--delete-collection-workers must be between 1 and %d", maxDeleteWorkers))
	}
	return errors.Join(errs...)
}

// maxDeleteWorkers bounds what one request may have etcd do at a time.
const maxDeleteWorkers = 1000

// apply puts the flags into a server's settings.
func (f *storageFlags) apply(config *Config) {
	config.HealthTimeout, config.ReadyTimeout = f.health, f.ready
	config.LeaseReuse = time.Duration(f.leaseReuse) * time.Second
	config.StoreJSON, config.DeleteWorkers = f.mediaType == storedJSON, f.deleteWorkers
}
