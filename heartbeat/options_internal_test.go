package heartbeat

import (
	"context"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/presence"
)

type tracker struct{ maxAge time.Duration }

func (tracker) Touch(string) {}

func (tracker) LeaveAllAfter(context.Context, string, presence.Reason, time.Duration) (map[string]presence.Revision, error) {
	return nil, nil
}

func (t tracker) MaxAge() time.Duration { return t.maxAge }

func TestThePingFitsTheMaxAge(t *testing.T) {
	for maxAge, want := range map[time.Duration]time.Duration{
		6 * time.Second:  2 * time.Second,
		60 * time.Second: 20 * time.Second,
		time.Hour:        20 * time.Second,
	} {
		var none *Options
		if got, _ := none.withDefaults(tracker{maxAge}); got.PingInterval != want {
			t.Errorf("max age %v: a ping every %v, want %v", maxAge, got.PingInterval, want)
		}
	}
	chosen := &Options{PingInterval: time.Minute}
	if got, _ := chosen.withDefaults(tracker{time.Second}); got.PingInterval != time.Minute {
		t.Errorf("chosen interval became %v", got.PingInterval)
	}
}
