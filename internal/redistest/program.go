package redistest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// RequireEnv names the environment variable that, set to 1, makes a missing
// program fail a test instead of skipping it. CI sets it, so that a suite
// cannot pass there by not running.
const RequireEnv = "ROLLCALL_REQUIRE_SERVERS"

// RequireProgram returns the path of the first of names that is installed. If
// none is, the test is skipped, or fails where [RequireEnv] is set.
func RequireProgram(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing := strings.Join(names, " or ") + " is not in PATH"
	if os.Getenv(RequireEnv) == "1" {
		t.Fatalf("%s, and %s=1 requires it", missing, RequireEnv)
	}
	t.Skip(missing)
	return ""
}
