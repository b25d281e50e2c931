package redistest

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// CPU returns the processor time that the server has used since it was started:
// that of its processes together, so take [Server.Node] for one of a cluster.
func (s *Server) CPU() time.Duration {
	s.t.Helper()
	var total time.Duration
	s.ask("cpu of", func(ctx context.Context, c *redis.Client) error {
		info, err := c.Info(ctx, "cpu").Result()
		if err != nil {
			return err
		}
		for _, name := range []string{"used_cpu_user", "used_cpu_sys"} {
			secs, err := strconv.ParseFloat(field(info, name), 64)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			total += time.Duration(secs * float64(time.Second))
		}
		return nil
	})
	return total
}

// field returns a value of INFO, "" if there is none.
func field(info, name string) string {
	for lines := bufio.NewScanner(strings.NewReader(info)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+":"); ok {
			return value
		}
	}
	return ""
}

// A SlowLog sees how long a server's scripts take.
type SlowLog struct{ s *Server }

// A SlowScript is one call.
type SlowScript struct {
	Took time.Duration // while Redis did nothing else
	Args []string      // the command's, shortened by Redis
}

// SlowLog makes the server note, from now on, the scripts that take at least
// threshold: up to 10,000, with those of all masters of a cluster.
func (s *Server) SlowLog(threshold time.Duration) *SlowLog {
	s.t.Helper()
	s.SetConfig("slowlog-max-len", "10000")
	s.SetConfig("slowlog-log-slower-than", strconv.FormatInt(threshold.Microseconds(), 10))
	s.ask("reset slow log of", func(ctx context.Context, c *redis.Client) error {
		return c.Do(ctx, "SLOWLOG", "RESET").Err()
	})
	return &SlowLog{s}
}

// Longest returns the script that took longest so far, a zero one if none took
// the threshold.
func (l *SlowLog) Longest() SlowScript {
	l.s.t.Helper()
	var longest SlowScript
	for _, s := range l.Scripts() {
		if s.Took > longest.Took {
			longest = s
		}
	}
	return longest
}

// Scripts returns those that took the threshold so far.
func (l *SlowLog) Scripts() []SlowScript {
	l.s.t.Helper()
	var scripts []SlowScript
	l.s.ask("slow log of", func(ctx context.Context, c *redis.Client) error {
		entries, err := c.SlowLogGet(ctx, -1).Result()
		for _, e := range entries {
			if len(e.Args) > 0 && isScript(e.Args[0]) {
				scripts = append(scripts, SlowScript{e.Duration, e.Args})
			}
		}
		return err
	})
	return scripts
}

func isScript(command string) bool {
	switch strings.ToUpper(command) {
	case "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO":
		return true
	}
	return false
}
