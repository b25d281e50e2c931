package luascripts

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// What a batch of joins costs at least: floorArguments has Redis take the keys and
// the arguments of a batch and do nothing, floorCommands has it run the commands of
// a join, with constants for what the real script works out.
const (
	floorArguments = `return 1`
	floorCommands  = `
local call, at, seen, index, shorts, n = redis.call, 6, {}, {}, {}, 0
call('TIME')
call('HMGET', KEYS[1], 'incarnation', 'number')
for k = 7, #KEYS, 2 do
  local key, room, channel, record = KEYS[k], ARGV[at + 1], ARGV[at + 3], ARGV[at + 4]
  call('HMGET', key, '', channel)
  call('HINCRBY', KEYS[k + 1], channel, '1')
  call('HSET', key, '', '1700000000000000 1700000000000000 20 20 0', channel, record)
  call(ARGV[4], key, record)
  n = n + 1
  shorts[n] = channel
  seen[2 * n - 1], seen[2 * n] = '1700000000000', channel
  index[2 * n - 1], index[2 * n] = channel, room
  at = at + 4
end
call('HMGET', KEYS[3], unpack(shorts))
call('HSET', KEYS[3], unpack(index))
call('ZADD', KEYS[2], unpack(seen))
call('HSET', KEYS[1], 'number', ARGV[3], 'reply', ARGV[4])
return 1`
)

func floor(text string) script { return script{name: "write", real: newSource("#!lua\n" + text)} }

// BenchmarkFloor tells in Redis CPU what of a join no script could save, beside the
// join itself: each in one of a thousand rooms.
func BenchmarkFloor(b *testing.B) {
	info := []byte(strings.Repeat("i", 64))
	scripts := []struct {
		metric string
		script script
	}{
		{"arguments-µs/op", floor(floorArguments)},
		{"commands-µs/op", floor(floorCommands)},
		{"join-µs/op", newScripts().write},
	}
	for _, size := range []int{16, 64, 256} {
		b.Run(fmt.Sprintf("batch of %d", size), func(b *testing.B) {
			s := redistest.Real(b)
			keys, err := NewKeys("bench", 1)
			if err != nil {
				b.Fatal(err)
			}
			store, err := Open(b.Context(), s.NewClient(b), keys)
			if err != nil {
				b.Fatal(err)
			}
			total := 20000 / size * size
			for b.Loop() {
				for _, sc := range scripts {
					s.Flush()
					inc, err := store.Register(b.Context(), 0, Registration{Node: "0123456789abcdef", Token: "t", Lease: time.Hour, MaxAge: time.Hour}, "", false)
					if err != nil {
						b.Fatal(err)
					}
					before := s.CPU()
					for i := 0; i < total; i += size {
						batch := Batch{Node: "0123456789abcdef", Incarnation: inc.ID, Number: int64(i/size) + 1, Ops: make([]Op, size)}
						for j := range batch.Ops {
							batch.Ops[j] = Op{
								Action: Add, Room: fmt.Sprint("room", (i+j)%1000), Short: fmt.Sprint(i + j),
								Record: Record{User: fmt.Sprint("user", i+j), Info: info},
							}
						}
						_, keys, args := store.layout(batch)
						if err := store.runOnce(b.Context(), sc.script, keys, args).Err(); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64((s.CPU()-before).Microseconds())/float64(total), sc.metric)
				}
			}
		})
	}
}
