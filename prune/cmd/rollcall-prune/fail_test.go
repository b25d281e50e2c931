package main_test

import (
	"strings"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

func TestBadUsage(t *testing.T) {
	program := build(t)
	for name, args := range map[string][]string{
		"unknown flag":        {"-no-such-flag"},
		"argument":            {"lobby"},
		"age of no duration":  {"-age", "60"},
		"negative age":        {"-age", "-1s"},
		"age under a ms":      {"-age", "10us"},
		"timeout of 0":        {"-timeout", "0"},
		"forget to look":      {"-forget", "-dry-run"},
		"empty prefix":        {"-prefix", ""},
		"brace in the prefix": {"-prefix", "a{b"},
		"no port":             {"-redis", "localhost"},
		"blank in a list":     {"-redis", "localhost:6379,,localhost:6380"},
		"scheme":              {"-redis", "http://user:s3cret@localhost:6379"},
		"URL of no port":      {"-redis", "redis://user:s3cret@localhost:port"},
		"slash in a password": {"-redis", "redis://:s3cret/12@localhost:6379"},
		"database":            {"-redis", "redis://:s3cret@localhost:6379/s3cret"},
		"URL without scheme":  {"-redis", "user:s3cret@localhost:6379"},
		"user and address":    {"-redis", "s3cret@localhost:6379"},
		"option of a cluster": {"-redis", "redis://:s3cret@localhost:6379?addr=localhost:1&no=s3cret"},
	} {
		t.Run(name, func(t *testing.T) {
			r := program.run(t, "redis://127.0.0.1:1", args...)
			if r.status != 2 || r.stdout != "" || r.stderr == "" {
				t.Errorf("status %d, printed %q, stderr %q", r.status, r.stdout, r.stderr)
			}
			if strings.Contains(r.stderr, "s3cret") {
				t.Errorf("stderr shows the password: %q", r.stderr)
			}
		})
	}
}

func TestHelpShowsNoPassword(t *testing.T) {
	r := build(t).run(t, "redis://user:s3cret@127.0.0.1:1", "-help")
	r.check(t, 0, "", "-redis", "-prefix", "-age", "-rooms", "-forget", "-dry-run", "-timeout")
	if strings.Contains(r.stderr, "s3cret") {
		t.Error(r.stderr)
	}
}

func TestRedisOutOfReach(t *testing.T) {
	program := build(t)
	// Nothing listens on port 1.
	for name, args := range map[string][]string{
		"one":     {"-redis", "redis://user:s3cret@127.0.0.1:1"},
		"cluster": {"-redis", "127.0.0.1:1,127.0.0.1:1"},
		"dry run": {"-redis", "127.0.0.1:1", "-dry-run", "-rooms"},
	} {
		t.Run(name, func(t *testing.T) {
			r := program.run(t, "", args...)
			r.check(t, 1, "", "rollcall-prune: redis 127.0.0.1:1", "connection refused")
			if strings.Contains(r.stderr, "s3cret") || strings.Count(r.stderr, "\n") != 1 {
				t.Errorf("stderr %q", r.stderr)
			}
		})
	}
}

func TestTimeoutEndsItWhereRedisDoesNotAnswer(t *testing.T) {
	program := build(t)
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		s.Freeze()
		defer s.Thaw()
		program.run(t, "", "-redis", s.Addrs[0], "-timeout", "200ms").
			check(t, 1, "", s.Addrs[0], "deadline exceeded")
	})
}

func TestDataOfAnotherKindIsNotTouched(t *testing.T) {
	program := build(t)
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		f := newFleet(t, s, "")
		f.add("lobby", "ana", time.Hour)
		meta, client := f.Store().Meta(0), f.Store().Client()
		for field, value := range map[string]string{"schema": "99", "shards": "12"} {
			was := client.HGet(t.Context(), meta, field).Val()
			if err := client.HSet(t.Context(), meta, field, value).Err(); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{nil, {"-dry-run"}} {
				program.run(t, "redis://"+s.Addrs[0], args...).
					check(t, 1, "", s.Addrs[0], "does not fit the data", value)
			}
			if err := client.HSet(t.Context(), meta, field, was).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if got := f.counts("lobby"); got != "lobby 1/1/0" {
			t.Errorf("now %q", got)
		}
	})
}
