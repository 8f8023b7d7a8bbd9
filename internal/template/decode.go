package template

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDataDepth bounds objects and lists in each other in data.
const MaxDataDepth = 64

// ErrDataDepth is said of data that is deeper than [MaxDataDepth].
var ErrDataDepth = errors.New("the data is nested too deeply")

// Decode turns raw JSON into data; nothing at all is an empty object. It refuses what is
// not JSON, not UTF-8, has a name twice in one object or is nested too deeply; the error
// is the caller's fault and safe to show.
func Decode(raw []byte) (any, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return &Object{}, nil
	}
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	v, err := decodeValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); err != io.EOF {
		if err == nil {
			err = errors.New("there is more than one value")
		}
		return nil, fmt.Errorf("read data: %w", err)
	}
	return v, nil
}

func decodeValue(d *jsontext.Decoder, depth int) (any, error) {
	t, err := d.ReadToken()
	if err != nil {
		return nil, fmt.Errorf("read data: %w", err)
	}
	if depth > MaxDataDepth {
		return nil, ErrDataDepth
	}
	switch t.Kind() {
	case 'n':
		return nil, nil
	case 't', 'f':
		return t.Bool(), nil
	case '"':
		return t.String(), nil
	case '0':
		return Number(t.String()), nil
	case '[':
		return decodeList(d, depth)
	}
	return decodeObject(d, depth)
}

func decodeList(d *jsontext.Decoder, depth int) (any, error) {
	list := []any{}
	for d.PeekKind() != ']' {
		v, err := decodeValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.ReadToken()
	return list, err
}

func decodeObject(d *jsontext.Decoder, depth int) (any, error) {
	o := &Object{}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, fmt.Errorf("read data: %w", err)
		}
		key := name.String() // before the next token takes its bytes
		v, err := decodeValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		o.append(key, v)
	}
	_, err := d.ReadToken()
	return o, err
}
