package logs

import (
	"bytes"
	"io"
	"os"
)

// tailBlock is how much is read at a time, backwards.
const tailBlock = 4096

// tail returns the offset at which the last n lines begin. A last line without its newline counts as one.
func tail(file *os.File, n int64) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	size := info.Size()
	if n == 0 || size == 0 {
		return size, nil
	}
	var last [1]byte
	if _, err := file.ReadAt(last[:], size-1); err != nil {
		return 0, err
	}
	end := size
	if last[0] == '\n' {
		end-- // it ends the last line and begins no other
	}
	block := make([]byte, tailBlock)
	for end > 0 {
		start := max(end-tailBlock, 0)
		part := block[:end-start]
		if _, err := file.ReadAt(part, start); err != nil && err != io.EOF {
			return 0, err
		}
		for {
			i := bytes.LastIndexByte(part, '\n')
			if i < 0 {
				break
			}
			if n--; n == 0 {
				return start + int64(i) + 1, nil
			}
			part = part[:i]
		}
		end = start
	}
	return 0, nil
}
