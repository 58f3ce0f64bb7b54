package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/septet-io/septet/resource"
)

// RefusePrivileged finds the privileged containers of a Pod or a workload, for servers that allow none (--allow-privileged=false). old is
// nil on create. What a Pod has already is not looked at again: of its containers only ephemeral ones can be added.
func RefusePrivileged(r *resource.Request, obj, old resource.Object) field.ErrorList {
	if pod, ok := obj.(*corev1.Pod); ok {
		if old != nil && r.Subresource != "ephemeralcontainers" {
			return nil
		}
		return privilegedContainers(&pod.Spec, specPath)
	}
	if template := TemplateOf(obj); template != nil && r.Subresource == "" {
		return privilegedContainers(&template.Spec, templatePath(obj).Child("spec"))
	}
	return nil
}

func privilegedContainers(spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	hostProcess := spec.SecurityContext != nil && isHostProcess(spec.SecurityContext.WindowsOptions)
	eachContainer(spec, path, func(container *corev1.Container, at *field.Path) {
		s := container.SecurityContext
		if s == nil {
			return
		}
		hostProcess = hostProcess || isHostProcess(s.WindowsOptions)
		if s.Privileged != nil && *s.Privileged {
			errs = append(errs, field.Forbidden(at.Child("securityContext", "privileged"), "disallowed by cluster policy"))
		}
	})
	if hostProcess {
		errs = append(errs, field.Forbidden(path, "hostProcess containers are disallowed by cluster policy"))
	}
	return errs
}

func isHostProcess(options *corev1.WindowsSecurityContextOptions) bool {
	return options != nil && options.HostProcess != nil && *options.HostProcess
}
