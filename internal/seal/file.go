package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// FileName is the key file's name inside the data directory.
const FileName = "secret.key"

// maxFile is more than any key file has.
const maxFile = 64 << 10

// Open reads the key ring of a data directory, and makes one there at first start. Two
// that start at once end up with the same ring.
func Open(dir string) (*Ring, error) {
	path := filepath.Join(dir, FileName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = create(dir, path); err == nil {
			text, err = os.ReadFile(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the key ring: %w", err)
	}
	ring, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return ring, nil
}

// create writes a whole file under another name and links it in place: there is never
// half a key file, and an existing one is never replaced.
func create(dir, path string) error {
	tmp, err := os.CreateTemp(dir, FileName+".*.tmp") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(newFile())
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := place(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// place gives the finished file its name. Where the file system has no links, two first
// starts at the same moment could replace one another's; a rename is the best left.
func place(tmp, path string) error {
	err := os.Link(tmp, path)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		err = os.Rename(tmp, path)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func newFile() string {
	var raw [36]byte
	_, _ = rand.Read(raw[:])
	return fmt.Sprintf("# Postroad's keys: what is sealed in the database cannot be read without this file.\n%08x %s\n",
		binary.BigEndian.Uint32(raw[:4]), base64.StdEncoding.EncodeToString(raw[4:]))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// parse reads the lines of a key file.
func parse(text []byte) (*Ring, error) {
	if len(text) > maxFile {
		return nil, errors.New("this is no key file: it is too long")
	}
	ring := &Ring{}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		fields := strings.Fields(string(line))
		if len(fields) == 0 || fields[0][0] == '#' {
			continue
		}
		k, err := parseLine(fields)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		for _, other := range ring.keys {
			if other.id == k.id {
				return nil, fmt.Errorf("line %d: key %08x stands there twice", number, k.id)
			}
		}
		ring.keys = append(ring.keys, k)
	}
	if len(ring.keys) == 0 {
		return nil, errors.New("there is no key in it")
	}
	return ring, nil
}

func parseLine(fields []string) (key, error) {
	if len(fields) != 2 {
		return key{}, errors.New("want a key's identifier and the key")
	}
	id, err := strconv.ParseUint(fields[0], 16, 32)
	if err != nil {
		return key{}, errors.New("the identifier is not 8 hexadecimal digits")
	}
	raw, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil || len(raw) != 32 {
		return key{}, errors.New("the key is not 32 bytes in base64")
	}
	return newKey(uint32(id), [32]byte(raw))
}
