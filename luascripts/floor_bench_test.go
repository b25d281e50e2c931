package luascripts

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// What a batch costs at least: floorArguments has Redis take its keys and arguments
// and do nothing; floorJoins and floorLeaves have it run the commands of a join or a
// leave, with constants for what the real script works out, floorCrowd those of joins
// that are all of one room.
const (
	floorArguments = `return 1`
	floorBegin     = `
local call, at, shorts, n = redis.call, 6, {}, 0
call('TIME')
call('HMGET', KEYS[1], 'incarnation', 'number')
local header = '1700000000000000 1700000000000000 20 20 0'
`
	floorJoins = floorBegin + `
local seen, index = {}, {}
for k = 8, #KEYS, 2 do
  local key, room, channel, record = KEYS[k], ARGV[at + 1], ARGV[at + 3], ARGV[at + 4]
  call('HMGET', key, '', channel)
  call('HINCRBY', KEYS[k + 1], channel, '1')
  call('HSET', key, '', header, channel, record)
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
	floorCrowd = floorBegin + `
local size, users, records, seen, index = #ARGV[at + 2], {}, {'', header}, {}, {}
for i = 1, size do
  local channel = ARGV[at + 2 + i]
  shorts[i] = channel
  users[2 * i - 1], users[2 * i] = channel, '1'
  records[2 * i + 1], records[2 * i + 2] = channel, ARGV[at + 2 + size + i]
  seen[2 * i - 1], seen[2 * i] = '1700000000000', channel
  index[2 * i - 1], index[2 * i] = channel, ARGV[at + 1]
end
call('HMGET', KEYS[8], '', unpack(shorts))
call('HMGET', KEYS[9], unpack(shorts))
call('HSET', KEYS[9], unpack(users))
call('HSET', KEYS[8], unpack(records))
call(ARGV[4], KEYS[8], table.concat(records))
call('HMGET', KEYS[3], unpack(shorts))
call('HSET', KEYS[3], unpack(index))
call('ZADD', KEYS[2], unpack(seen))
call('HSET', KEYS[1], 'number', ARGV[3], 'reply', ARGV[4])
return 1`
	floorLeaves = floorBegin + `
for k = 8, #KEYS, 2 do
  local key, channel = KEYS[k], ARGV[at + 3]
  call('HMGET', key, '', channel)
  call('HINCRBY', KEYS[k + 1], channel, '-1')
  call('HDEL', KEYS[k + 1], channel)
  call('HDEL', key, channel)
  call('HSET', key, '', header)
  call(ARGV[4], key, header)
  n = n + 1
  shorts[n] = channel
  at = at + 4
end
call('HMGET', KEYS[3], unpack(shorts))
call('HDEL', KEYS[3], unpack(shorts))
call('ZREM', KEYS[2], unpack(shorts))
call('HSET', KEYS[1], 'number', ARGV[3], 'reply', ARGV[4])
return 1`
)

func floor(text string) script { return script{meter: &meter{}, real: newSource("#!lua\n" + text)} }

// BenchmarkFloor tells in Redis CPU what of a join and of a leave no script could
// save, beside what they take: each in one of a thousand rooms, and a crowd in one.
func BenchmarkFloor(b *testing.B) {
	info := []byte(strings.Repeat("i", 64))
	join := func(i int) Op {
		return Op{Action: Add, Record: Record{User: fmt.Sprint("user", i), Info: info}}
	}
	leave := func(int) Op { return Op{Action: Remove, Reason: 'l'} }
	real := newScripts().write
	rows := []struct {
		metric   string
		first    script // who joins before that is measured, by script, if any
		measured script
		rooms    int
		op       func(i int) Op
	}{
		{"join-arguments-µs/op", script{}, floor(floorArguments), 1000, join},
		{"join-commands-µs/op", script{}, floor(floorJoins), 1000, join},
		{"join-µs/op", script{}, real, 1000, join},
		{"leave-commands-µs/op", floor(floorJoins), floor(floorLeaves), 1000, leave},
		{"leave-µs/op", real, real, 1000, leave},
		{"crowd-commands-µs/op", script{}, floor(floorCrowd), 1, join},
		{"crowd-µs/op", script{}, real, 1, join},
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
			took := make([]time.Duration, len(rows))
			for b.Loop() {
				for i, row := range rows {
					s.Flush()
					inc, err := store.Register(b.Context(), 0, Registration{Node: "0123456789abcdef", Token: "t", Lease: time.Hour, MaxAge: time.Hour}, "", false)
					if err != nil {
						b.Fatal(err)
					}
					number := int64(0)
					run := func(sc script, op func(i int) Op) {
						for i := 0; i < total; i += size {
							number++
							batch := Batch{Node: "0123456789abcdef", Incarnation: inc.ID, Number: number, Ops: make([]Op, size)}
							for j := range batch.Ops {
								batch.Ops[j] = op(i + j)
								batch.Ops[j].Room, batch.Ops[j].Short = fmt.Sprint("room", (i+j)%row.rooms), fmt.Sprint(i+j)
							}
							keys, args := store.arguments(batch, layoutOf(batch))
							if err := store.runOnce(b.Context(), sc, keys, args).Err(); err != nil {
								b.Fatal(err)
							}
						}
					}
					if row.first.meter != nil {
						run(row.first, join)
					}
					before := s.CPU()
					run(row.measured, row.op)
					took[i] += s.CPU() - before
				}
			}
			for i, row := range rows {
				b.ReportMetric(float64(took[i].Microseconds())/float64(total*b.N), row.metric)
			}
		})
	}
}
