# How upstream's own programs are built, for the scripts that source this: in a module of its own below $work, which never becomes
# part of this one. It takes the Go module proxy.
upstream=k8s.io/kubernetes
version=v1.36.2

# source_of_upstream prints where the module proxy's copy lies.
source_of_upstream() { go mod download -json "$upstream@$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'; }

# module writes the module: all of upstream at one version, and what it takes to build the named packages.
module() (
	mkdir -p "$work/module" && cd "$work/module"
	[ -f go.sum ] && return
	printf 'module upstream\ngo 1.26.0\nrequire %s %s\n' "$upstream" "$version" >go.mod
	sed -n 's|^[[:space:]]*\(k8s.io/[a-z-]*\) => ./staging.*|\1|p' "$(source_of_upstream)/go.mod" | while read -r part; do
		go mod edit -replace "$part=$part@${version/v1/v0}"
	done
	{
		printf '//go:build programs\n\npackage programs\n\n'
		printf 'import _ "%s"\n' "$@"
	} >programs.go
	GOFLAGS=-mod=mod go mod tidy
)

# compile builds a package of that module into $work/bin, with what upstream's release builds say of themselves: NAME PACKAGE, and
# "test" for a test's program.
compile() (
	cd "$work/module"
	export CGO_ENABLED=0 GOFLAGS="-buildvcs=false -mod=mod"
	local said=k8s.io/component-base/version flags
	flags="-s -w -X $said.gitVersion=$version -X $said.gitMajor=1 -X $said.gitMinor=36"
	if [ "${3:-}" = test ]; then
		go test -c -vet=off -ldflags "$flags" -o "$work/bin/$1" "$2"
	else
		go build -ldflags "$flags" -o "$work/bin/$1" "$2"
	fi
)
