package images

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tree reads a folder of this machine as the files of an image; devices and sockets are left out. Owners become root.
func Tree(dir string) (map[string]File, error) {
	files := map[string]File{}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		file := File{Mode: mode(info.Mode())}
		switch {
		case info.IsDir():
			file.Folder = true
		case info.Mode()&fs.ModeSymlink != 0:
			file.Link, err = os.Readlink(name)
		case info.Mode().IsRegular():
			file.Content, err = os.ReadFile(name)
		default:
			return nil
		}
		files[strings.TrimPrefix(name, dir)] = file
		return err
	})
	return files, err
}

// mode is a file's mode as tar has it.
func mode(m fs.FileMode) int64 {
	bits := int64(m.Perm())
	for _, special := range []struct {
		flag fs.FileMode
		bit  int64
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&special.flag != 0 {
			bits |= special.bit
		}
	}
	return bits
}

// BusyboxFiles are this machine's static busybox with a link for every applet, and the users that every image has.
func BusyboxFiles() (map[string]File, error) {
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return nil, err
	}
	applets, err := exec.Command("/bin/busybox", "--list").Output()
	if err != nil {
		return nil, err
	}
	files := map[string]File{
		"/bin/busybox": {Content: program, Mode: 0o755},
		"/etc/passwd":  {Content: []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")},
		"/etc/group":   {Content: []byte("root:x:0:\nnogroup:x:65534:\n")},
		"/root":        {Folder: true, Mode: 0o700},
		"/tmp":         {Folder: true, Mode: 0o1777},
	}
	for applet := range strings.FieldsSeq(string(applets)) {
		if applet != "busybox" {
			files["/bin/"+applet] = File{Link: "/bin/busybox"}
		}
	}
	return files, nil
}
