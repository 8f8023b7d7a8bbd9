package webhook_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/postroad/postroad/internal/mail"
	"github.com/postroad/postroad/internal/route"
	"github.com/postroad/postroad/internal/webhook"
)

const (
	testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	testBody   = `{"id":"evt_01kpk2byj1es8r65rzyjka792g","type":"message.delivered","data":{"subject":"Grüße"}}`
)

// posting is a request as the engine makes them.
func posting(url string) webhook.Request {
	return webhook.Request{Endpoint: &webhook.Endpoint{ID: mail.NewID(time.Now()), URL: url, Format: webhook.FormatStandard}, Secrets: []string{testSecret},
		ID: "evt_01kpk2byj1es8r65rzyjka792g", Type: mail.EventDelivered, Body: []byte(testBody), Attempt: 1, At: time.Now()}
}

// local may dial loopback, over http too.
func local(t *testing.T, change ...func(*webhook.ClientOptions)) *webhook.Client {
	t.Helper()
	o := webhook.ClientOptions{Guard: route.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, nil), PublicURL: "https://mail.acme.test",
		Connect: 10 * patience, Total: patience}
	for _, f := range change {
		f(&o)
	}
	c := webhook.NewClient(o)
	t.Cleanup(c.Close)
	return c
}

func within(total time.Duration) func(*webhook.ClientOptions) {
	return func(o *webhook.ClientOptions) { o.Total = total }
}

// got is what a receiver received.
type got struct {
	header http.Header
	body   []byte
}

// receiver is a real one; answer may be nil: 204.
func receiver(t *testing.T, answer http.HandlerFunc) (url string, requests chan got) {
	t.Helper()
	requests = make(chan got, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- got{r.Header.Clone(), body}
		if answer == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/hooks/mail", requests
}

// rude is a receiver that speaks no HTTP, or its own: it gets the connection after the
// request's head was read.
func rude(t *testing.T, talk func(conn net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var talking sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); talking.Wait() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			talking.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(10 * patience))
				if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.Copy(io.Discard, req.Body)
					talk(conn)
				}
			})
		}
	}()
	return "http://" + l.Addr().String() + "/"
}

func TestTheOfficialLibraryVerifiesWhatAReceiverGets(t *testing.T) {
	t.Parallel()
	url, requests := receiver(t, nil)
	try := local(t).Post(t.Context(), posting(url))
	if try.Status != http.StatusNoContent || !try.Delivered() {
		t.Fatalf("%+v", try)
	}
	r := <-requests
	judge := func(secret string) *standardwebhooks.Webhook {
		j, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	if err := judge(testSecret).Verify(r.body, r.header); err != nil {
		t.Fatalf("as received: %v", err)
	}
	for i := range r.body {
		changed := bytes.Clone(r.body)
		changed[i] ^= 1
		if judge(testSecret).Verify(changed, r.header) == nil {
			t.Fatalf("byte %d changed: accepted", i)
		}
	}
	if judge(webhook.NewSecret()).Verify(r.body, r.header) == nil {
		t.Error("another secret: accepted")
	}
	for name, value := range map[string]string{"webhook-id": "evt_another", "webhook-timestamp": fmt.Sprint(time.Now().Unix() + 1)} {
		h := r.header.Clone()
		h.Set(name, value)
		if judge(testSecret).Verify(r.body, h) == nil {
			t.Errorf("%s changed: accepted", name)
		}
	}
}

func TestTheOfficialLibraryRefusesAnOldTimestamp(t *testing.T) {
	t.Parallel()
	url, requests := receiver(t, nil)
	c := local(t)
	for age, want := range map[time.Duration]bool{0: true, 4 * time.Minute: true, 6 * time.Minute: false, -6 * time.Minute: false} {
		p := posting(url)
		p.At = time.Now().Add(-age)
		c.Post(t.Context(), p)
		r := <-requests
		judge, _ := standardwebhooks.NewWebhook(testSecret)
		if err := judge.Verify(r.body, r.header); (err == nil) != want {
			t.Errorf("%v old: %v", age, err)
		}
	}
}

func TestARequestSaysWhoAsksAndWhichTryItIs(t *testing.T) {
	t.Parallel()
	url, requests := receiver(t, nil)
	p := posting(url)
	p.Attempt = 3
	p.Endpoint.Headers = map[string]string{"X-Env": "prod", "Authorization": "Bearer of-the-owner", "webhook-id": "mine", "content-type": "text/plain", "X-Postroad-Attempt": "9"}
	try := local(t).Post(t.Context(), p)
	h := (<-requests).header
	for name, want := range map[string]string{"Content-Type": "application/json", "User-Agent": "Postroad-Webhooks/1.0 (+https://mail.acme.test/docs)", "Webhook-Id": p.ID,
		"X-Postroad-Attempt": "3", "X-Postroad-Endpoint": p.Endpoint.ID.Text("wh"), "X-Env": "prod", "Authorization": "Bearer of-the-owner", "Accept-Encoding": "", "Idempotency-Key": "", "X-Signature": ""} {
		if h.Get(name) != want || len(h.Values(name)) > 1 {
			t.Errorf("%s: %q", name, h.Values(name))
		}
	}
	kept := map[string]string{}
	for _, k := range try.RequestHeaders {
		kept[k.Name] = k.Value
	}
	if kept["Authorization"] != webhook.Redacted || kept["X-Env"] != "prod" || kept["Webhook-Signature"] != h.Get("Webhook-Signature") {
		t.Errorf("kept %v", kept)
	}
}

func TestAHyvorEndpointGetsBothSignatures(t *testing.T) {
	t.Parallel()
	url, requests := receiver(t, nil)
	p := posting(url)
	p.Endpoint.Format, p.Secrets = webhook.FormatHyvor, []string{"0123456789abcdef0123456789abcdef"}
	p.Body = []byte(`{"event":"send.recipient.accepted","payload":{}}`)
	local(t).Post(t.Context(), p)
	r := <-requests
	if r.header.Get("X-Signature") != "2e28300e1859aae7e8df646e39ef6a624bfb4505c6e0541d6b0109716e0ed9bf" {
		t.Error(r.header)
	}
	judge, _ := standardwebhooks.NewWebhookRaw([]byte(p.Secrets[0]))
	if err := judge.Verify(r.body, r.header); err != nil {
		t.Error(err)
	}
}

func TestARedirectIsAFailureAndIsNotFollowed(t *testing.T) {
	t.Parallel()
	port, hits := trap(t)
	for _, to := range []string{"http://169.254.169.254/latest/meta-data/", "http://127.0.0.1:" + port + "/", "/elsewhere", "https://app.example.com/"} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			url, requests := receiver(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Location", to); w.WriteHeader(status) })
			try := local(t).Post(t.Context(), posting(url))
			if try.Status != status || try.Delivered() || !strings.Contains(try.Verdict(), "not followed") || !strings.Contains(try.Verdict(), to) || len(requests) != 1 {
				t.Errorf("%d to %s: %+v, %d requests", status, to, try, len(requests))
			}
		}
	}
	if hits.Load() != 0 {
		t.Errorf("%d connections to where redirects led", hits.Load())
	}
}

func TestWhatAReceiverAsksForIsUnderstood(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{"120": 2 * time.Minute, " 7 ": 7 * time.Second, "0": 0, "-5": 0, "999999999999": 24 * time.Hour, "99999999999999999999": 0, "soon": 0, "": 0,
		"Fri, 01 Jan 1999 00:00:00 GMT": 0, "Fri, 01 Jan 2999 00:00:00 GMT": 24 * time.Hour} {
		url, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Retry-After"] = []string{value}
			w.WriteHeader(429)
		})
		if try := local(t).Post(t.Context(), posting(url)); try.RetryAfter != want || !try.Slow() {
			t.Errorf("Retry-After: %s: %+v", value, try)
		}
	}
	url, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("webhook-delivery", "abort-message")
		w.WriteHeader(500)
	})
	if try := local(t).Post(t.Context(), posting(url)); !try.Abort {
		t.Errorf("%+v", try)
	}
}

func TestWhatIsKeptOfAnAnswerIsReadableAndHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	url, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "session=secret")
		w.Header().Set("Authorization", "secret")
		w.Header().Set("X-Odd", "caf\xe9")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write([]byte("caf\xe9 \x00 <script>\xff\xfe é"))
	})
	try := local(t).Post(t.Context(), posting(url))
	if try.Response != "caf\uFFFD \uFFFD <script>\uFFFD é" {
		t.Errorf("%q", try.Response)
	}
	for _, h := range try.ResponseHeaders {
		if strings.Contains(h.Value, "secret") || !utf8.ValidString(h.Value) {
			t.Errorf("%+v", h)
		}
	}
}

// A hostile answer costs bounded memory and bounded time, and says what was wrong. It runs alone,
// as it weighs the heap.
func TestHostileAnswersAreBounded(t *testing.T) {
	drip := func(conn net.Conn, text string, every time.Duration) {
		for i := 0; ; i++ {
			if _, err := conn.Write([]byte{text[i%len(text)]}); err != nil {
				return
			}
			time.Sleep(every)
		}
	}
	flood := func(conn net.Conn, text string, limit int) {
		for n := 0; n < limit; n += len(text) {
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
		}
	}
	big := strings.Repeat("x", 64<<10)
	for _, c := range []struct {
		name, want string
		status     int
		talk       func(net.Conn)
		total      time.Duration // how long the client waits; 0: as long as it takes
	}{
		{"a body of 1 GB", "", 200, func(conn net.Conn) {
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 1<<30)
			flood(conn, big, 1<<30)
		}, 0},
		{"chunks without end", "", 500, func(conn net.Conn) {
			fmt.Fprintf(conn, "HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n")
			flood(conn, "10000\r\n"+big+"\r\n", 1<<30)
		}, 0},
		{"a header without end", "larger than 32 KB", 0, func(conn net.Conn) {
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n")
			flood(conn, "X-Header: "+strings.Repeat("y", 1000)+"\r\n", 1<<30)
		}, 0},
		{"one header line without end", "larger than 32 KB", 0, func(conn net.Conn) {
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nX-Long: ")
			flood(conn, big, 1<<30)
		}, 0},
		{"interim answers without end", "", 0, func(conn net.Conn) {
			flood(conn, "HTTP/1.1 103 Early\r\nLink: <x>\r\n\r\n", 1<<30)
		}, 0},
		{"a header that drips", "no answer in time", 0, func(conn net.Conn) {
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n")
			drip(conn, "X-A: b\r\n", 20*time.Millisecond)
		}, time.Second},
		{"a body that drips", "", 200, func(conn net.Conn) {
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
			drip(conn, "z", 20*time.Millisecond)
		}, time.Second},
		{"silence", "no answer in time", 0, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }, time.Second},
		{"garbage", "does not speak HTTP", 0, func(conn net.Conn) { fmt.Fprint(conn, "\x16\x03\x01\x00garbage\x00\xff\r\n\r\n") }, 0},
		{"SMTP", "does not speak HTTP", 0, func(conn net.Conn) { fmt.Fprint(conn, "220 mx.example.com ESMTP\r\n") }, 0},
		{"a closed connection", "closed before an answer", 0, func(conn net.Conn) {}, 0},
		{"half an answer", "closed before an answer", 0, func(conn net.Conn) { fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nX-A: b\r\n") }, 0},
		{"a negative length", "", 0, func(conn net.Conn) { fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n") }, 0},
		{"a body cut short", "", 200, func(conn net.Conn) { fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf") }, 0},
		{"a switch of protocols", "", 101, func(conn net.Conn) {
			fmt.Fprint(conn, "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			flood(conn, big, 1<<30)
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := local(t, within(cmp.Or(c.total, 10*patience)))
			url := rude(t, c.talk)
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			try := client.Post(t.Context(), posting(url))
			for range 2 { // the machine may stall for longer than an answer's head may take
				if c.total > 0 && c.status != try.Status {
					try = client.Post(t.Context(), posting(url))
				}
			}
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			if try.Status != c.status || !strings.Contains(try.Error, c.want) || (try.Status == 0) == (try.Error == "") || c.status != 200 && try.Delivered() {
				t.Errorf("%+v", try)
			}
			if len(try.Response) > webhook.MaxResponse || took > patience {
				t.Errorf("kept %d bytes, took %v", len(try.Response), took)
			}
			// All that was allocated, the test's own flood included.
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
				t.Errorf("the heap grew by %d KB", grown>>10)
			}
			t.Logf("%v, %d bytes kept: %d %s", took.Round(time.Millisecond), len(try.Response), try.Status, try.Error)
		})
	}
}

func TestNobodyThereIsSaidInWords(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	for url, want := range map[string]string{"http://" + addr + "/": "Nobody listens at " + addr, "https://nowhere.invalid/": "The name nowhere.invalid", "ftp://x/": "begins with https"} {
		try := local(t, func(o *webhook.ClientOptions) { o.Resolver = unknown{} }).Post(t.Context(), posting(url))
		if !strings.Contains(try.Error, want) || try.Verdict() != try.Error {
			t.Errorf("%s: %+v", url, try)
		}
	}
}

// unknown knows that there is no such name.
type unknown struct{}

func (unknown) Addresses(_ context.Context, host string) ([]netip.Addr, error) {
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func TestACertificateIsVerified(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	trusting := func(o *webhook.ClientOptions) { o.Roots = roots }
	plain, _ := receiver(t, nil)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	for _, c := range []struct {
		about, url, want string
		client           *webhook.Client
	}{
		{"trusted", s.URL, "", local(t, trusting)},
		{"unknown authority", s.URL, "not signed by an authority", local(t)},
		{"another name", "https://localhost:" + port, "not of this name", local(t, trusting)},
		{"no TLS there", strings.Replace(plain, "http:", "https:", 1), "does not speak TLS", local(t, trusting)},
	} {
		try := c.client.Post(t.Context(), posting(c.url))
		if c.want == "" && try.Status != 200 || c.want != "" && !strings.Contains(try.Error, c.want) {
			t.Errorf("%s: %+v", c.about, try)
		}
	}
}

// A server may close a kept connection at the very moment a request is written to it.
func TestAKeptConnectionThatClosedIsNoFailure(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var taken atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			taken.Add(1)
			go func() { // answers one request, reads the next one, and hangs up
				defer conn.Close()
				r := bufio.NewReader(conn)
				if req, err := http.ReadRequest(r); err == nil {
					_, _ = io.Copy(io.Discard, req.Body)
					_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
					_, _ = r.ReadByte()
				}
			}()
		}
	}()
	c := local(t)
	for i := range 4 {
		if try := c.Post(t.Context(), posting("http://"+l.Addr().String()+"/")); try.Status != 204 {
			t.Errorf("request %d: %+v", i+1, try)
		}
	}
	if taken.Load() != 4 {
		t.Errorf("%d connections", taken.Load())
	}
}

func TestAStopCutsACall(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	url := rude(t, func(conn net.Conn) { cancel(); _, _ = io.Copy(io.Discard, conn) })
	began := time.Now()
	if try := local(t, within(10*patience)).Post(ctx, posting(url)); try.Status != 0 || time.Since(began) > patience {
		t.Errorf("%+v after %v", try, time.Since(began))
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	f.Add([]byte("HTTP/1.1 429 Slow\r\nRetry-After: 120\r\nSet-Cookie: a=b\r\n\r\n\xff\x00"))
	f.Add([]byte("HTTP/1.1 301 Moved\r\nLocation: http://169.254.169.254/\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 Fine\r\nwebhook-delivery: abort-message\r\n\r\n"))
	f.Add([]byte("HTTP/1.0 200\r\n\r\n"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = l.Close() })
	answers := make(chan []byte, 1)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.Copy(io.Discard, req.Body)
			}
			select {
			case answer := <-answers:
				_, _ = conn.Write(answer)
			default: // made again on a new connection
			}
			_ = conn.Close()
		}
	}()
	c := webhook.NewClient(webhook.ClientOptions{Guard: route.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, nil), Total: 5 * time.Second})
	f.Fuzz(func(t *testing.T, answer []byte) {
		answers <- answer
		try := c.Post(t.Context(), posting("http://"+l.Addr().String()+"/"))
		select {
		case <-answers:
		default:
		}
		if (try.Status == 0) == (try.Error == "") || try.Verdict() == "" || !utf8.ValidString(try.Response) || strings.ContainsRune(try.Response, 0) || len(try.Response) > webhook.MaxResponse {
			t.Errorf("%+v", try)
		}
		for _, h := range try.ResponseHeaders {
			if !utf8.ValidString(h.Name+h.Value) || h.Name == "Set-Cookie" && h.Value != webhook.Redacted {
				t.Errorf("%+v", h)
			}
		}
	})
}
