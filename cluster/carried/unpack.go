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

	"github.com/klauspost/compress/zstd"

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
	u, err := begin(from, dataDir, names)
	if err != nil {
		return "", err
	}
	return u.Dir, u.Await(names...)
}

// Unpacking is a set of programs on its way into its folder.
type Unpacking struct {
	Dir   string
	files map[string]*unpacked
}

// unpacked is one program, when done is closed.
type unpacked struct {
	done chan struct{}
	err  error
}

// Begin is Unpack for those who need the first program before the others: they are unpacked one after the other, in the order given,
// which leaves the other processors to whoever starts beside.
func Begin(dataDir string, names ...string) (*Unpacking, error) { return begin(files, dataDir, names) }

func begin(from fs.FS, dataDir string, names []string) (*Unpacking, error) {
	set := sha256.New()
	for _, name := range names {
		sum, err := digest(from, name)
		if err != nil {
			return nil, err
		}
		fmt.Fprintln(set, sum, name)
	}
	root := filepath.Join(dataDir, folder)
	u := &Unpacking{Dir: filepath.Join(root, hex.EncodeToString(set.Sum(nil))[:16]), files: map[string]*unpacked{}}
	if err := os.MkdirAll(u.Dir, 0o755); err != nil {
		return nil, err
	}
	for _, name := range names {
		u.files[name] = &unpacked{done: make(chan struct{})}
	}
	go u.run(from, root, names)
	return u, nil
}

// Await waits until the named programs are there.
func (u *Unpacking) Await(names ...string) error {
	var errs []error
	for _, name := range names {
		file := u.files[name]
		<-file.done
		if file.err != nil {
			errs = append(errs, fmt.Errorf("unpacking %s: %w", name, file.err))
		}
	}
	return errors.Join(errs...)
}

func (u *Unpacking) run(from fs.FS, root string, names []string) {
	written, failed := false, false
	for i, name := range names {
		file := u.files[name]
		var done bool
		done, file.err = unpackFile(from, u.Dir, name)
		written, failed = written || done, failed || file.err != nil
		if i == len(names)-1 && written && !failed {
			// The first start after an installation touched every compressed page and filled windows: give both back.
			debug.FreeOSMemory()
			memory.DropConstants()
			file.err = removeOlder(root, u.Dir, names)
		}
		close(file.done)
	}
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
