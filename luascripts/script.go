package luascripts

import (
	"context"
	"embed"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var sources embed.FS

// script is one Lua script in the form that the server accepts.
type script struct {
	meter *meter
	real  source
	fake  source // without the line of flags, which miniredis cannot parse
}

type source struct {
	*redis.Script
	text string
}

func newSource(text string) source { return source{redis.NewScript(text), text} }

// newScript puts a script together. Flags let scripts run when Redis is out of memory,
// if they free some or must go on: Redis refuses the others with OOM.
func newScript(flags string, parts ...string) script {
	var b strings.Builder
	for _, part := range parts {
		text, err := sources.ReadFile("lua/" + part + ".lua")
		if err != nil {
			panic(err) // a name in this package is wrong: every test would fail
		}
		b.Write(text)
		b.WriteByte('\n')
	}
	body := b.String()
	return script{
		real: newSource("#!lua" + flags + "\n" + body),
		fake: newSource(body),
	}
}

const (
	allowOOM = " flags=allow-oom"
	noWrites = " flags=no-writes"
)

// scripts are the scripts that a Store runs.
type scripts struct {
	write, free            script
	touch                  script
	register, renew        script
	prune, retire, noRooms script
	ungrace, turn, clock   script
	forget                 script

	recount, enlist script
	amend, enroll   script
	refill, discard script
	reclaim         script

	meters map[string]*meter // by name
}

func newScripts() scripts {
	with := func(parts ...string) []string {
		return append([]string{"list", "time", "text", "record", "room", "turns", "users", "last_seen", "exclusive", "change", "replace", "commit"}, parts...)
	}
	write := with("single", "moves", "index", "add", "limit", "revive", "keep", "confirm", "update", "grace", "remove", "drop", "write")
	meters := make(map[string]*meter)
	newScript := func(flags string, parts ...string) script {
		sc, name := newScript(flags, parts...), parts[len(parts)-1]
		if meters[name] == nil { // write and free share one
			meters[name] = &meter{}
		}
		sc.meter = meters[name]
		return sc
	}
	return scripts{
		write:    newScript("", write...),
		free:     newScript(allowOOM, write...),
		touch:    newScript(allowOOM, "time", "touch"),
		register: newScript(allowOOM, "time", "hold", "register"),
		renew:    newScript(allowOOM, "time", "hold", "renew"),
		prune:    newScript(allowOOM, with("moves", "index", "hold", "prune")...),
		ungrace:  newScript(allowOOM, with("hold", "ungrace")...),
		retire:   newScript(allowOOM, "time", "hold", "retire"),
		noRooms:  newScript(allowOOM, "prune_rooms"),
		forget:   newScript(allowOOM, "forget"),
		turn:     newScript(allowOOM, "time", "hold", "turn"),
		clock:    newScript(noWrites, "time", "clock"),

		recount: newScript(allowOOM, "time", "registry", "recount"),
		enlist:  newScript(allowOOM, "time", "registry", "enlist"),
		amend:   newScript(allowOOM, "list", "time", "text", "record", "adopt", "amend"),
		enroll:  newScript(allowOOM, "time", "adopt", "enroll"),
		refill:  newScript(allowOOM, "time", "refill"),
		discard: newScript(allowOOM, "discard"),
		reclaim: newScript(allowOOM, with("reclaim")...),

		meters: meters,
	}
}

// measured runs a script and records its duration and whether it failed. It makes a
// cluster client reconsider if that may be the cause.
func (s *Store) measured(sc script, run func() *redis.Cmd) *redis.Cmd {
	start := time.Now()
	cmd := run()
	sc.meter.note(time.Since(start))
	s.Failed(cmd.Err())
	s.Reconsider(cmd.Err())
	return cmd
}

func (s *Store) run(ctx context.Context, sc script, keys []string, args []any) *redis.Cmd {
	return s.measured(sc, func() *redis.Cmd { return s.source(sc).Run(ctx, s.client, keys, args...) })
}

// runOnce is run without the client's own retries.
func (s *Store) runOnce(ctx context.Context, sc script, keys []string, args []any) *redis.Cmd {
	src := s.source(sc)
	eval := func(name, script string) *redis.Cmd {
		all := make([]any, 0, 3+len(keys)+len(args))
		all = append(all, name, script, len(keys))
		for _, key := range keys {
			all = append(all, key)
		}
		cmd := redis.NewCmd(ctx, append(all, args...)...)
		_ = s.client.Process(ctx, once{cmd}) // the command has its error
		return cmd
	}
	return s.measured(sc, func() *redis.Cmd {
		cmd := eval("evalsha", src.Hash())
		if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
			cmd = eval("eval", src.text)
		}
		return cmd
	})
}

func (s *Store) source(sc script) source {
	if s.fake {
		return sc.fake
	}
	return sc.real
}

// once is a command that the client does not retry.
type once struct{ redis.Cmder }

// NoRetry implements redis.Cmder.
func (once) NoRetry() bool { return true }
