// Command profiled is `postroad serve` that writes a CPU profile of what it does between
// SIGUSR1 and SIGUSR2 to the file BENCH_CPU_PROFILE names, and one of its allocations
// beside it. The benchmark runs it when asked for profiles; nobody else should.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"syscall"

	"github.com/postroad/postroad/internal/app"
	"github.com/postroad/postroad/internal/config"
)

func main() {
	runtime.MemProfileRate = 64 << 10 // from the start, or the numbers mean nothing
	settings, err := config.Load("", os.Environ())
	if err == nil {
		go profile(os.Getenv("BENCH_CPU_PROFILE"))
		soft, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = app.Run(soft, context.Background(), settings, app.Options{Migrate: true, Out: os.Stdout, Err: os.Stderr})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// profile ends with the process.
func profile(name string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2)
	for {
		<-signals
		if err := between(name, signals); err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
		}
	}
}

// between profiles until the next signal. The files appear under their names when they
// are whole.
func between(name string, end <-chan os.Signal) error {
	cpu, err := os.Create(name + ".part")
	if err != nil {
		return err
	}
	defer cpu.Close()
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return err
	}
	<-end
	pprof.StopCPUProfile()
	allocs, err := os.Create(name + ".allocs")
	if err != nil {
		return err
	}
	defer allocs.Close()
	if err := pprof.Lookup("allocs").WriteTo(allocs, 0); err != nil {
		return err
	}
	return os.Rename(name+".part", name)
}
