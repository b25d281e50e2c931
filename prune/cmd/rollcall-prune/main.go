// Command rollcall-prune removes stale presences once, and on request empty rooms, for
// a crontab:
//
//	*/5 * * * *  rollcall-prune -redis redis://10.0.0.5:6379 -rooms
//
// A fleet whose nodes run a prune.Pruner does not need it. The nodes hear of what it
// removes: their channels leave the groups, and views change.
//
// It prints one line for each room that changed, with the names quoted, and a summary,
// including what was done before a failure. The exit status is 0 if all was done, 1 if
// it could not be, with the reason and the address on standard error, and 2 if the
// flags are wrong.
//
// # Flags
//
//	-redis    redis://, rediss:// (TLS) or unix:// URL, as in
//	          redis://user:password@host:port, or host:port alone. For a cluster, one
//	          address will do; more follow after commas, so that one may be down:
//	          redis://user:password@host:port,host:port,host:port. Defaults to the
//	          environment's REDIS_URL, which keeps a password out of the list of
//	          processes, and then to redis://127.0.0.1:6379.
//	-prefix   prefix of the fleet's keys. Defaults to "presence".
//	-age      remove presences not seen for longer. Defaults to 0: for longer than
//	          the max age of their own node.
//	-rooms    also delete the rooms without presences
//	-forget   then forget the number of shards, so that the fleet can start with
//	          another one. It fails while a node is registered or a room exists.
//	-dry-run  print what would be done, and change nothing
//	-timeout  give up after this time. Defaults to 1 m.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redisarg"
	"github.com/rollcall-go/rollcall/luascripts"
)

const (
	done     = 0
	failed   = 1
	badUsage = 2
)

func main() {
	logging.Disable() // go-redis would report each try; the error reports the last
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

type flags struct {
	redis, prefix string
	age, timeout  time.Duration
	rooms, dryRun bool
	forget        bool
}

// run is main with everything that a process is given. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return done
	case err != nil:
		return badUsage // parse has printed the reason
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	client, address, err := redisarg.Connect(ctx, f.redis)
	if err != nil {
		fmt.Fprintln(stderr, "rollcall-prune:", err)
		return badUsage
	}
	defer client.Close()
	if err := sweep(ctx, client, f, stdout); err != nil {
		fmt.Fprintf(stderr, "rollcall-prune: redis %s: %v\n", address, err)
		return failed
	}
	return done
}

// parse reads the flags, and prints what is wrong with them to stderr.
func parse(args []string, stderr io.Writer) (flags, error) {
	var f flags
	set := flag.NewFlagSet("rollcall-prune", flag.ContinueOnError)
	set.SetOutput(stderr)
	redisarg.Flag(set, &f.redis)
	set.StringVar(&f.prefix, "prefix", groups.DefaultPrefix, "of the fleet's `keys`")
	set.DurationVar(&f.age, "age", 0, "remove presences not seen for longer; 0: than the max age of their node")
	set.BoolVar(&f.rooms, "rooms", false, "delete the rooms without presences, too")
	set.BoolVar(&f.forget, "forget", false, "then forget the number of shards, if no node and no room is left")
	set.BoolVar(&f.dryRun, "dry-run", false, "print what would be done, and change nothing")
	set.DurationVar(&f.timeout, "timeout", time.Minute, "give up after this time")
	if err := set.Parse(args); err != nil {
		return f, err
	}
	_, err := luascripts.NewKeys(f.prefix, 1)
	switch {
	case set.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", set.Arg(0))
	case f.age != 0 && f.age < time.Millisecond:
		err = fmt.Errorf("-age %v is less than a millisecond", f.age)
	case f.forget && f.dryRun:
		err = errors.New("-forget with -dry-run")
	case f.timeout <= 0:
		err = fmt.Errorf("-timeout %v is not positive", f.timeout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "rollcall-prune:", err)
		set.Usage()
	}
	return f, err
}
