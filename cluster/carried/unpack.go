package carried

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"github.com/septet-io/septet/daemon/memory"
)

// folder is the folder below the data directory that holds one folder for each set of programs, named by content.
const folder = "carried"

// Unpack puts the named programs into one folder below dataDir and returns that folder. The folder's name follows from
// the programs' contents, so a new septet never changes a file that an older one still runs, and what is there already
// is left alone. Any number of processes may call it at once. Folders of older contents are removed as soon as no process
// runs from them. It fails with ErrMissing, naming the program, if septet was built without one.
func Unpack(dataDir string, names ...string) (string, error) {
	return unpack(files, dataDir, names)
}

func unpack(from fs.FS, dataDir string, names []string) (string, error) {
	set := sha256.New()
	for _, name := range names {
		sum, err := digest(from, name)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(set, sum, name)
	}
	root := filepath.Join(dataDir, folder)
	dir := filepath.Join(root, hex.EncodeToString(set.Sum(nil))[:16])
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	var written atomic.Bool
	var group errgroup.Group
	group.SetLimit(2) // each holds a window of 8 MB
	for _, name := range names {
		group.Go(func() error {
			done, err := unpackFile(from, dir, name)
			if err != nil {
				return fmt.Errorf("unpacking %s: %w", name, err)
			}
			if done {
				written.Store(true)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil || !written.Load() {
		return dir, err
	}
	// The first start after an installation touched every compressed page and filled windows: give both back.
	debug.FreeOSMemory()
	memory.DropConstants()
	return dir, removeOlder(root, dir, names)
}

// unpackFile writes one program, unless it is there and whole, and says if it did. A name only ever stands for a complete
// file: that comes of renaming, and the size tells if a power failure cut it short.
func unpackFile(from fs.FS, dir, name string) (bool, error) {
	file := filepath.Join(dir, name)
	packed, err := from.Open("files/" + name + ".zst")
	if errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("%s is %w", name, ErrMissing)
	}
	if err != nil {
		return false, err
	}
	defer packed.Close()

	start := make([]byte, zstd.HeaderMaxSize)
	n, err := io.ReadFull(packed, start)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	var header zstd.Header
	if err := header.Decode(start[:n]); err != nil {
		return false, err
	}
	if info, err := os.Stat(file); err == nil && header.HasFCS && info.Size() == int64(header.FrameContentSize) {
		return false, nil
	}
	return true, writeFile(file, io.MultiReader(bytes.NewReader(start[:n]), packed))
}

// writeFile decompresses into a file of mode 0755 by way of a temporary one.
func writeFile(file string, packed io.Reader) error {
	plain, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return err
	}
	defer plain.Close()
	out, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	_, err = io.Copy(out, plain)
	if e := out.Chmod(0o755); err == nil {
		err = e
	}
	if e := out.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(out.Name(), file)
}
