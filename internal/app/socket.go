package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
)

// socketName is the socket in the data directory by which the other commands reach the
// server that holds the store. Whoever may open it (its owner: mode 0600, in a directory
// of mode 0700) could as well read the database, so it asks for no key.
const socketName = "postroad.sock"

// errNoServer says that no server answers at a data directory's socket.
var errNoServer = errors.New("no server is running with this data directory")

// maxSocketPath is what fits into a sockaddr_un on every system we know.
const maxSocketPath = 100

// socketPath names the socket so that the system accepts it: paths to sockets are limited
// to about a hundred bytes, and data directories may be deeper. On Linux a deep directory
// is reached through an open descriptor; release closes it.
func socketPath(dataDir string) (path string, release func(), err error) {
	path = filepath.Join(dataDir, socketName)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	if runtime.GOOS != "linux" {
		return "", nil, fmt.Errorf("the path of %s is longer than %d bytes", socketName, maxSocketPath)
	}
	dir, err := os.Open(dataDir)
	if err != nil {
		return "", nil, err
	}
	return "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + socketName, func() { _ = dir.Close() }, nil
}

// listenSocket makes the socket. The store's lock is ours already, so one that lies there
// is left over from a crash.
func listenSocket(dataDir string) (net.Listener, func(), error) {
	path, release, err := socketPath(dataDir)
	if err != nil {
		return nil, nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		release()
		return nil, nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		release()
		return nil, nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		release()
		return nil, nil, err
	}
	return l, release, nil
}

// operator is what the socket offers, by a running server or by an opened store.
type operator interface {
	createKey(ctx context.Context, n NewKey) (MadeKey, error)
	setPassword(ctx context.Context, password string) error
	schema(ctx context.Context) (Schema, error)
	examine(ctx context.Context, offline bool) ([]Check, error)
	backup(ctx context.Context, to io.Writer) error
	reportList(ctx context.Context, before int64, limit int) ([]Report, error)
	report(ctx context.Context, id string) (Report, error)
}

// socketHandler serves an operator.
func socketHandler(op operator) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /keys", func(w http.ResponseWriter, r *http.Request) {
		var n NewKey
		text, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
		if err == nil {
			err = json.Unmarshal(text, &n)
		}
		if err != nil {
			answerSocket(w, nil, fmt.Errorf("read the request: %w", err))
			return
		}
		made, err := op.createKey(r.Context(), n)
		answerSocket(w, made, err)
	})
	mux.HandleFunc("POST /password", func(w http.ResponseWriter, r *http.Request) {
		var n newPassword
		text, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
		if err == nil {
			err = json.Unmarshal(text, &n)
		}
		if err == nil {
			err = op.setPassword(r.Context(), n.Password)
		}
		answerSocket(w, struct{}{}, err)
	})
	mux.HandleFunc("GET /schema", func(w http.ResponseWriter, r *http.Request) {
		s, err := op.schema(r.Context())
		answerSocket(w, s, err)
	})
	mux.HandleFunc("GET /doctor", func(w http.ResponseWriter, r *http.Request) {
		checks, err := op.examine(r.Context(), r.URL.Query().Get("offline") == "true")
		answerSocket(w, checks, err)
	})
	mux.HandleFunc("GET /backup", func(w http.ResponseWriter, r *http.Request) { serveBackup(op, w, r) })
	mux.HandleFunc("GET /reports", func(w http.ResponseWriter, r *http.Request) {
		before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64) // what is no number is 0: from the newest
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		all, err := op.reportList(r.Context(), before, limit)
		answerSocket(w, all, err)
	})
	mux.HandleFunc("GET /reports/{id}", func(w http.ResponseWriter, r *http.Request) {
		one, err := op.report(r.Context(), r.PathValue("id"))
		answerSocket(w, one, err)
	})
	// For whoever looks why it is slow: go tool pprof reads what
	// curl --unix-socket data/postroad.sock http://localhost/debug/pprof/profile?seconds=5 gives.
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// answerSocket writes a result, or an error as {"error": sentence}: whoever asks is the
// operator, who may see all of it.
func answerSocket(w http.ResponseWriter, result any, err error) {
	code := http.StatusOK
	if err != nil {
		code, result = http.StatusUnprocessableEntity, struct {
			Error string `json:"error"`
		}{err.Error()}
	}
	text, err := json.Marshal(result)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(text) // who asked has gone
}

// remote is a running server, asked through its socket.
type remote struct{ client *http.Client }

// dialServer gives the server of a data directory, or errNoServer. Close it after use.
func dialServer(ctx context.Context, dataDir string) (*remote, func(), error) {
	path, release, err := socketPath(dataDir)
	if err != nil {
		return nil, nil, errNoServer
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	probe, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := dial(probe, "", "")
	if err != nil {
		release()
		return nil, nil, errNoServer
	}
	_ = conn.Close()
	transport := &http.Transport{DialContext: dial, Proxy: nil}
	return &remote{&http.Client{Transport: transport}}, func() { transport.CloseIdleConnections(); release() }, nil
}

func (r *remote) call(ctx context.Context, method, path string, body, result any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	q, err := http.NewRequestWithContext(ctx, method, "http://postroad"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	res, err := r.client.Do(q)
	if err != nil {
		return fmt.Errorf("ask the running server: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return faultOf(res)
	}
	if text, err = io.ReadAll(io.LimitReader(res.Body, 4<<20)); err != nil {
		return fmt.Errorf("ask the running server: %w", err)
	}
	return json.Unmarshal(text, result)
}

// faultOf reads the sentence of an answer that is none.
func faultOf(res *http.Response) error {
	var fault struct {
		Error string `json:"error"`
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil || json.Unmarshal(text, &fault) != nil || fault.Error == "" {
		fault.Error = "the running server answered " + res.Status
	}
	return errors.New(fault.Error)
}

func (r *remote) createKey(ctx context.Context, n NewKey) (made MadeKey, err error) {
	err = r.call(ctx, http.MethodPost, "/keys", n, &made)
	return made, err
}

// newPassword is the order to set the console's.
type newPassword struct {
	Password string `json:"password"`
}

func (r *remote) setPassword(ctx context.Context, password string) error {
	return r.call(ctx, http.MethodPost, "/password", newPassword{password}, &struct{}{})
}

func (r *remote) schema(ctx context.Context) (s Schema, err error) {
	err = r.call(ctx, http.MethodGet, "/schema", nil, &s)
	return s, err
}

func (r *remote) examine(ctx context.Context, offline bool) (checks []Check, err error) {
	q := url.Values{"offline": {strconv.FormatBool(offline)}}
	err = r.call(ctx, http.MethodGet, "/doctor?"+q.Encode(), nil, &checks)
	return checks, err
}
