package deliver_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postroad/postroad/internal/deliver"
	"github.com/postroad/postroad/internal/lane"
	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/persona"
	"github.com/postroad/postroad/internal/route"
)

// BenchmarkCarry is messages of 2 KB through one session to the fast sink, which runs in the same
// process: its time counts too, its allocations are next to none.
func BenchmarkCarry(b *testing.B) { benchmarkCarry(b, 1) }

// BenchmarkCarryBySixteen is the same with sixteen sessions at once.
func BenchmarkCarryBySixteen(b *testing.B) { benchmarkCarry(b, 16) }

func benchmarkCarry(b *testing.B, parallel int) {
	script, err := persona.Parse("sink", "offer PIPELINING SIZE=52428800 8BITMIME")
	if err != nil {
		b.Fatal(err)
	}
	server, err := persona.Listen("127.0.0.1:0", script, persona.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	carrier := deliver.New(deliver.Options{
		Hostname: "out.sender.test", Port: server.Addr().Port(), Begin: yes{}, Resolver: local{},
	})
	r := &route.Route{Site: "sink", Hosts: []route.Host{{Name: "sink.test"}}, Source: route.Source{Name: "default"}}
	raw := mail.Bytes("Message-ID: <1@sender.test>\r\nSubject: test\r\n\r\n" + strings.Repeat("A line of a message of the usual length, or nearly so, of 72 characters\r\n", 27))
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	b.SetParallelism((parallel + 1) / 2)
	if parallel == 1 {
		run(ctx, b, carrier, r, raw, b.Loop)
		return
	}
	b.RunParallel(func(pb *testing.PB) { run(ctx, b, carrier, r, raw, pb.Next) })
}

func run(ctx context.Context, b *testing.B, carrier *deliver.Carrier, r *route.Route, raw mail.Bytes, next func() bool) {
	session := carrier.Session(lane.Key{}, r)
	defer session.Close()
	m := &mail.Message{ID: mail.NewID(time.Now()), From: mail.Address{Email: "billing@sender.test"}}
	work := &mail.Work{Message: m, Content: raw, Delivery: mail.Delivery{Row: 1, Address: "ada@example.test"}}
	job := &lane.Job{Message: m, Works: []*mail.Work{work}, Route: r}
	for next() {
		if got := session.Carry(ctx, nil, job)[0]; got.Outcome != mail.OutcomeDelivered {
			b.Errorf("%s %+v", got.Outcome, got.Reply)
			return
		}
	}
}

type yes struct{}

func (yes) Begin(_ context.Context, works []*mail.Work, _ string) ([]deliver.Verdict, error) {
	out := make([]deliver.Verdict, len(works))
	for i := range out {
		out[i].Go = true
	}
	return out, nil
}

type local struct{}

func (local) Addresses(context.Context, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// BenchmarkDATAAgainstBDAT is the bare dialogue for a message of 2 KB, without a client around it:
// MAIL, RCPT and DATA in one write, the content in another; or all with BDAT in one. It
// measures what CHUNKING would save: see the doc of package smtp for why it is not used.
func BenchmarkDATAAgainstBDAT(b *testing.B) {
	content := strings.Repeat("A line of a message of the usual length, or nearly so, of 72 characters\r\n", 28)
	envelope := "MAIL FROM:<a@sender.test>\r\nRCPT TO:<b@example.test>\r\n"
	for name, writes := range map[string][]string{
		"DATA": {envelope + "DATA\r\n", content + ".\r\n"},
		"BDAT": {fmt.Sprintf("%sBDAT %d LAST\r\n%s", envelope, len(content), content)},
	} {
		b.Run(name, func(b *testing.B) {
			script, _ := persona.Parse("sink", "offer PIPELINING CHUNKING")
			server, err := persona.Listen("127.0.0.1:0", script, persona.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = server.Close() }()
			conn, err := net.Dial("tcp", server.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			in := bufio.NewReader(conn)
			hear := func(lines int) {
				for range lines {
					if _, err := in.ReadSlice('\n'); err != nil {
						b.Fatal(err)
					}
				}
			}
			hear(1)
			for b.Loop() {
				for i, w := range writes {
					_, _ = conn.Write([]byte(w))
					hear(3 - 2*i) // 250 250 354, then 250; BDAT: 250 250 250
				}
			}
			if server.Total() < b.N {
				b.Fatalf("%d received of %d", server.Total(), b.N)
			}
		})
	}
}
