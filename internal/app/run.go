package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/postroad/postroad/internal/config"
)

// Options of one run beside the settings.
type Options struct {
	Migrate bool      // bring the schema up to date at start; else an old one is an error
	Out     io.Writer // for the person who typed it
	Err     io.Writer // the log
}

// doorLimit bounds how long a stop waits for requests under way. What was read of them is
// answered; long waits (a sandbox wait) are cut, they can be asked again.
const doorLimit = 5 * time.Second

// wireTime is how long a stop waits for mail that is leaving, of which so much has passed
// until the doors were closed: what is left, but enough for what began only just now.
func wireTime(softStop, passed time.Duration) time.Duration {
	return max(softStop-passed, min(softStop, doorLimit))
}

// Run is the server from start to stop. It stops softly when soft ends, and cuts what is
// left when hard ends. The error is nil after a stop that was asked for.
func Run(soft, hard context.Context, s *config.Settings, o Options) error {
	log := newLog(o.Err, s.Running)
	limitMemory(s.Running)
	for _, note := range s.Notes {
		log.Warn(note)
	}
	sv, err := newServer(soft, s, o, log)
	if err != nil {
		return err
	}
	return errors.Join(sv.run(soft, hard, o), sv.close())
}

// run starts the parts, waits for an end, and stops them in order.
func (sv *server) run(soft, hard context.Context, o Options) error {
	first, err := sv.access.Bootstrap(soft)
	if err != nil {
		return err
	}
	setup, err := sv.sessions.Bootstrap(soft, sv.settings.Keys.AdminPassword)
	if err != nil {
		return fmt.Errorf("make the console's login: %w", err)
	}
	upkeep, work, hooks, doors := newGroup(context.Background()), newGroup(context.Background()), newGroup(context.Background()), newGroup(context.Background())
	upkeep.run("keys", sv.access.Run)
	upkeep.run("sessions", sv.sessions.Run)
	upkeep.run("domains", sv.domains.Run)
	upkeep.run("retention", sv.forget.Run)
	work.run("queue", sv.queue.Run)
	work.run("jobs", sv.jobs.Run)
	work.run("visits", sv.visits.Run)
	hooks.run("webhooks", sv.hooks.Run)
	work.run("events", sv.events.Run)
	doors.run("http", serveOn(sv.http, sv.listener))
	sv.smtp.run(upkeep, doors)
	sv.inbound.run(doors)
	sv.openSocket(doors)
	if err := (announcement{DataDir: sv.settings.Storage.DataDir, URL: sv.url, SMTP: sv.smtp.String(), Secret: first.Secret, Setup: setup}).write(o.Out); err != nil {
		sv.log.Warn("print the announcement", "error", err)
	}
	sv.log.Info("serving", "version", ThisBuild().Version, "http", sv.listener.Addr().String(), "smtp", sv.smtp.String(), "reports", sv.inbound.String(), "data", sv.settings.Storage.DataDir)

	select {
	case <-soft.Done():
	case <-upkeep.ctx.Done():
	case <-work.ctx.Done():
	case <-hooks.ctx.Done():
	case <-doors.ctx.Done():
	}
	began := time.Now()
	sv.log.Info("stopping: finishing what is on the wire", "at_most", sv.settings.Delivery.SoftStop.String())
	unwatch := context.AfterFunc(hard, func() {
		sv.log.Warn("stopping at once")
		sv.queue.Kill()
	})
	defer unwatch()
	sv.ready.stopping.Store(true)
	sv.closeDoors(hard)
	doors.stop()
	cut := time.AfterFunc(wireTime(sv.settings.Delivery.SoftStop, time.Since(began)), sv.queue.Kill)
	defer cut.Stop()
	work.stop()
	unhook := context.AfterFunc(hard, sv.hooks.Kill)
	defer unhook()
	hooks.stop() // after the queue: what its last results owe is still posted, or at the next start
	upkeep.stop()
	sv.log.Info("stopped", "after", time.Since(began).Round(time.Millisecond).String())
	return errors.Join(work.failure(), hooks.failure(), upkeep.failure(), doors.failure())
}

// serveOn gives the Run of an HTTP server on a listener.
func serveOn(s *http.Server, l net.Listener) func(context.Context) error {
	return func(ctx context.Context) error {
		err := s.Serve(l)
		if errors.Is(err, http.ErrServerClosed) {
			<-ctx.Done() // its owner is closing it, and ends us after that
			return nil
		}
		return err
	}
}

// openSocket serves the operator's socket. Without one the server still works: the
// commands then need it stopped.
func (sv *server) openSocket(doors *group) {
	l, release, err := listenSocket(sv.settings.Storage.DataDir)
	if err != nil {
		sv.log.Warn("no socket for the commands: they need this server stopped", "error", err)
		return
	}
	sv.socket = &http.Server{Handler: socketHandler(sv), ReadHeaderTimeout: 10 * time.Second}
	doors.run("socket", func(ctx context.Context) error {
		defer release()
		return serveOn(sv.socket, l)(ctx)
	})
}

// closeDoors lets requests under way finish, for a while or until the hard stop.
func (sv *server) closeDoors(hard context.Context) {
	var smtp sync.WaitGroup
	defer smtp.Wait()
	smtp.Go(func() { shutDown(hard, sv.smtp.server, sv.settings.Delivery.SoftStop) })
	smtp.Go(func() { shutDown(hard, sv.inbound.server, sv.settings.Delivery.SoftStop) })
	ctx, cancel := context.WithTimeout(hard, doorLimit)
	defer cancel()
	for _, s := range []*http.Server{sv.http, sv.socket} {
		if s == nil {
			continue
		}
		if err := s.Shutdown(ctx); err != nil {
			_ = s.Close()
		}
	}
}

// listen takes a door's address before anything else is built on it; setting is where the
// operator may say another.
func listen(addr, setting string) (net.Listener, netip.AddrPort, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, netip.AddrPort{}, fmt.Errorf("another program listens at %s already: stop it, or set %s to another address", addr, setting)
	}
	if err != nil {
		return nil, netip.AddrPort{}, fmt.Errorf("listen at %s (%s): %w", addr, setting, err)
	}
	own, err := netip.ParseAddrPort(l.Addr().String())
	if err != nil {
		_ = l.Close()
		return nil, netip.AddrPort{}, fmt.Errorf("listen at %s: %w", addr, err)
	}
	return l, own, nil
}

// urlOf is how somebody on this host reaches a listener.
func urlOf(own netip.AddrPort) string {
	addr := own.Addr()
	if addr.IsUnspecified() {
		addr = netip.MustParseAddr("127.0.0.1")
	}
	return "http://" + netip.AddrPortFrom(addr, own.Port()).String()
}
