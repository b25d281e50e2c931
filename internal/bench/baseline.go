package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// baselineTable is Redis itself: it says how fast the machine is just now, by
// which to read the other figures.
func baselineTable() table {
	bare := func(name string, add func(ctx context.Context, pipe redis.Pipeliner, i int)) row {
		return row{name: name, sides: []string{ours}, turn: func(ctx context.Context, b *bench, _ string) (sample, error) {
			const size = 100
			n := b.ops(200_000) / size
			m, err := b.run(ctx, work{4, n, func(i int) error {
				pipe := b.client.Pipeline()
				for k := range size {
					add(ctx, pipe, i*size+k)
				}
				_, err := pipe.Exec(ctx)
				return err
			}})
			if err != nil {
				return nil, err
			}
			return sample{kops: m[kops] * size, cpuOp: m[cpuOp] / size}, nil
		}}
	}
	value := string(infoBytes)
	return table{title: "Redis itself, in pipelines of 100", columns: []metric{kops, cpuOp}, rows: []row{
		bare("ZADD", func(ctx context.Context, pipe redis.Pipeliner, i int) {
			pipe.ZAdd(ctx, "z", redis.Z{Score: float64(i), Member: strconv.Itoa(i)})
		}),
		bare("HSET", func(ctx context.Context, pipe redis.Pipeliner, i int) {
			pipe.HSet(ctx, fmt.Sprint("h", i%1000), strconv.Itoa(i), value)
		}),
		bare("PUBLISH that nobody hears", func(ctx context.Context, pipe redis.Pipeliner, i int) {
			pipe.Publish(ctx, "topic", value)
		}),
		bare("EVALSHA of nothing", func(ctx context.Context, pipe redis.Pipeliner, i int) {
			pipe.Eval(ctx, "return 1", []string{"h"}, value)
		}),
	}}
}
