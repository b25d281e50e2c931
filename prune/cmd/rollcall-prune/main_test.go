package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/nodetest"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// command is the built program.
type command string

func build(t *testing.T) command {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rollcall-prune.exe")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return command(path)
}

type result struct {
	status         int
	stdout, stderr string
}

// run runs the program with the environment's REDIS_URL set to env.
func (c command) run(t *testing.T, env string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), string(c), args...)
	cmd.Env = append(os.Environ(), "REDIS_URL="+env)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func (r result) check(t *testing.T, status int, stdout string, stderr ...string) {
	t.Helper()
	if r.status != status || r.stdout != stdout {
		t.Errorf("status %d, want %d\nprinted\n%s\nwant\n%s\nstderr\n%s", r.status, status, r.stdout, stdout, r.stderr)
	}
	if len(stderr) == 0 && r.stderr != "" {
		t.Errorf("stderr %q", r.stderr)
	}
	for _, want := range stderr {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("stderr %q lacks %q", r.stderr, want)
		}
	}
}

// fleet is one node whose presences a test makes old.
type fleet struct {
	*nodetest.Node
	t *testing.T
}

func newFleet(t *testing.T, s *redistest.Server, prefix string) *fleet {
	t.Helper()
	return &fleet{nodetest.Start(t, s.NewClient(t), nodetest.Options{Groups: &groups.Options{Prefix: prefix}}), t}
}

// add enters a user from a new channel, last seen a while ago.
func (f *fleet) add(room, user string, ago time.Duration) {
	f.t.Helper()
	f.Age(f.t, f.Enter(f.t, room, user), ago)
}

// counts are those of the rooms in a line.
func (f *fleet) counts(rooms ...string) string {
	f.t.Helper()
	counts, err := f.CountsOf(f.t.Context(), rooms...)
	if err != nil {
		f.t.Fatal(err)
	}
	var b strings.Builder
	for i, c := range counts {
		fmt.Fprintf(&b, "%s %d/%d/%d ", rooms[i], c.Presences, c.Users, c.Anonymous)
	}
	return strings.TrimSpace(b.String())
}

func (f *fleet) roomCount() int {
	f.t.Helper()
	n := 0
	for _, err := range f.Rooms(f.t.Context()) {
		if err != nil {
			f.t.Fatal(err)
		}
		n++
	}
	return n
}

const hostile = "\x1b[2J\n\"room\" \u202e"

func TestPrune(t *testing.T) {
	program := build(t)
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		f := newFleet(t, s, "")
		f.add("lobby", "ana", time.Minute+time.Second)
		f.add("lobby", "ana", 0) // her other channel stays
		f.add("lobby", "ben", time.Hour)
		f.add("lobby", "", 30*time.Second)
		f.add(hostile, "e\x1bve", time.Hour)
		before := f.counts("lobby", hostile)
		addrs := strings.Join(s.Addrs, ",")

		lobby := "room \"lobby\": 2 presences %s; users gone: \"ben\"\n"
		evil := "room \"\\x1b[2J\\n\\\"room\\\" \\u202e\": 1 presence %s; users gone: \"e\\x1bve\"\n"
		gone := "room \"\\x1b[2J\\n\\\"room\\\" \\u202e\": %s\n"
		would := strings.ReplaceAll(evil+lobby, "%s", "would be removed")

		program.run(t, "", "-redis", addrs, "-dry-run").
			check(t, 0, would+"3 presences of 2 rooms would be removed\n")
		program.run(t, "", "-redis", addrs, "-dry-run", "-rooms").
			check(t, 0, would+fmt.Sprintf(gone, "would be deleted")+
				"3 presences of 2 rooms would be removed, 1 room would be deleted\n")
		if after := f.counts("lobby", hostile); after != before {
			t.Errorf("a dry run changed %q to %q", before, after)
		}

		r := program.run(t, "", "-redis", addrs)
		if !strings.Contains(r.stdout, fmt.Sprintf(lobby, "removed")) || !strings.Contains(r.stdout, fmt.Sprintf(evil, "removed")) ||
			strings.Count(r.stdout, "\n") != 3 || r.status != 0 {
			t.Errorf("status %d, printed\n%s", r.status, r.stdout)
		}
		if got := f.counts("lobby", hostile); got != "lobby 2/1/1 "+hostile+" 0/0/0" {
			t.Errorf("pruned to %q", got)
		}
		program.run(t, "", "-redis", addrs).check(t, 0, "0 presences of 0 rooms removed\n")
		if n := f.roomCount(); n != 2 {
			t.Errorf("%d rooms: without -rooms none is deleted", n)
		}
		program.run(t, "", "-redis", addrs, "-rooms").
			check(t, 0, fmt.Sprintf(gone, "deleted")+"0 presences of 0 rooms removed, 1 room deleted\n")
		if n := f.roomCount(); n != 1 {
			t.Errorf("%d rooms are left", n)
		}

		anonymous := "room \"lobby\": 1 presence %s\n"
		program.run(t, "", "-redis", addrs, "-age", "10s", "-dry-run").
			check(t, 0, fmt.Sprintf(anonymous, "would be removed")+"1 presence of 1 room would be removed\n")
		program.run(t, "", "-redis", addrs, "-age", "10s").
			check(t, 0, fmt.Sprintf(anonymous, "removed")+"1 presence of 1 room removed\n")
	})
}

func TestPrefixAndWhereRedisIs(t *testing.T) {
	program := build(t)
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		url := "redis://" + s.Addrs[0]
		if s.IsCluster() {
			url += "?addr=" + s.Addrs[1]
		}
		a, b := newFleet(t, s, "a"), newFleet(t, s, "ab")
		a.add("lobby", "ana", time.Hour)
		b.add("lobby", "ben", time.Hour)
		program.run(t, url, "-prefix", "a").
			check(t, 0, "room \"lobby\": 1 presence removed; users gone: \"ana\"\n1 presence of 1 room removed\n")
		if got := b.counts("lobby"); got != "lobby 1/1/0" {
			t.Errorf("the longer prefix has %q", got)
		}
		// The flag goes before the environment.
		program.run(t, "redis://127.0.0.1:1", "-prefix", "ab", "-redis", url, "-rooms").
			check(t, 0, "room \"lobby\": 1 presence removed; users gone: \"ben\"\nroom \"lobby\": deleted\n"+
				"1 presence of 1 room removed, 1 room deleted\n")
	})
}
