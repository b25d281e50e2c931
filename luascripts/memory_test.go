package luascripts_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// Without memory nobody enters, but who leaves does leave, and nobody is taken
// for dead because of it. miniredis knows no maxmemory.
func TestOutOfMemory(t *testing.T) {
	w := newWorld(t, redistest.Real(t))
	w.write(add("lobby", "1", "ann", "hi"), add("lobby", "2", "bob", ""), add("lobby", "3", "cyd", ""))
	w.seen("2", time.Hour)
	w.seen("3", time.Hour)
	w.must(w.c.ConfigSet(w.ctx, "maxmemory", "1").Err())

	want := w.header("lobby")
	for _, ops := range [][]luascripts.Op{
		{add("lobby", "4", "dan", "")},
		{update("lobby", "1", "away")},
		{remove("lobby", "1"), add("den", "1", "ann", "")},
	} {
		b := w.batch(ops...)
		if _, err := w.Write(w.ctx, b); err == nil || !strings.HasPrefix(err.Error(), "OOM") {
			t.Fatalf("%c: %v", ops[0].Action, err)
		}
		w.number[0]-- // it did not run
		if w.header("lobby") != want {
			t.Fatalf("%+v, was %+v", w.header("lobby"), want)
		}
		w.agree("n1")
	}

	w.expect(w.write(remove("lobby", "1")).Events, "lobby -l,1=ann <ann 2/2/0")
	w.must(w.renew(w.inc[0]))
	if missing, err := w.Touch(w.ctx, 0, "n1", []string{"2", "1"}); err != nil || len(missing) != 1 {
		t.Fatal(missing, err)
	}
	// A sweep begins with these.
	if mine, err := w.TakeTurn(w.ctx, 0, "t"); !mine || err != nil {
		t.Fatal(mine, err)
	}
	rows, _, err := w.NodeRows(w.ctx, 0)
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	w.must(w.EndTurn(w.ctx, 0, "t"))
	w.expect(w.pruneAll(0, "n1"), "lobby -e,3=cyd <cyd 1/1/0")
	w.expect(w.write(remove("lobby", "2")).Events, "lobby -l,2=bob <bob 0/0/0")
	if gone, err := w.PruneRooms(w.ctx, 0, []string{"lobby"}); err != nil || len(gone) != 1 {
		t.Fatal(gone, err)
	}
	w.register()
	if ok, err := w.Retire(w.ctx, 0, "n1", w.inc[0]); !ok || err != nil {
		t.Fatal(ok, err)
	}
	w.must(w.c.ConfigSet(w.ctx, "maxmemory", "0").Err())
	w.agree()
}

// The batch that was refused may be sent again under its number.
func TestRefusedBatchRunsLater(t *testing.T) {
	w := newWorld(t, redistest.Real(t))
	w.must(w.c.ConfigSet(w.ctx, "maxmemory", "1").Err())
	b := w.batch(add("lobby", "1", "ann", ""))
	if _, err := w.Write(w.ctx, b); err == nil {
		t.Fatal("not refused")
	}
	w.must(w.c.ConfigSet(w.ctx, "maxmemory", "0").Err())
	reply, err := w.Write(w.ctx, b)
	w.must(err)
	w.expect(reply.Events, "lobby +1=ann >ann 1/1/0")
}

// A batch that ran before memory was out has its reply also when asked again.
func TestAgainIsAnsweredWithoutMemory(t *testing.T) {
	w := newWorld(t, redistest.Real(t))
	ran := w.batch(add("lobby", "1", "ann", ""))
	want, err := w.Write(w.ctx, ran)
	w.must(err)
	w.must(w.c.ConfigSet(w.ctx, "maxmemory", "1").Err())
	ran.Again = true
	got, err := w.Write(w.ctx, ran)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v, want %+v", got, err, want)
	}
	w.agree("n1")
}
