package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// tool is a program that some tests use as an independent judge: a real mail server, a
// second DKIM verifier. Tests whose tool is missing say so and are skipped.
type tool struct {
	debian string // package
	is     string
	probe  []string // a command that succeeds when it is there
}

var wanted = []tool{
	{"postfix", "a real receiving server, and the one compared with", []string{"which", "postfix"}},
	{"opendkim-tools", "a second DKIM verifier", []string{"which", "opendkim-testmsg"}},
	{"python3-dkim", "a third DKIM verifier", []string{"/usr/bin/python3", "-c", "import dkim"}},
	{"swaks", "an SMTP client", []string{"which", "swaks"}},
	{"libnet-ssleay-perl", "its TLS", []string{"perl", "-MNet::SSLeay", "-e", "1"}},
	{"msmtp", "an SMTP client", []string{"which", "msmtp"}},
	{"libsasl2-modules", "Postfix authenticates with it", []string{"sh", "-c", "ls /usr/lib/*/sasl2/libplain.so"}},
	{"python3", "a reader of our mail", []string{"which", "python3"}},
	{"nodejs", "a reader of our mail and the TypeScript client run in it", []string{"which", "node"}},
	{"php-cli", "runs the PHP verifier of docs/webhooks.md", []string{"which", "php"}},
	{"npm", "installs what tests ask: mailparser, handlebars, nodemailer, typescript and others, by the lock files beside them", []string{"which", "npm"}},
}

// setUp installs the tools that are missing, when this is Debian and we are root; else it
// says how. It starts no service: policy-rc.d forbids that while packages are unpacked.
func setUp(o options) error {
	missing := missingTools()
	if len(missing) == 0 {
		return nil
	}
	var packages []string
	for _, t := range missing {
		packages = append(packages, t.debian)
		fmt.Printf("missing: %s (%s)\n", t.debian, t.is)
	}
	how := "apt-get install " + strings.Join(packages, " ")
	if _, err := exec.LookPath("apt-get"); err != nil || runtime.GOOS != "linux" || os.Geteuid() != 0 || !o.install {
		return fmt.Errorf("%w: the tests that need them are skipped; to have them: %s", errSkipped, how)
	}
	if err := install(packages); err != nil {
		return fmt.Errorf("%w: %v; the tests that need them are skipped", errSkipped, err)
	}
	if still := missingTools(); len(still) > 0 {
		return fmt.Errorf("%w: installed, and yet %s is not there", errSkipped, still[0].debian)
	}
	return nil
}

func missingTools() (missing []tool) {
	for _, t := range wanted {
		c := exec.Command(t.probe[0], t.probe[1:]...)
		c.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/usr/local/sbin")
		if c.Run() != nil {
			missing = append(missing, t)
		}
	}
	return missing
}

func install(packages []string) error {
	const policy = "/usr/sbin/policy-rc.d"
	if _, err := os.Lstat(policy); os.IsNotExist(err) {
		if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
			return err
		}
		defer os.Remove(policy)
	}
	quiet := []string{"DEBIAN_FRONTEND=noninteractive"}
	if err := run(quiet, "apt-get", "-qq", "update"); err != nil {
		return err
	}
	return run(quiet, "apt-get", append([]string{"-qq", "-y", "--no-install-recommends", "install"}, packages...)...)
}
