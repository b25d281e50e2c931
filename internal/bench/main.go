// Command bench measures rollcall beside centrifuge, on a Redis of its own.
package main

import (
	"context"
	"flag"
	"io"
	"log"
	"os"
	"os/signal"
	"regexp"

	"github.com/redis/go-redis/v9"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) == 3 && os.Args[1] == probeArg {
		if err := runProbe(os.Args[2]); err != nil {
			log.Fatal("bench: probe: ", err)
		}
		return
	}
	if err := run(ctx, os.Stdout, os.Args[1:]); err != nil {
		log.Fatal("bench: ", err)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	only := flags.String("rows", "", "run the rows whose name or table matches this regexp")
	quick := flags.Bool("quick", false, "the rows of claims once, with a tenth of the work")
	rounds := flags.Int("rounds", 5, "turns of each side, of which the median counts")
	scale := flags.Float64("scale", 1, "part of the usual number of operations")
	margin := flags.Float64("margin", 0.25, "by how much a claim may be missed; a quick run allows twice as much")
	plots := flags.String("plots", "", "write plots into this folder, instead of running rows")
	most := flags.Int("presences", 1_000_000, "the most presences in a plot")
	_ = flags.Parse(args) // exits
	match, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	redis.SetLogger(quietLog{})
	s, err := startServer(ctx)
	if err != nil {
		return err
	}
	defer s.stop()
	b := &bench{server: s, client: s.client(), scale: *scale, rounds: *rounds, most: *most}
	defer b.client.Close()
	if *quick {
		b.scale, b.rounds, *margin = b.scale/10, 1, 2**margin
	}
	if *plots != "" {
		return b.plot(ctx, *plots)
	}
	var all []result
	for _, t := range tables() {
		var results []result
		for _, r := range t.rows {
			if *quick && !r.quick || !match.MatchString(t.title+": "+r.name) {
				continue
			}
			res, err := b.takeTurns(ctx, r)
			if err != nil {
				return err
			}
			results = append(results, res)
		}
		if len(results) > 0 {
			t.write(out, results)
		}
		all = append(all, results...)
	}
	return checkClaims(out, claims, all, *margin)
}

func tables() []table {
	return []table{
		baselineTable(),
		joinTable(), leaveTable(), touchTable(), inMemoryTable(),
		readTable(), sweepTable(),
		publishTable(), stuckTable(), deliveryTable(),
		memoryTable(), nodeTable(), stormTable(),
	}
}

// quietLog keeps the client's lines about lost connections off the screen.
type quietLog struct{}

func (quietLog) Printf(context.Context, string, ...any) {}
