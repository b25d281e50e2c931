package luascripts_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// What is to be kept and is no record must not stop a batch half way: of what it had
// done to other rooms there would be no index, so that no sweep would find it.
func TestAMalformedRecordStopsABatchBeforeItsFirstWrite(t *testing.T) {
	const joined = "1500000000123"
	records := []string{
		"", "x", joined, joined + "\x00", joined + "\x00\x03an", "150000000012x\x00\x00",
		joined + "\x02\x03key", joined + "\x02\x03key\x03an", // a key without a user
	}
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", ""))
		before := w.header("lobby")
		for _, record := range records {
			for _, action := range []luascripts.Action{luascripts.Keep, luascripts.Confirm} {
				b := w.batch(
					add("attic", "2", "bob", ""), remove("lobby", "1"),
					luascripts.Op{Action: action, Room: "den", Short: "1", Stored: record},
				)
				if _, err := w.Write(w.ctx, b); !redis.HasErrorPrefix(err, "RECORD") {
					t.Errorf("%c %q: %v", action, record, err)
				}
				if w.header("lobby") != before {
					t.Errorf("%c %q: %+v, was %+v", action, record, w.header("lobby"), before)
				}
				w.number[0]-- // it was not carried out
				w.agree("n1")
			}
		}
		if failed := w.Failures()["other"]; failed != 0 {
			t.Errorf("%d refusals count as failures of Redis", failed)
		}
	})
}
