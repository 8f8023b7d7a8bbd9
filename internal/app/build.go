package app

import (
	"runtime"
	"runtime/debug"
)

// Version is set by the release build (-ldflags "-X …/internal/app.Version=1.2.3").
var Version = ""

// Build is what this binary was made from.
type Build struct{ Version, Commit, Go string }

// ThisBuild reads what the Go tool wrote into the binary. Without version control the
// commit is "unknown".
func ThisBuild() Build {
	b := Build{Version: Version, Commit: "unknown", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		b.Version = orDevelopment(b.Version)
		return b
	}
	if b.Version == "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version
	}
	b.Version = orDevelopment(b.Version)
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			b.Commit = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			defer func() { b.Commit += "+changes" }()
		}
	}
	return b
}

func orDevelopment(version string) string {
	if version == "" {
		return "development"
	}
	return version
}
