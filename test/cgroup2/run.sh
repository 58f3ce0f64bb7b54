#!/usr/bin/env bash
# Boots Debian's kernel, which has cgroup v2 alone, in an emulated machine and runs a cluster of one node on it: limits, weights, the
# OOM killer, a resize, usage, and that nothing is left. For hosts that still have cgroup v1, where the tests cannot show it.
#
#   test/cgroup2/run.sh      needs root or at least apt-get, 6 GB of memory, some minutes (no KVM)
#
# It takes Debian's packages: qemu-system-x86, cpio, kmod, busybox-static and a kernel, which is unpacked below $WORK, not installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${WORK:-/var/tmp/septet-cgroup2}
septet=${SEPTET_BINARY:-$PWD/bin/septet}
mkdir -p "$work"
for tool in qemu-system-x86_64 cpio depmod busybox; do
	command -v $tool >/dev/null && continue
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends qemu-system-x86 seabios cpio kmod busybox-static
done

# kernel unpacks the kernel that Debian's cloud images have.
kernel() (
	[ ! -d "$work/kernel" ] || return 0
	cd "$work"
	apt-get update -qq
	apt-get download "$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[^ ]*\)/\1/p')"
	dpkg -x linux-image-*.deb kernel.new && rm linux-image-*.deb && mv kernel.new kernel
)

# machine makes the initial file system: busybox, septet, an image, the modules that networks and overlays take, and what to do.
machine() {
	local root=$work/root modules
	modules=$(cd "$work/kernel" && echo lib/modules/*)
	rm -rf "$root" && mkdir -p "$root"/{bin,sbin,proc,sys,dev,etc,root,var/lib,opt,usr,"$modules/kernel/drivers/net"}
	cp "$(command -v busybox)" "$root/bin/busybox"
	busybox --list | grep -vx busybox | while read -r applet; do ln -s busybox "$root/bin/$applet"; done
	ln -s ../bin/busybox "$root/sbin/modprobe"
	(cd "$work/kernel/$modules" && cp -r --parents modules.builtin* modules.order kernel/net kernel/fs/overlayfs kernel/lib kernel/crypto \
		kernel/drivers/net/{veth,dummy}.ko "$root/$modules")
	depmod -b "$root" "${modules##*/}"
	cp "$septet" "$root/opt/septet" && cp /etc/os-release "$root/etc/"
	echo 'nameserver 127.0.0.1' >"$root/etc/resolv.conf" && echo '127.0.0.1 localhost' >"$root/etc/hosts"
	echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
	go run ./tools/image -name test.septet.io/busybox:1 -out "$root/opt/busybox.tar" "$(command -v busybox)"
	cp test/cgroup2/{init,boot,story} "$root/" && cp test/cgroup2/pods.yaml "$root/opt/"
	(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1 >"$work/initrd.gz")
}

kernel
machine
echo "── booting; the story is in $work/log"
qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 5120 -nographic -no-reboot -net none \
	-kernel "$work"/kernel/boot/vmlinuz-* -initrd "$work/initrd.gz" -append "console=ttyS0 quiet panic=-1" </dev/null >"$work/log" 2>&1
grep -aE '^(not )?ok [^ ]' "$work/log"
if grep -aq '^not ok ' "$work/log" || ! grep -aq '^ok nothing is left' "$work/log"; then
	echo "cgroup v2: the story did not end well, see $work/log" >&2
	exit 1
fi
