package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/postroad/postroad/internal/submit"
)

// Bytes is an amount of data. It reads 1024, 64KB, 50MB, 2GB; K, M and G are powers
// of 1024, so that 50MB is the 52 428 800 bytes of the API's limit.
type Bytes int64

var units = []struct {
	name string
	size Bytes
}{{"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}, {"B", 1}}

func (b Bytes) String() string {
	for _, u := range units {
		if b >= u.size && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

func parseBytes(s string) (Bytes, error) {
	number, size := strings.ToUpper(strings.TrimSpace(s)), Bytes(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, size = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || Bytes(n) > math.MaxInt64/size {
		return 0, errors.New("must be an amount like 1024, 64KB or 50MB")
	}
	return Bytes(n) * size, nil
}

// Rate is so many per window; a Count of 0 is unlimited.
type Rate struct {
	Count  int
	Window time.Duration
}

func (r Rate) String() string {
	if r.Count == 0 {
		return "0"
	}
	return strconv.Itoa(r.Count) + "/" + shortDuration(r.Window)
}

// PerMinute is the rate as a number of requests a minute, rounded up so that a small
// rate never becomes 0, which would mean unlimited.
func (r Rate) PerMinute() int {
	if r.Count == 0 {
		return 0
	}
	return int(math.Ceil(float64(r.Count) * float64(time.Minute) / float64(r.Window)))
}

func parseRate(s string) (Rate, error) {
	fault := errors.New("must be a rate like 1000/1m, or 0 for unlimited")
	if s == "0" {
		return Rate{}, nil
	}
	count, window, _ := strings.Cut(s, "/")
	n, err := strconv.Atoi(strings.TrimSpace(count))
	if err != nil || n < 1 || n > 1e9 {
		return Rate{}, fault
	}
	d, err := time.ParseDuration(strings.TrimSpace(window))
	if err != nil || d < time.Second || d > 24*time.Hour {
		return Rate{}, fault
	}
	return Rate{n, d}, nil
}

// shortDuration writes 5m, not 5m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// set reads a text into the field to points at, which keeps its value when the text is
// wrong. "none" is the empty list.
func set(to any, text string) error {
	switch v := to.(type) {
	case *string:
		*v = text
	case *int:
		return keep(v, text, parseInt)
	case *bool:
		return keep(v, text, parseBool)
	case *time.Duration:
		return keep(v, text, parseDuration)
	case *Bytes:
		return keep(v, text, parseBytes)
	case *Rate:
		return keep(v, text, parseRate)
	case *netip.Addr:
		return keep(v, text, parseAddr)
	case *[]netip.AddrPort:
		return keepList(v, text, parseServer)
	case *[]time.Duration:
		return keepList(v, text, parseDuration)
	case *[]netip.Prefix:
		return keepList(v, text, parsePrefix)
	case *[]string:
		return keepList(v, text, parseKind)
	default:
		panic(fmt.Sprintf("config: no reader for %T", to))
	}
	return nil
}

func keep[T any](to *T, text string, parse func(string) (T, error)) error {
	v, err := parse(text)
	if err == nil {
		*to = v
	}
	return err
}

func keepList[T any](to *[]T, text string, parse func(string) (T, error)) error {
	v, err := parseList(text, parse)
	if err == nil {
		*to = v
	}
	return err
}

func parseList[T any](text string, one func(string) (T, error)) (all []T, err error) {
	if t := strings.TrimSpace(text); t == "" || t == "none" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		v, err := one(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("%q %w", strings.TrimSpace(part), err)
		}
		all = append(all, v)
	}
	return all, nil
}

func parseInt(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, errors.New("must be a whole number")
	}
	return n, nil
}

func parseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0", "":
		return false, nil
	}
	return false, errors.New("must be true or false")
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, errors.New("must be a duration like 30s, 5m or 2h")
	}
	return d, nil
}

func parseAddr(s string) (netip.Addr, error) {
	if s == "" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, errors.New("must be an IP address")
	}
	return a, nil
}

// parseServer reads ADDRESS:PORT, or an address alone: port 53.
func parseServer(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return netip.AddrPortFrom(a, 53), nil
	}
	p, err := netip.ParseAddrPort(s)
	if err != nil || p.Port() == 0 {
		return netip.AddrPort{}, errors.New("must be an IP address and a port, like 127.0.0.1:53")
	}
	return p, nil
}

// parsePrefix reads a CIDR; a bare address means itself alone.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, errors.New("must be a network like 10.0.0.0/8")
	}
	return p.Masked(), nil
}

// parseKind reads a kind of file: an extension, a media type, or the built-in list.
func parseKind(s string) (string, error) {
	s = strings.ToLower(s)
	return s, submit.CheckBlocked(s)
}
