package luascripts

import (
	"context"
	"embed"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var sources embed.FS

// script is one Lua script in the form that the server takes.
type script struct {
	real *redis.Script
	fake *redis.Script // without the line of flags, which miniredis cannot parse
}

// newScript puts a script together. Those that free memory, or must go on when
// there is none, say so in flags: Redis refuses the others with OOM.
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
		real: redis.NewScript("#!lua" + flags + "\n" + body),
		fake: redis.NewScript(body),
	}
}

const allowOOM = " flags=allow-oom"

// scripts are what a Store runs.
type scripts struct {
	write, free            script
	touch                  script
	register, renew        script
	prune, retire, noRooms script
	turn                   script
}

func newScripts() scripts {
	core := []string{"record", "change", "commit", "index", "remove"}
	with := func(more ...string) []string { return append(core[:len(core):len(core)], more...) }
	return scripts{
		write:    newScript("", with("add", "update", "write")...),
		free:     newScript(allowOOM, with("add", "update", "write")...),
		touch:    newScript(allowOOM, "touch"),
		register: newScript(allowOOM, "register"),
		renew:    newScript(allowOOM, "renew"),
		prune:    newScript(allowOOM, with("prune")...),
		retire:   newScript(allowOOM, "retire"),
		noRooms:  newScript(allowOOM, "prune_rooms"),
		turn:     newScript(allowOOM, "turn"),
	}
}

func (s *Store) run(ctx context.Context, sc script, keys []string, args []any) *redis.Cmd {
	if s.fake {
		return sc.fake.Run(ctx, s.client, keys, args...)
	}
	return sc.real.Run(ctx, s.client, keys, args...)
}
