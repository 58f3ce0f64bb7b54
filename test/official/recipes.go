package main

import (
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/septet-io/septet/test/images"
)

// recipe is how one image is made.
type recipe struct {
	name   string
	parts  []part
	config v1.ImageConfig
}

const registry = "registry.k8s.io/"

var path = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

// agnhost is upstream's test program with the tools, users and links that its Dockerfile gives it.
var agnhost = []part{
	program("agnhost", "/agnhost", 0o755),
	upstream("test/images/agnhost/porter/localhost.crt", "/localhost.crt"),
	upstream("test/images/agnhost/porter/localhost.key", "/localhost.key"),
	written(map[string]images.File{
		"/agnhost-2": {Link: "agnhost"},
		"/bin/nc":    {Link: "nc.openbsd"},
		"/bin/sh":    {Link: "bash"}, // Debian's busybox runs its own nc from its own sh
		"/uploads":   {Folder: true},
	}),
	text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\nuser-defined-in-image:x:1000:1000::/home/user-defined-in-image:/bin/sh\n"),
	text("/etc/group", "root:x:0:\nnogroup:x:65534:\nuser-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\n"),
	text("/etc/nsswitch.conf", "hosts: files dns\n"),
	debian, busybox,
}

// shell is busybox with bash beside it, and the sh of shell/sh.c in front of both.
var shell = []part{
	program("sh", "/bin/sh", 0o755),
	func(from sources) (map[string]images.File, error) { return images.Tree(from.shell) },
	busybox,
}

// web is agnhost with the page of one of the update demonstrations. A test that mounts it looks there for the name of the
// distribution that the published image stands on.
func web(name string) []part {
	folder := "test/images/" + name + "/html/"
	return append([]part{text("/etc/os-release", "NAME=\"Alpine Linux\"\nID=alpine\n"), upstream(folder+name+".jpg", "/"+name+".jpg"), upstream(folder+"data.json", "/data.json")}, agnhost...)
}

// nginxParts let Debian's nginx log to its standard streams and serve a page, as the published image does.
var nginxParts = []part{
	written(map[string]images.File{
		"/var/log/nginx/access.log": {Link: "/dev/stdout"},
		"/var/log/nginx/error.log":  {Link: "/dev/stderr"},
		"/etc/nginx/nginx.conf":     {Content: []byte(nginxConfig)},
		"/usr/share/nginx/html/index.html": {
			Content: []byte("<!DOCTYPE html>\n<html><head><title>Welcome to nginx!</title></head><body><h1>Welcome to nginx!</h1></body></html>\n"),
		},
		"/var/lib/nginx": {Folder: true}, "/run": {Folder: true},
	}),
	text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnginx:x:101:101:nginx:/nonexistent:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
	text("/etc/group", "root:x:0:\nnginx:x:101:\nnogroup:x:65534:\n"),
	nginx, busybox,
}

const nginxConfig = `user nginx;
worker_processes 1;
error_log /var/log/nginx/error.log warn;
pid /run/nginx.pid;
events { worker_connections 1024; }
http {
  include /etc/nginx/mime.types;
  access_log /var/log/nginx/access.log;
  server { listen 80; location / { root /usr/share/nginx/html; index index.html; } }
}
`

// recipes are the images of test/utils/image/manifest.go of v1.36.2 that conformance tests run.
var recipes = []recipe{
	{registry + "e2e-test-images/agnhost:2.63.0", agnhost, v1.ImageConfig{Env: path, Entrypoint: []string{"/agnhost"}, Cmd: []string{"pause"}}},
	{registry + "e2e-test-images/agnhost:2.55", agnhost, v1.ImageConfig{Env: path, Entrypoint: []string{"/agnhost"}, Cmd: []string{"pause"}}},
	{registry + "e2e-test-images/kitten:1.8", web("kitten"), v1.ImageConfig{Env: path, Entrypoint: []string{"/agnhost"}, Cmd: []string{"test-webserver"}}},
	{registry + "e2e-test-images/nautilus:1.8", web("nautilus"), v1.ImageConfig{Env: path, Entrypoint: []string{"/agnhost"}, Cmd: []string{"test-webserver"}}},
	{registry + "e2e-test-images/glibc-dns-testing:2.0.0", agnhost[3:], v1.ImageConfig{Env: path, Cmd: []string{"bash"}}},
	{registry + "e2e-test-images/busybox:1.37.0-1", shell, v1.ImageConfig{Env: path, Cmd: []string{"sh"}}},
	{registry + "e2e-test-images/ipc-utils:1.4", []part{busybox}, v1.ImageConfig{Env: path, Cmd: []string{"sh"}}},
	{registry + "e2e-test-images/nonroot:1.5", shell, v1.ImageConfig{Env: path, Cmd: []string{"sh"}, User: "1234"}},
	{registry + "e2e-test-images/nonewprivs:1.4", []part{program("nnp", "/usr/local/bin/nnp", 0o6755), busybox}, v1.ImageConfig{Env: path, Cmd: []string{"nnp"}}},
	{registry + "e2e-test-images/nginx:1.15-4", nginxParts, v1.ImageConfig{Env: path, Cmd: []string{"nginx", "-g", "daemon off;"}, StopSignal: "SIGTERM"}},
	{registry + "e2e-test-images/nginx:1.27-0", nginxParts, v1.ImageConfig{Env: path, Cmd: []string{"nginx", "-g", "daemon off;"}, StopSignal: "SIGQUIT"}},
	{registry + "e2e-test-images/regression-issue-74839:1.4", []part{program("regression-issue-74839", "/regression-issue-74839", 0o755)}, v1.ImageConfig{Env: path, Entrypoint: []string{"/regression-issue-74839"}}},
	{registry + "e2e-test-images/resource-consumer:1.14", []part{program("resource-consumer", "/consumer", 0o755), program("consume-cpu", "/consume-cpu", 0o755), busybox}, v1.ImageConfig{Env: path, Entrypoint: []string{"/consumer"}}},
	{registry + "e2e-test-images/sample-apiserver:1.29.2", []part{program("sample-apiserver", "/sample-apiserver", 0o755), busybox}, v1.ImageConfig{Env: path, Entrypoint: []string{"/sample-apiserver"}}},
	{registry + "etcd:3.6.8-0", []part{program("septet", "/usr/local/bin/etcd", 0o755), busybox}, v1.ImageConfig{Env: path, Cmd: []string{"/usr/local/bin/etcd"}}},
	{registry + "pause:3.10.2", []part{program("pause", "/pause", 0o555)}, v1.ImageConfig{Env: path, Entrypoint: []string{"/pause"}, User: "65535:65535"}},
}
