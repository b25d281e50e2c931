// Command rollcallctl shows an operator what a fleet has in Redis, and mends it.
//
//	rollcallctl rooms                 the rooms and how many are there
//	rollcallctl members ROOM          who is in a room
//	rollcallctl watch ROOM            who comes and goes, until interrupted
//	rollcallctl nodes                 the processes of the fleet, and their leases
//	rollcallctl check                 what is wrong in the keyspace
//	rollcallctl repair                the same, mended if possible
//	rollcallctl prune                 one sweep: stale presences and empty rooms
//
// It prints tables, in which names are quoted, or with -json a JSON object on each
// line. The exit status is 0 if all is well; 1 if something failed, a problem is left,
// or there is no such room, with the reason and the address on standard error; and 2 if
// it was called wrongly. While shards of a cluster are away it prints what the others
// have, and exits with 1.
//
// All commands but watch read as a process that is not a node. Watch joins the fleet as
// a node without connections, with the longest lease and max age of its nodes, and
// leaves it at the end.
//
// # Flags
//
// They go before the command.
//
//	-redis    redis://, rediss:// (TLS) or unix:// URL, as in
//	          redis://user:password@host:port, or host:port alone. For a cluster, one
//	          address will do; more follow after commas, so that one may be down:
//	          redis://user:password@host:port,host:port,host:port. Defaults to the
//	          environment's REDIS_URL, which keeps a password out of the list of
//	          processes, and then to redis://127.0.0.1:6379.
//	-prefix   prefix of the fleet's keys. Defaults to "presence".
//	-json     print JSON lines
//	-timeout  give up after this time. Defaults to 1 m, and for watch to never.
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

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redisarg"
	"github.com/rollcall-go/rollcall/luascripts"
	"github.com/rollcall-go/rollcall/presence"
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

// errProblems means that problems are left, which have been printed.
var errProblems = errors.New("there are problems")

// ctl is one call of the command.
type ctl struct {
	redis, prefix string
	timeout       time.Duration
	room          string

	client redis.UniversalClient
	reader *presence.Reader
	out    *printer
}

// unset is a timeout that depends on the command.
const unset time.Duration = -1

func (c *ctl) setTimeout(text string) (err error) {
	if c.timeout, err = time.ParseDuration(text); err == nil && c.timeout < 0 {
		err = errors.New("negative")
	}
	return err
}

// command is one of the commands: whether it takes a room, and what it does.
type command struct {
	ofRoom bool
	do     func(*ctl, context.Context) error
}

var commands = map[string]command{
	"rooms":   {false, (*ctl).rooms},
	"members": {true, (*ctl).members},
	"watch":   {true, (*ctl).watch},
	"nodes":   {false, (*ctl).nodes},
	"check":   {false, (*ctl).check},
	"repair":  {false, (*ctl).repair},
	"prune":   {false, (*ctl).prune},
}

// run is main with everything that a process is given. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, cmd, err := parse(args, stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return done
	case err != nil:
		return badUsage // parse has printed the reason
	}
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	client, address, err := redisarg.Connect(ctx, c.redis)
	if err != nil {
		fmt.Fprintln(stderr, "rollcallctl:", err)
		return badUsage
	}
	defer client.Close()
	c.client = client
	c.reader, err = presence.NewReader(ctx, client, &presence.ReaderOptions{Prefix: c.prefix})
	if err == nil {
		err = cmd.do(c, ctx)
	}
	if err := errors.Join(err, c.out.flush()); err != nil {
		if !errors.Is(err, errProblems) {
			fmt.Fprintf(stderr, "rollcallctl: redis %s: %v\n", address, err)
		}
		return failed
	}
	return done
}

// parse reads the arguments, and prints what is wrong with them to stderr.
func parse(args []string, stdout, stderr io.Writer) (*ctl, command, error) {
	var c ctl
	set := flag.NewFlagSet("rollcallctl", flag.ContinueOnError)
	set.SetOutput(stderr)
	redisarg.Flag(set, &c.redis)
	set.StringVar(&c.prefix, "prefix", groups.DefaultPrefix, "of the fleet's `keys`")
	json := set.Bool("json", false, "print JSON lines")
	c.timeout = unset
	set.Func("timeout", "give up after this `time`; 0: never (default 1m, and never for watch)", c.setTimeout)
	set.Usage = func() {
		fmt.Fprintln(stderr, "usage: rollcallctl [flags] rooms | members ROOM | watch ROOM | nodes | check | repair | prune")
		set.PrintDefaults()
	}
	if err := set.Parse(args); err != nil {
		return nil, command{}, err
	}
	cmd, known := commands[set.Arg(0)]
	wanted := 1
	if cmd.ofRoom {
		wanted, c.room = 2, set.Arg(1)
	}
	_, err := luascripts.NewKeys(c.prefix, 1)
	switch {
	case set.NArg() == 0:
		err = errors.New("no command")
	case !known:
		err = fmt.Errorf("unknown command %q", set.Arg(0))
	case set.NArg() > wanted:
		err = fmt.Errorf("unexpected argument %q", set.Arg(wanted))
	case cmd.ofRoom:
		err = errors.Join(err, luascripts.CheckName("room", c.room))
	}
	if err != nil {
		fmt.Fprintln(stderr, "rollcallctl:", err)
		set.Usage()
	}
	if c.timeout == unset {
		c.timeout = time.Minute
		if set.Arg(0) == "watch" {
			c.timeout = 0
		}
	}
	c.out = newPrinter(stdout, *json)
	return &c, cmd, err
}
