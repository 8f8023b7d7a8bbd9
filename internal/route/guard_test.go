package route_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/postroad/postroad/internal/route"
)

func TestOnlyPublicAddressesMayBeDialled(t *testing.T) {
	t.Parallel()
	guard := route.NewGuard(nil, nil)
	for _, text := range []string{
		"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255",
		"169.254.169.254", "192.0.0.8", "192.0.2.1", "198.51.100.1", "203.0.113.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "224.0.0.1", "239.255.255.255",
		"240.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1",
		"64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "3fff::1", "2002:7f00:1::1", "2002:808:808::1", "fc00::1", "fd12:3456::1",
		"fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "5f00::1", "4000::1", "1::1", "fd00:ec2::254",
	} {
		err := guard.Allow(netip.AddrPortFrom(netip.MustParseAddr(text), 25))
		if !errors.Is(err, route.ErrGuarded) || !strings.Contains(err.Error(), "POSTROAD_ALLOW_NETWORKS=") {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "192.0.1.1", "198.17.0.1", "198.20.0.1", "::ffff:8.8.8.8", "2001:4860:4860::8888", "2a00:1450::1", "2606:4700::1111"} {
		if err := guard.Allow(netip.AddrPortFrom(netip.MustParseAddr(text), 25)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := guard.Allow(netip.AddrPort{}); !errors.Is(err, route.ErrGuarded) {
		t.Errorf("no address: %v", err)
	}
}

func TestAnOperatorCanAllowANetworkButNotOurOwnListeners(t *testing.T) {
	t.Parallel()
	guard := route.NewGuard(
		[]netip.Prefix{netip.MustParsePrefix("127.0.0.5/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("::ffff:10.1.0.0/112")},
		[]netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1587"), netip.MustParseAddrPort("0.0.0.0:8080"), netip.MustParseAddrPort("[::]:2525"), netip.MustParseAddrPort("127.0.0.1:0")})
	for text, allowed := range map[string]bool{
		"127.0.0.1:25": true, "127.0.0.1:1587": false, "[::ffff:127.0.0.1]:1587": false, "127.0.0.2:1587": true, "127.0.0.1:8080": false, "[::1]:2525": false,
		"127.0.0.1:2525": false, "[fd00::1]:25": true, "[fc00::1]:25": false, "10.1.2.3:25": true, "10.2.0.1:25": false, "0.0.0.0:8080": false, "[::1]:25": false,
	} {
		if err := guard.Allow(netip.MustParseAddrPort(text)); (err == nil) != allowed {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func BenchmarkGuard(b *testing.B) {
	guard, addr := route.NewGuard(nil, nil), netip.MustParseAddrPort("8.8.8.8:25")
	b.ReportAllocs()
	for b.Loop() {
		_ = guard.Allow(addr)
	}
}
